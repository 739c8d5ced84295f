//! What can go wrong while fetching, starting or stopping something, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Result of a project task.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed project task.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that the task needs is not on the `PATH`.
    #[error("`{tool}` was not found: {hint}")]
    MissingTool {
        /// The program.
        tool: &'static str,
        /// What to install.
        hint: &'static str,
    },
    /// A file or a process could not be handled.
    #[error("{action}: {source}")]
    Io {
        /// What was attempted, with the path.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("{what} failed ({status}); its log is {}, which ends:\n{tail}", log.display())]
    Command {
        /// What the command was to do.
        what: String,
        /// Its exit status.
        status: String,
        /// Where its whole output is.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// A server ended before it was ready.
    #[error("{service} ended while starting ({status}); its log is {}, which ends:\n{tail}", log.display())]
    EndedEarly {
        /// The server.
        service: String,
        /// Its exit status.
        status: String,
        /// Where its whole output is.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// A server did not become ready in time.
    #[error("{service} was not ready after {} s; its log is {}, which ends:\n{tail}", waited.as_secs(), log.display())]
    NotReady {
        /// The server.
        service: String,
        /// How long the task waited.
        waited: Duration,
        /// Where its whole output is.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// Something else, said in one sentence.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// For `map_err`: names what was attempted on `path`.
    pub fn io(action: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let action = format!("cannot {action} {}", path.display());
        move |source| Self::Io { action, source }
    }
}
