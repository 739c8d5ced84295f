//! What runs: connectors with their tasks, started and stopped. The lock is held for moments only, so
//! that whoever looks never waits for whoever changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use penstock_connect::TaskContext;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Connectors, Settled};
use crate::config::ConnectorSpec;
use crate::memory::{self, Shares};
use crate::metrics::{Side, TaskMetrics};
use crate::plugins::Kind;
use crate::status::{State, TaskStatus};
use crate::tasks::{self, TaskEnv, UsedTopics};

/// All connectors by name.
#[derive(Default)]
pub(super) struct Running {
    connectors: Mutex<BTreeMap<String, Connector>>,
    /// The worker stops: nothing is started any more.
    closing: AtomicBool,
}

/// One connector and its tasks.
pub(super) struct Connector {
    pub(super) settled: Settled,
    pub(super) tasks: Vec<Arc<Task>>,
    /// While it is paused, the metrics of the tasks that it will have again.
    pub(super) paused: Vec<TaskMetrics>,
    /// Topics that it has read or written since the worker started.
    pub(super) used: Arc<UsedTopics>,
}

/// One task and its thread.
pub(super) struct Task {
    pub(super) status: TaskStatus,
    pub(super) metrics: Arc<TaskMetrics>,
    stop: CancellationToken,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Running {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Connector>> {
        self.connectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The tasks of a connector, of those that `which` picks by number and status.
    pub(super) fn tasks(
        &self,
        name: &str,
        which: impl Fn(usize, &Task) -> bool,
    ) -> Vec<(usize, Arc<Task>)> {
        let connectors = self.lock();
        let tasks = connectors.get(name).into_iter().flat_map(|c| &c.tasks);
        tasks
            .enumerate()
            .filter(|(number, task)| which(*number, task))
            .map(|(number, task)| (number, task.clone()))
            .collect()
    }
}

impl Connectors {
    /// Puts a connector in place of the one of its name, whose tasks have been stopped, and starts
    /// its own. `topics_missing`: its topics could not be made yet, so its tasks do that first.
    pub(super) fn install(&self, settled: Settled, topics_missing: bool) -> std::io::Result<()> {
        let mut connectors = self.running.lock();
        let before = connectors.get(&settled.spec.common.name);
        let used = before.map_or_else(Arc::default, |before| before.used.clone());
        let numbers = || 0..settled.spec.tasks;
        let paused: Vec<TaskMetrics> = match settled.state {
            State::Paused => numbers()
                .map(|number| self.task_metrics(&settled.spec, number))
                .collect(),
            _ => Vec::new(),
        };
        let has_tasks = settled.state != State::Stopped;
        let from = if has_tasks { settled.spec.tasks } else { 0 };
        self.services
            .metrics
            .forget(&settled.spec.common.name, from);
        let mut started = Ok(());
        let mut running = Vec::new();
        if settled.state == State::Running {
            let start = self.metrics.connector_starts();
            for number in numbers() {
                match self.start_task(&settled, number, topics_missing, &used) {
                    Ok(task) => running.extend(task),
                    Err(error) => started = Err(error),
                }
            }
            start.ended(started.is_ok());
        }
        let connector = Connector {
            settled,
            tasks: running,
            paused,
            used,
        };
        connectors.insert(connector.settled.spec.common.name.clone(), connector);
        self.share_out(&connectors);
        started
    }

    /// Takes a connector out whose tasks have been stopped.
    pub(super) fn uninstall(&self, name: &str) {
        let mut connectors = self.running.lock();
        connectors.remove(name);
        self.services.metrics.forget(name, 0);
        self.share_out(&connectors);
    }

    fn share_out(&self, connectors: &BTreeMap<String, Connector>) {
        let specs = || {
            connectors
                .values()
                .map(|connector| &*connector.settled.spec)
        };
        // What does not fit is refused before it is installed.
        let shares = Shares::of(&self.services.worker, &self.plugins, specs())
            .unwrap_or_else(|_| self.services.shares());
        self.services.set_connectors(specs(), shares);
    }

    /// Starts tasks in the place of ones that have been stopped.
    pub(super) fn replace(&self, name: &str, numbers: &[usize]) -> std::io::Result<()> {
        let mut connectors = self.running.lock();
        let Some(connector) = connectors.get_mut(name) else {
            return Ok(());
        };
        for number in numbers {
            let task = self.start_task(&connector.settled, *number, true, &connector.used)?;
            if let (Some(task), Some(place)) = (task, connector.tasks.get_mut(*number)) {
                *place = task;
            }
        }
        Ok(())
    }

    fn context(&self, spec: &ConnectorSpec, number: usize) -> TaskContext {
        TaskContext {
            connector: spec.common.name.as_str().into(),
            task: number,
            tasks: spec.tasks,
            metrics: self.services.metrics.clone(),
            budget: self.services.budget.clone(),
        }
    }

    fn task_metrics(&self, spec: &ConnectorSpec, number: usize) -> TaskMetrics {
        let side = match spec.kind {
            Kind::Source => Side::Source,
            Kind::Pipeline | Kind::Sink => Side::Sink,
        };
        TaskMetrics::new(&self.context(spec, number), side)
    }

    /// Starts a task; none any more once the worker stops.
    fn start_task(
        &self,
        settled: &Settled,
        number: usize,
        topics_missing: bool,
        used: &Arc<UsedTopics>,
    ) -> std::io::Result<Option<Arc<Task>>> {
        let spec = &settled.spec;
        if self.running.closing.load(Ordering::Acquire) {
            return Ok(None);
        }
        let context = self.context(spec, number);
        let metrics = Arc::new(self.task_metrics(spec, number));
        let mut spec = (**spec).clone();
        spec.producer_overrides
            .entry(memory::SEND_BUFFER.to_owned())
            .or_insert_with(|| {
                let worker = &self.services.worker;
                memory::send_buffer(worker, spec.kind, self.services.shares()).to_string()
            });
        let status = TaskStatus::starting(self.metrics.task_starts());
        let stop = CancellationToken::new();
        let thread = tasks::spawn(TaskEnv {
            spec: Arc::new(spec),
            metrics: metrics.clone(),
            context,
            services: self.services.clone(),
            plugins: self.plugins.clone(),
            status: status.clone(),
            stop: stop.clone(),
            handle: Handle::current(),
            topics_missing: AtomicBool::new(topics_missing),
            one_by_one: AtomicUsize::new(0),
            stop_before: Mutex::default(),
            ends: settled.ends.clone(),
            used: used.clone(),
            completed: self.completed.clone(),
        });
        if let Err(error) = &thread {
            status.set(State::Failed, Some(error.to_string()));
        }
        Ok(Some(Arc::new(Task {
            status,
            metrics,
            stop,
            thread: Mutex::new(Some(thread?)),
        })))
    }

    /// Stops tasks; waits for them, at most the configured time.
    pub(super) async fn stop(&self, tasks: impl IntoIterator<Item = Arc<Task>>) {
        let tasks: Vec<_> = tasks.into_iter().collect();
        for task in &tasks {
            task.stop.cancel();
        }
        let until = Instant::now() + self.services.worker.shutdown_timeout.0;
        for task in tasks {
            let thread = task
                .thread
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            let Some(thread) = thread else { continue };
            while !thread.is_finished() && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if thread.is_finished() {
                // Supervision catches panics: there is nothing to learn from the result.
                let _ = thread.join();
            } else {
                let name = thread.thread().name().unwrap_or_default();
                tracing::warn!("task {name} did not stop in time and is given up");
            }
        }
    }

    /// Stops everything: sources first, so that what they took in can flow on.
    pub(crate) async fn stop_all(&self) {
        self.running.closing.store(true, Ordering::Release);
        for kind in [Kind::Source, Kind::Pipeline, Kind::Sink] {
            let tasks: Vec<_> = {
                let connectors = self.running.lock();
                let of_kind = connectors
                    .values()
                    .filter(|connector| connector.settled.spec.kind == kind);
                of_kind
                    .flat_map(|connector| connector.tasks.iter().cloned())
                    .collect()
            };
            self.stop(tasks).await;
        }
    }
}
