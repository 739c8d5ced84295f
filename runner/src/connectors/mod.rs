//! The connectors of a worker and their tasks: started, stopped, paused, replaced and deleted, from
//! files and over REST.

mod offsets;
mod restore;
mod running;

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_connect::{Problem, Settings};
use penstock_contracts::{ChangeError, Contract};
use tokio::sync::{Mutex, mpsc};

pub(crate) use self::offsets::NewOffset;
use self::running::{Connector, Running};
use crate::config::{ConnectorSpec, HIDDEN, Until};
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

/// What can go wrong with a request about a connector.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectorError {
    #[error("{0} not found")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Refused(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
    #[error("{0}")]
    Failed(String),
}

impl ConnectorError {
    fn no_connector(name: &str) -> Self {
        Self::NotFound(format!("Connector {name}"))
    }
}

impl From<penstock_broker::Error> for ConnectorError {
    fn from(error: penstock_broker::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for ConnectorError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

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

/// Runs a change to its end, also when whoever asked for it hangs up.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, ConnectorError>> + Send + 'static,
) -> Result<T, ConnectorError> {
    match tokio::spawn(change).await {
        Ok(result) => result,
        Err(_) => Err(ConnectorError::Failed(
            "the change failed half-way; see the worker's log".to_owned(),
        )),
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

    /// Creates a connector, or with `replace` gives an existing one new settings. Says whether it is
    /// new.
    pub(crate) async fn put(
        self: &Arc<Self>,
        name: &str,
        config: BTreeMap<String, String>,
        replace: bool,
        initial: State,
    ) -> Result<(ConnectorView, bool), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.put_now(&name, config, replace, initial).await }).await
    }

    async fn put_now(
        &self,
        name: &str,
        mut config: BTreeMap<String, String>,
        replace: bool,
        initial: State,
    ) -> Result<(ConnectorView, bool), ConnectorError> {
        let mut store = self.changes.lock().await;
        let old = self.settled(name);
        if !replace && old.is_some() {
            return Err(ConnectorError::Conflict(format!(
                "Connector {name} already exists"
            )));
        }
        config.insert("name".to_owned(), name.to_owned());
        if let Some(old) = &old {
            // What was shown as hidden and comes back so has not been changed.
            let mut before = old.spec.settings.written();
            for (key, value) in &mut config {
                if let (HIDDEN, Some(before)) = (value.as_str(), before.remove(key)) {
                    *value = before;
                }
            }
        }
        let spec = Arc::new(self.parse("request", config)?);
        self.check_memory(&spec)?;
        self.make_topics(&spec).await?;
        let created = old.is_none();
        let settled = match old {
            Some(old) => {
                let was_completed = old.state == State::Completed;
                let ends = match &old.ends {
                    Some(ends) if !was_completed && same_topics(&old.spec, &spec) => {
                        Some(ends.clone()).filter(|_| spec.common.read_until == Until::End)
                    }
                    _ => self.ends(&spec).await?,
                };
                Settled {
                    spec,
                    file: old.file,
                    state: if was_completed {
                        State::Running
                    } else {
                        old.state
                    },
                    ends,
                }
            }
            None => Settled {
                ends: self.ends(&spec).await?,
                spec,
                // A deleted connector of a file: the file is still given.
                file: store
                    .as_ref()
                    .and_then(|store| store.connectors.get(name)?.file.clone()),
                state: initial,
            },
        };
        keep(&mut store, &settled)?;
        self.stop_connector(name).await;
        self.install(settled, false)?;
        Ok((self.get(name)?, created))
    }

    async fn stop_connector(&self, name: &str) {
        let tasks = self.running.tasks(name, |_, _| true);
        self.stop(tasks.into_iter().map(|(_, task)| task)).await;
    }

    /// Deletes a connector; its topics and positions stay.
    pub(crate) async fn delete(self: &Arc<Self>, name: &str) -> Result<(), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.delete_now(&name).await }).await
    }

    async fn delete_now(&self, name: &str) -> Result<(), ConnectorError> {
        let mut store = self.changes.lock().await;
        let stored = store
            .as_ref()
            .and_then(|store| store.connectors.get(name))
            .filter(|stored| !stored.deleted);
        let file = match (self.settled(name), stored) {
            (Some(settled), _) => settled.file,
            // One that could not be read at the start.
            (None, Some(stored)) => stored.file.clone(),
            (None, None) => return Err(ConnectorError::no_connector(name)),
        };
        let tombstone = file.map(|file| StoredConnector {
            config: BTreeMap::new(),
            file: Some(file),
            state: None,
            ends: None,
            deleted: true,
        });
        if let Some(store) = &mut *store {
            tokio::task::block_in_place(|| store.put_connector(name, tombstone))?;
        }
        self.stop_connector(name).await;
        self.uninstall(name);
        Ok(())
    }

    /// Pauses, resumes or stops a connector.
    pub(crate) async fn set_state(
        self: &Arc<Self>,
        name: &str,
        state: State,
    ) -> Result<(), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.set_state_now(&name, state).await }).await
    }

    async fn set_state_now(&self, name: &str, state: State) -> Result<(), ConnectorError> {
        let mut store = self.changes.lock().await;
        let settled = self
            .settled(name)
            .ok_or_else(|| ConnectorError::no_connector(name))?;
        if settled.state == state {
            return Ok(());
        }
        let ends = match (settled.state, state) {
            // What has come since then.
            (State::Completed, State::Running) => self.ends(&settled.spec).await?,
            _ => settled.ends.clone(),
        };
        let settled = Settled {
            state,
            ends,
            ..settled
        };
        keep(&mut store, &settled)?;
        self.stop_connector(name).await;
        Ok(self.install(settled, true)?)
    }

    /// Starts tasks of a connector anew, if it runs at all.
    pub(crate) async fn restart(
        self: &Arc<Self>,
        name: &str,
        which: Restart,
    ) -> Result<(), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.restart_now(&name, which).await }).await
    }

    async fn restart_now(&self, name: &str, which: Restart) -> Result<(), ConnectorError> {
        let _one_at_a_time = self.changes.lock().await;
        let settled = self
            .settled(name)
            .ok_or_else(|| ConnectorError::no_connector(name))?;
        let exists = |number| number < settled.spec.tasks;
        if let Restart::One(number) = which
            && !exists(number)
        {
            return Err(ConnectorError::NotFound(format!("Task {name}-{number}")));
        }
        let tasks = self.running.tasks(name, |number, task| match which {
            Restart::All => true,
            Restart::Failed => task.status.get().0 == State::Failed,
            Restart::One(one) => number == one,
        });
        let numbers: Vec<usize> = tasks.iter().map(|(number, _)| *number).collect();
        self.stop(tasks.into_iter().map(|(_, task)| task)).await;
        Ok(self.replace(name, &numbers)?)
    }

    /// Adds a contract: it is stored before events are held against it.
    pub(crate) async fn put_contract(&self, contract: Contract) -> Result<(), ConnectorError> {
        let conflict = |error: ChangeError| ConnectorError::Conflict(error.to_string());
        let mut store = self.changes.lock().await;
        let contracts = &self.services.contracts;
        contracts.check(&contract).map_err(conflict)?;
        if let Some(store) = &mut *store {
            let document = contract.to_json();
            tokio::task::block_in_place(|| {
                store.put_contract(contract.reference.as_str(), Some(document))
            })?;
        }
        contracts.put(contract).map_err(conflict)?;
        Ok(())
    }

    /// Deletes a contract that came over REST and that no event can name yet: one that was approved
    /// could come back with fewer personal fields under the same name.
    pub(crate) async fn delete_contract(&self, reference: &str) -> Result<(), ConnectorError> {
        let mut store = self.changes.lock().await;
        let Some(store) = &mut *store else {
            return Ok(());
        };
        if !store.contracts.contains_key(reference) {
            return Err(match self.services.contracts.get(reference) {
                None => ConnectorError::NotFound(format!("contract {reference}")),
                Some(_) => ConnectorError::Conflict(format!(
                    "contract {reference} is in a file of contracts.dir: delete it there"
                )),
            });
        }
        if let Some(contract) = self.services.contracts.get(reference)
            && contract.state.is_frozen()
        {
            return Err(ConnectorError::Conflict(format!(
                "contract {reference} is {}, and only a DRAFT or one IN_REVIEW can be deleted; to put it out of use, \
                 create it again with \"state\": \"ARCHIVED\"",
                contract.state
            )));
        }
        tokio::task::block_in_place(|| store.put_contract(reference, None))?;
        self.services.contracts.remove(reference);
        Ok(())
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

/// Whether two configurations of a connector read the same topics.
fn same_topics(one: &ConnectorSpec, other: &ConnectorSpec) -> bool {
    let pattern = |spec: &ConnectorSpec| {
        let pattern = spec.common.topics_regex.as_ref();
        pattern.map(|pattern| pattern.as_str().to_owned())
    };
    one.common.topics == other.common.topics && pattern(one) == pattern(other)
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
