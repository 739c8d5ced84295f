//! The connectors of a worker and their tasks: started, stopped, paused, replaced and deleted, from
//! files and over REST.

mod changes;
mod contracts;
mod error;
mod offsets;
mod restore;
mod running;

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_connect::Settings;
use tokio::sync::{Mutex, mpsc};

pub(crate) use self::error::ConnectorError;
pub(crate) use self::offsets::NewOffset;
use self::running::{Connector, Running};
use crate::config::ConnectorSpec;
use crate::config_store::{Store, StoredConnector};
use crate::ends::Ends;
use crate::memory::Shares;
use crate::metrics::WorkerMetrics;
use crate::plugins::{Kind, Plugins};
use crate::services::Services;
use crate::status::State;
use crate::tasks::UsedTopics;
use crate::topics;
use crate::worker::blocking;

/// What a connector is to be.
#[derive(Clone)]
struct Settled {
    spec: Arc<ConnectorSpec>,
    /// The settings of its file, if it has one.
    file: Option<BTreeMap<String, String>>,
    state: State,
    /// Up to where a sink with `read.until=end` reads.
    ends: Option<Arc<Ends>>,
}

impl Settled {
    /// As it is stored.
    fn stored(&self) -> StoredConnector {
        StoredConnector {
            config: self.spec.settings.written(),
            file: self.file.clone(),
            state: Some(self.state.as_str().to_owned()),
            ends: self.ends.clone(),
            deleted: false,
        }
    }
}

/// A connector as REST shows it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorView {
    pub(crate) spec: Arc<ConnectorSpec>,
    pub(crate) state: State,
    /// State and trace of each task.
    pub(crate) tasks: Vec<(State, Option<String>)>,
}

/// Which tasks of a connector to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    All,
    Failed,
    One(usize),
}

/// All connectors of a worker.
pub(crate) struct Connectors {
    services: Arc<Services>,
    plugins: Arc<Plugins>,
    metrics: WorkerMetrics,
    running: Running,
    /// Whoever changes something holds the store meanwhile: one change at a time.
    changes: Mutex<Option<Store>>,
    /// Where tasks say that they are done.
    completed: mpsc::Sender<Arc<str>>,
}

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connectors").finish_non_exhaustive()
    }
}

impl Connectors {
    pub(crate) fn new(services: Arc<Services>, plugins: Arc<Plugins>) -> Arc<Self> {
        let metrics = WorkerMetrics::new(&services.metrics);
        let (completed, mut names) = mpsc::channel::<Arc<str>>(16);
        let this = Arc::new(Self {
            services,
            plugins,
            metrics,
            running: Running::default(),
            changes: Mutex::default(),
            completed,
        });
        let weak = Arc::downgrade(&this);
        tokio::spawn(async move {
            while let (Some(name), Some(this)) = (names.recv().await, weak.upgrade()) {
                this.complete(&name).await;
            }
        });
        this
    }

    /// Where the topics end that a connector reads, if it reads up to an end.
    async fn ends(&self, spec: &Arc<ConnectorSpec>) -> penstock_broker::Result<Option<Arc<Ends>>> {
        let spec = spec.clone();
        let ends = blocking(&self.services, move |services| Ends::take(services, &spec)).await?;
        Ok(ends.map(Arc::new))
    }

    /// A connector whose tasks are all done is completed: a sink for good, since its end is fixed; a
    /// source until the worker's next start, when there may be something new.
    async fn complete(&self, name: &str) {
        let mut store = self.changes.lock().await;
        let done = |connector: &Connector| {
            let mut tasks = connector.tasks.iter();
            connector.settled.state == State::Running
                && tasks.all(|task| task.status.get().0 == State::Completed)
        };
        let Some(settled) = self.settled(name) else {
            return;
        };
        if !self.running.lock().get(name).is_some_and(done) {
            return;
        }
        let settled = Settled {
            state: State::Completed,
            ..settled
        };
        if settled.spec.kind != Kind::Source
            && let Err(error) = keep(&mut store, &settled)
        {
            // The next worker finds its positions at their ends.
            tracing::warn!("{name} is completed, which cannot be stored: {error}");
        }
        if let Some(connector) = self.running.lock().get_mut(name) {
            connector.settled = settled;
        }
        tracing::info!(connector = name, "the connector is completed");
    }

