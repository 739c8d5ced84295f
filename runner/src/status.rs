//! What connectors and tasks are doing, for REST and metrics.

use std::sync::{Arc, Mutex, PoisonError};

/// State of a connector or task, in Kafka Connect's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unassigned,
    Running,
    Paused,
    Stopped,
    Restarting,
    Failed,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Restarting => "RESTARTING",
            Self::Failed => "FAILED",
        }
    }
}

/// The status of one task, shared between its thread and REST.
#[derive(Clone, Debug)]
pub(crate) struct TaskStatus(Arc<Mutex<(State, Option<String>)>>);

impl Default for TaskStatus {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((State::Unassigned, None))))
    }
}

impl TaskStatus {
    /// Sets the state, and the trace of the error that led to it.
    pub(crate) fn set(&self, state: State, trace: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (state, trace);
    }

    pub(crate) fn get(&self) -> (State, Option<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
