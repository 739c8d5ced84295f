//! What can go wrong between us and a registry, and whether asking again may help.

use std::time::Duration;

/// Whether the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The answer will stay the same until somebody changes the request or the registry.
    Never,
    /// The registry is away or overloaded; the client has already waited its bounded time.
    Backoff,
}

/// A failed registry request. Cheap to clone, since all who wait for one answer share it; holds no
/// schema content beyond what the registry's own message says.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// The settings cannot work: a URL, a certificate, credentials.
    #[error("schema registry settings: {0}")]
    Config(String),
    /// No registry answered, or all answered that they cannot now.
    #[error("{request}: the schema registry is not available: {cause}")]
    Unavailable {
        /// What was asked, without host or credentials.
        request: String,
        /// The last failure.
        cause: String,
        /// How long the registry asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The registry refused.
    #[error("{request}: the schema registry answered {status} (error code {code}): {message}")]
    Refused {
        /// What was asked, without host or credentials.
        request: String,
        /// The HTTP status.
        status: u16,
        /// Confluent's error code, or the status where there is none.
        code: i64,
        /// The registry's own words.
        message: String,
    },
    /// The answer is not what a registry sends.
    #[error("{request}: the schema registry's answer cannot be used: {cause}")]
    BadAnswer {
        /// What was asked, without host or credentials.
        request: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The schema, or one it refers to, cannot be used here.
    #[error("{what}: {cause}")]
    Schema {
        /// Which schema: an id, a GUID, or subject and version.
        what: String,
        /// Why.
        cause: String,
    },
    /// References lead back to where they began.
    #[error("the references of {what} form a cycle: {path}")]
    Cycle {
        /// The schema that was asked for.
        what: String,
        /// Subjects and versions on the way.
        path: String,
    },
}

impl RegistryError {
    /// Whether trying the same again may help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    /// Whether the registry says that there is no such schema, subject or version.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// The registry's error code, if it refused.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