    fn parse(
        &self,
        label: &str,
        config: BTreeMap<String, String>,
    ) -> Result<ConnectorSpec, ConnectorError> {
        let mut settings = Settings::from_pairs(label, config);
        let mut problems = settings.resolve();
        let worker = Some(&self.services.worker);
        match ConnectorSpec::parse(settings, worker, &self.plugins, &mut Vec::new()) {
            Ok(spec) if problems.is_empty() => Ok(spec),
            Ok(_) => Err(ConnectorError::Invalid(problems)),
            Err(found) => {
                problems.extend(found);
                Err(ConnectorError::Invalid(problems))
            }
        }
    }

    /// Whether a connector fits into the memory budget, beside the others that there are.
    fn check_memory(&self, spec: &ConnectorSpec) -> Result<(), ConnectorError> {
        let connectors = self.running.lock();
        let others = connectors
            .values()
            .map(|connector| &*connector.settled.spec)
            .filter(|other| other.common.name != spec.common.name);
        let all = others.chain(std::iter::once(spec));
        Shares::of(&self.services.worker, &self.plugins, all)
            .map(|_| ())
            .map_err(|error| ConnectorError::Conflict(format!("memory.budget: {error}")))
    }

    async fn make_topics(&self, spec: &Arc<ConnectorSpec>) -> penstock_broker::Result<()> {
        let spec = spec.clone();
        blocking(&self.services, move |services| {
            topics::make(services, &spec)
        })
        .await
    }

    /// Sets the gauges that follow from states and windows; called when somebody looks.
    pub(crate) fn show_metrics(&self) {
        let connectors = self.running.lock();
        for task in connectors.values().flat_map(|connector| &connector.tasks) {
            task.metrics
                .show(task.status.get().0, task.status.running());
        }
        for task in connectors.values().flat_map(|connector| &connector.paused) {
            task.show_paused();
        }
        self.metrics
            .show(connectors.iter().map(|(name, connector)| {
                let states = view(connector).tasks.into_iter().map(|(state, _)| state);
                (name.as_str(), states.collect())
            }));
    }

    /// All connectors by name.
    pub(crate) fn list(&self) -> BTreeMap<String, ConnectorView> {
        let connectors = self.running.lock();
        connectors
            .iter()
            .map(|(name, connector)| (name.clone(), view(connector)))
            .collect()
    }

    /// The topics that a connector has read or written.
    pub(crate) fn used_topics(&self, name: &str) -> Result<Arc<UsedTopics>, ConnectorError> {
        let connectors = self.running.lock();
        let connector = connectors.get(name);
        let connector = connector.ok_or_else(|| ConnectorError::no_connector(name))?;
        Ok(connector.used.clone())
    }

    pub(crate) fn get(&self, name: &str) -> Result<ConnectorView, ConnectorError> {
        let connectors = self.running.lock();
        connectors
            .get(name)
            .map(view)
            .ok_or_else(|| ConnectorError::no_connector(name))
    }

    fn settled(&self, name: &str) -> Option<Settled> {
        let connectors = self.running.lock();
        connectors
            .get(name)
            .map(|connector| connector.settled.clone())
    }

    /// Checks settings without creating anything.
    pub(crate) fn check(&self, config: BTreeMap<String, String>) -> Result<(), ConnectorError> {
        self.parse("request", config).map(|_| ())
    }
}

/// Makes what a connector is to be durable.
fn keep(store: &mut Option<Store>, settled: &Settled) -> Result<(), ConnectorError> {
    let Some(store) = store else {
        return Ok(());
    };
    let name = &settled.spec.common.name;
    tokio::task::block_in_place(|| store.put_connector(name, Some(settled.stored())))?;
    Ok(())
}

fn view(connector: &Connector) -> ConnectorView {
    let Settled { spec, state, .. } = &connector.settled;
    let tasks = match state {
        State::Paused => vec![(State::Paused, None); spec.tasks],
        State::Stopped => Vec::new(),
        State::Completed if connector.tasks.is_empty() => {
            vec![(State::Completed, None); spec.tasks]
        }
        _ => connector
            .tasks
            .iter()
            .map(|task| task.status.get())
            .collect(),
    };
    ConnectorView {
        spec: spec.clone(),
        state: *state,
        tasks,
    }
}
