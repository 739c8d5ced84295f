//! What connectors and tasks are doing, for REST and metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::Start;

/// State of a connector or task, in Kafka Connect's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unassigned,
    Running,
    Paused,
    Stopped,
    Restarting,
    Failed,
    /// All that there was to be done is done.
    Completed,
}

impl State {
    /// What a connector was asked to be, by the word that it is stored under.
    pub(crate) fn of_connector(word: Option<&str>) -> Self {
        match word {
            Some("PAUSED") => Self::Paused,
            Some("STOPPED") => Self::Stopped,
            Some("COMPLETED") => Self::Completed,
            _ => Self::Running,
        }
    }

    /// What a new connector is asked to be.
    pub(crate) fn initial(word: &str) -> Result<Self, String> {
        match word {
            "RUNNING" => Ok(Self::Running),
            "PAUSED" => Ok(Self::Paused),
            "STOPPED" => Ok(Self::Stopped),
            other => Err(format!("must be RUNNING, PAUSED or STOPPED, not {other}")),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Restarting => "RESTARTING",
            Self::Failed => "FAILED",
            Self::Completed => "COMPLETED",
        }
    }
}

/// The status of one task, shared between its thread and REST.
#[derive(Clone, Debug)]
pub(crate) struct TaskStatus(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    state: State,
    trace: Option<String>,
    since: Instant,
    /// Time spent in RUNNING before `since`.
    running: Duration,
    /// The start, until it is known how it went.
    start: Option<Start>,
}

impl TaskStatus {
    /// Of a task that starts.
    pub(crate) fn starting(start: Start) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            state: State::Unassigned,
            trace: None,
            since: Instant::now(),
            running: Duration::ZERO,
            start: Some(start),
        })))
    }

    /// Sets the state, and the trace of the error that led to it.
    pub(crate) fn set(&self, state: State, trace: Option<String>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.state == State::Running {
            let spent = inner.since.elapsed();
            inner.running += spent;
        }
        if state != State::Unassigned
            && let Some(start) = inner.start.take()
        {
            start.ended(matches!(state, State::Running | State::Completed));
        }
        inner.state = state;
        inner.trace = trace;
        inner.since = Instant::now();
    }

    pub(crate) fn get(&self) -> (State, Option<String>) {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.state, inner.trace.clone())
    }

    /// Time spent in RUNNING so far.
    pub(crate) fn running(&self) -> Duration {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.state {
            State::Running => inner.running + inner.since.elapsed(),
            _ => inner.running,
        }
    }
}
