//! The start of a worker as those see it who ask meanwhile: what it waits for, until it is ready.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::services::Services;
use crate::worker::StartError;

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How far the start has come.
#[derive(Debug)]
pub(crate) struct Startup(Mutex<Option<String>>);

impl Default for Startup {
    fn default() -> Self {
        Self(Mutex::new(Some("the worker is starting".to_owned())))
    }
}

impl Startup {
    /// What is waited for; `None` once the worker is ready.
    pub(crate) fn waits_for(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn is_ready(&self) {
        self.set(None);
    }

    fn set(&self, waits_for: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waits_for;
    }
}

/// Tries until it works, or fails for a reason that does not pass. What is waited for stands in the log
/// once, and in `/health` all the time.
pub(crate) async fn patiently<T, E: Display>(
    services: &Services,
    what: &str,
    passes: impl Fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, StartError> {
    let mut pause = services.worker.restart_delay.0;
    let mut told = false;
    loop {
        let error = match attempt().await {
            Ok(done) => {
                if told {
                    tracing::info!("{what}: there again");
                }
                return Ok(done);
            }
            Err(error) => error,
        };
        if !passes(&error) {
            return Err(StartError::one(what, error));
        }
        if !told {
            tracing::warn!("the worker waits: {what}: {error}");
            told = true;
        }
        services
            .startup
            .set(Some(format!("the worker waits: {what}: {error}")));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE.max(services.worker.restart_delay.0));
    }
}
