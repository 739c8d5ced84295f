//! The connectors of a worker and their tasks: started, stopped, paused, replaced and deleted, from
//! files and over REST.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock_connect::{Problem, Settings, TaskContext};
use penstock_contracts::Contract;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::ConnectorSpec;
use crate::config_store::{Store, StoredConnector};
use crate::metrics::{Side, TaskMetrics, WorkerMetrics};
use crate::plugins::{Kind, Plugins};
use crate::services::Services;
use crate::status::{State, TaskStatus};
use crate::tasks::{self, TaskEnv};
use crate::worker::{blocking, make_topics};

/// What can go wrong with a request about a connector.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectorError {
    #[error("{0} not found")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
    #[error("{0}")]
    Failed(String),
}

impl From<penstock_broker::Error> for ConnectorError {
    fn from(error: penstock_broker::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// One connector and its tasks.
struct Connector {
    spec: Arc<ConnectorSpec>,
    /// The settings of its file, if it has one.
    file: Option<BTreeMap<String, String>>,
    state: State,
    tasks: Vec<Task>,
}

struct Task {
    status: TaskStatus,
    metrics: Arc<TaskMetrics>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A connector as REST shows it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorView {
    pub(crate) spec: Arc<ConnectorSpec>,
    pub(crate) state: State,
    /// State and trace of each task.
    pub(crate) tasks: Vec<(State, Option<String>)>,
}

/// A connector to be started: what it is, the settings of its file, and its state.
type Wanted = (ConnectorSpec, Option<BTreeMap<String, String>>, State);

/// All connectors of a worker.
pub(crate) struct Connectors {
    services: Arc<Services>,
    plugins: Arc<Plugins>,
    metrics: WorkerMetrics,
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connectors").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inner {
    connectors: BTreeMap<String, Connector>,
    store: Option<Store>,
}

impl Connectors {
    pub(crate) fn new(services: Arc<Services>, plugins: Arc<Plugins>) -> Arc<Self> {
        let metrics = WorkerMetrics::new(&services.metrics);
        Arc::new(Self {
            services,
            plugins,
            metrics,
            inner: Mutex::default(),
        })
    }

    /// Starts the connectors of the files and of the store. A file wins over what REST stored once
    /// its content has changed; until then the stored settings stay in force.
    pub(crate) async fn restore(
        &self,
        store: Store,
        files: Vec<ConnectorSpec>,
    ) -> Result<(), String> {
        for (reference, document) in &store.contracts {
            let contract = Contract::parse(
                &format!("stored contract {reference}"),
                &document.to_string(),
            )
            .map_err(|problems| {
                problems
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            });
            if let Err(problem) = contract.and_then(|contract| {
                self.services
                    .contracts
                    .put(contract)
                    .map_err(|e| e.to_string())
            }) {
                tracing::warn!("a stored contract is left out: {problem}");
            }
        }
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut stored = store.connectors.clone();
        for spec in files {
            let written = spec.settings.written();
            match stored.remove(&spec.common.name) {
                Some(edit) if edit.file.as_ref() == Some(&written) => {
                    if !edit.deleted {
                        let state = parse_state(edit.state.as_deref());
                        wanted.push((
                            self.parse_stored(&spec.common.name, &edit)?,
                            Some(written),
                            state,
                        ));
                    }
                }
                _ => wanted.push((spec, Some(written), State::Running)),
            }
        }
        for (name, edit) in stored {
            if edit.deleted || edit.file.is_some() {
                // It belongs to a file that is no longer given.
                continue;
            }
            wanted.push((
                self.parse_stored(&name, &edit)?,
                None,
                parse_state(edit.state.as_deref()),
            ));
        }
        self.services
            .set_consumers(wanted.iter().map(|(spec, ..)| spec.common.tasks_max).sum());
        // All topics first: a sink's topics exist before it starts. Sources and their topics come
        // before the pipelines that read them.
        wanted.sort_by_key(|(spec, ..)| match spec.kind {
            Kind::Source => 0,
            Kind::Pipeline => 1,
            Kind::Sink => 2,
        });
        for (spec, ..) in &wanted {
            self.make_topics(spec)
                .await
                .map_err(|error| format!("{}: {error}", spec.common.name))?;
        }
        let mut inner = self.inner.lock().await;
        inner.store = Some(store);
        for (spec, file, state) in wanted {
            let name = spec.common.name.clone();
            let mut connector = Connector {
                spec: Arc::new(spec),
                file,
                state,
                tasks: Vec::new(),
            };
            if state == State::Running {
                self.start_tasks(&mut connector)
                    .map_err(|error| format!("{name}: {error}"))?;
            }
            inner.connectors.insert(name, connector);
        }
        Ok(())
    }

    fn parse_stored(&self, name: &str, stored: &StoredConnector) -> Result<ConnectorSpec, String> {
        self.parse(&format!("stored connector {name}"), stored.config.clone())
            .map_err(|error| error.to_string())
    }

    fn parse(
        &self,
        label: &str,
        config: BTreeMap<String, String>,
    ) -> Result<ConnectorSpec, ConnectorError> {
        let mut settings = Settings::from_pairs(label, config);
        let mut problems = settings.resolve();
        match ConnectorSpec::parse(settings, &self.plugins, &mut Vec::new()) {
            Ok(spec) if problems.is_empty() => Ok(spec),
            Ok(_) => Err(ConnectorError::Invalid(problems)),
            Err(found) => {
                problems.extend(found);
                Err(ConnectorError::Invalid(problems))
            }
        }
    }

    async fn make_topics(&self, spec: &ConnectorSpec) -> penstock_broker::Result<()> {
        let mut written = self.plugins.source_topics(spec);
        written.extend(self.plugins.transform_topics(spec));
        let spec = spec.clone();
        blocking(&self.services, move |services| {
            make_topics(services, &spec, &written)
        })
        .await
    }

    fn start_tasks(&self, connector: &mut Connector) -> std::io::Result<()> {
        let started = self.spawn_tasks(connector);
        self.metrics.connector_started(started.is_ok());
        started
    }

    fn spawn_tasks(&self, connector: &mut Connector) -> std::io::Result<()> {
        let tasks = connector.spec.common.tasks_max;
        for task in 0..tasks {
            let context = TaskContext {
                connector: connector.spec.common.name.as_str().into(),
                task,
                tasks,
                metrics: self.services.metrics.clone(),
            };
            let side = if connector.spec.kind == Kind::Source {
                Side::Source
            } else {
                Side::Sink
            };
            let status = TaskStatus::default();
            let stop = CancellationToken::new();
            let metrics = Arc::new(TaskMetrics::new(&context, side));
            let env = TaskEnv {
                spec: connector.spec.clone(),
                metrics: metrics.clone(),
                context,
                services: self.services.clone(),
                plugins: self.plugins.clone(),
                status: status.clone(),
                stop: stop.clone(),
                handle: Handle::current(),
                stop_before: std::sync::Mutex::default(),
            };
            let thread = tasks::spawn(env);
            self.metrics.task_started(thread.is_ok());
            let thread = thread?;
            connector.tasks.push(Task {
                status,
                metrics,
                stop,
                thread: Some(thread),
            });
        }
        Ok(())
    }

    /// Stops the tasks; waits for them, at most the configured time.
    async fn stop_tasks(&self, tasks: Vec<Task>) {
        for task in &tasks {
            task.stop.cancel();
        }
        let until = Instant::now() + self.services.worker.shutdown_timeout.0;
        for mut task in tasks {
            let Some(thread) = task.thread.take() else {
                continue;
            };
            while !thread.is_finished() && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if thread.is_finished() {
                // Supervision catches panics: there is nothing to learn from the result.
                let _ = thread.join();
            } else {
                tracing::warn!("a task did not stop in time and is given up");
            }
        }
    }

    /// Stops everything: sources first, so that what they took in can flow on.
    pub(crate) async fn stop_all(&self) {
        let mut inner = self.inner.lock().await;
        for kind in [Kind::Source, Kind::Pipeline, Kind::Sink] {
            let mut tasks = Vec::new();
            for connector in inner
                .connectors
                .values_mut()
                .filter(|c| c.spec.kind == kind)
            {
                tasks.append(&mut connector.tasks);
            }
            self.stop_tasks(tasks).await;
        }
    }

    /// Sets the gauges that follow from states and windows; called when somebody looks.
    pub(crate) async fn show_metrics(&self) {
        let inner = self.inner.lock().await;
        for task in inner
            .connectors
            .values()
            .flat_map(|connector| &connector.tasks)
        {
            task.metrics
                .show(task.status.get().0, task.status.running());
        }
        self.metrics
            .show(inner.connectors.iter().map(|(name, connector)| {
                (
                    name.as_str(),
                    view(connector)
                        .tasks
                        .into_iter()
                        .map(|(state, _)| state)
                        .collect(),
                )
            }));
    }

    /// All connectors by name.
    pub(crate) async fn list(&self) -> BTreeMap<String, ConnectorView> {
        let inner = self.inner.lock().await;
        inner
            .connectors
            .iter()
            .map(|(name, connector)| (name.clone(), view(connector)))
            .collect()
    }

    pub(crate) async fn get(&self, name: &str) -> Result<ConnectorView, ConnectorError> {
        let inner = self.inner.lock().await;
        inner
            .connectors
            .get(name)
            .map(view)
            .ok_or_else(|| ConnectorError::NotFound(format!("Connector {name}")))
    }

    /// Checks settings without creating anything.
    pub(crate) fn check(&self, config: BTreeMap<String, String>) -> Result<(), ConnectorError> {
        self.parse("request", config).map(|_| ())
    }

    /// Creates a connector, or with `replace` gives an existing one new settings. Says whether it is
    /// new.
    pub(crate) async fn put(
        &self,
        name: &str,
        mut config: BTreeMap<String, String>,
        replace: bool,
        initial: State,
    ) -> Result<(ConnectorView, bool), ConnectorError> {
        config.insert("name".to_owned(), name.to_owned());
        let spec = self.parse("request", config)?;
        let mut inner = self.inner.lock().await;
        if !replace && inner.connectors.contains_key(name) {
            return Err(ConnectorError::Conflict(format!(
                "Connector {name} already exists"
            )));
        }
        self.make_topics(&spec).await?;
        let old = inner.connectors.remove(name);
        let created = old.is_none();
        let (file, state) = match old {
            Some(mut old) => {
                self.stop_tasks(std::mem::take(&mut old.tasks)).await;
                (old.file, old.state)
            }
            None => (None, initial),
        };
        let mut connector = Connector {
            spec: Arc::new(spec),
            file,
            state,
            tasks: Vec::new(),
        };
        self.store(&mut inner, name, &connector)?;
        if connector.state == State::Running {
            self.start_tasks(&mut connector)
                .map_err(|error| ConnectorError::Failed(error.to_string()))?;
        }
        let shown = view(&connector);
        inner.connectors.insert(name.to_owned(), connector);
        Ok((shown, created))
    }

    /// Deletes a connector; its topics and positions stay.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), ConnectorError> {
        let mut inner = self.inner.lock().await;
        let mut connector = inner
            .connectors
            .remove(name)
            .ok_or_else(|| ConnectorError::NotFound(format!("Connector {name}")))?;
        self.stop_tasks(std::mem::take(&mut connector.tasks)).await;
        let Some(store) = &mut inner.store else {
            return Ok(());
        };
        let tombstone = connector.file.map(|file| StoredConnector {
            config: BTreeMap::new(),
            file: Some(file),
            state: None,
            deleted: true,
        });
        tokio::task::block_in_place(|| store.put_connector(name, tombstone))?;
        Ok(())
    }

    /// Pauses, resumes or stops a connector.
    pub(crate) async fn set_state(&self, name: &str, state: State) -> Result<(), ConnectorError> {
        let mut inner = self.inner.lock().await;
        let mut connector = inner
            .connectors
            .remove(name)
            .ok_or_else(|| ConnectorError::NotFound(format!("Connector {name}")))?;
        let mut result = Ok(());
        if connector.state != state {
            self.stop_tasks(std::mem::take(&mut connector.tasks)).await;
            connector.state = state;
            if state == State::Running {
                result = self
                    .start_tasks(&mut connector)
                    .map_err(|e| ConnectorError::Failed(e.to_string()));
            }
            result = result.and(self.store(&mut inner, name, &connector));
        }
        inner.connectors.insert(name.to_owned(), connector);
        result
    }

    /// Starts a connector's tasks anew: all, or one.
    pub(crate) async fn restart(
        &self,
        name: &str,
        only_failed: bool,
    ) -> Result<(), ConnectorError> {
        let mut inner = self.inner.lock().await;
        let mut connector = inner
            .connectors
            .remove(name)
            .ok_or_else(|| ConnectorError::NotFound(format!("Connector {name}")))?;
        let failed = connector
            .tasks
            .iter()
            .any(|task| task.status.get().0 == State::Failed);
        let mut result = Ok(());
        if connector.state == State::Running && (failed || !only_failed) {
            self.stop_tasks(std::mem::take(&mut connector.tasks)).await;
            result = self
                .start_tasks(&mut connector)
                .map_err(|e| ConnectorError::Failed(e.to_string()));
        }
        inner.connectors.insert(name.to_owned(), connector);
        result
    }

    /// Adds a contract and stores it.
    pub(crate) async fn put_contract(&self, contract: Contract) -> Result<(), ConnectorError> {
        let document = contract.to_json();
        let mut inner = self.inner.lock().await;
        let contract = self
            .services
            .contracts
            .put(contract)
            .map_err(|e| ConnectorError::Conflict(e.to_string()))?;
        if let Some(store) = &mut inner.store {
            tokio::task::block_in_place(|| {
                store.put_contract(contract.reference.as_str(), Some(document))
            })?;
        }
        Ok(())
    }

    /// Deletes a contract that came over REST.
    pub(crate) async fn delete_contract(&self, reference: &str) -> Result<(), ConnectorError> {
        let mut inner = self.inner.lock().await;
        let Some(store) = &mut inner.store else {
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
        tokio::task::block_in_place(|| store.put_contract(reference, None))?;
        self.services.contracts.remove(reference);
        Ok(())
    }

    fn store(
        &self,
        inner: &mut Inner,
        name: &str,
        connector: &Connector,
    ) -> Result<(), ConnectorError> {
        let Some(store) = &mut inner.store else {
            return Ok(());
        };
        let stored = StoredConnector {
            config: connector.spec.settings.written(),
            file: connector.file.clone(),
            state: Some(connector.state.as_str().to_owned()),
            deleted: false,
        };
        tokio::task::block_in_place(|| store.put_connector(name, Some(stored)))?;
        Ok(())
    }
}

fn parse_state(state: Option<&str>) -> State {
    match state {
        Some("PAUSED") => State::Paused,
        Some("STOPPED") => State::Stopped,
        _ => State::Running,
    }
}

fn view(connector: &Connector) -> ConnectorView {
    let tasks = connector.tasks.iter().map(|task| task.status.get());
    let tasks = match connector.state {
        State::Paused => (0..connector.spec.common.tasks_max)
            .map(|_| (State::Paused, None))
            .collect(),
        _ => tasks.collect(),
    };
    ConnectorView {
        spec: connector.spec.clone(),
        state: connector.state,
        tasks,
    }
}
