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
    #[error("{request}: the schema registry answered {status} (error code {code}): {message}{}", advice(*.status))]
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
    #[error(
        "{request}: the schema registry's answer cannot be used: {cause}; perhaps something else, such as a proxy, \
         answers at schema.registry.url"
    )]
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

/// Confluent's code for what the mode of a registry or subject does not permit.
const NOT_PERMITTED: i64 = 42205;

/// What to do about a refusal, where its status tells.
fn advice(status: u16) -> &'static str {
    match status {
        401 => "; check basic.auth.user.info",
        403 => "; check the rights of the user in basic.auth.user.info",
        _ => "",
    }
}

impl RegistryError {
    /// Whether trying the same again may help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    /// Whether the registry says that there is no such schema, subject or version. A 404 without
    /// Confluent's error code is not its word: an ingress without a registry behind it answers so.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 404,
                code: 40401..=40403,
                ..
            }
        )
    }

    /// Whether this is about the schema that was asked for or registered: it is not there, cannot be
    /// used, or does not fit its subject. Everything else is about the service (it is away, refuses
    /// the credentials, something else answers in its place) and says nothing of a record.
    pub fn is_about_schema(&self) -> bool {
        match self {
            Self::Schema { .. } | Self::Cycle { .. } => true,
            // Not while the registry, or the subject, is read-only.
            Self::Refused {
                status: 409 | 422,
                code,
                ..
            } => *code != NOT_PERMITTED,
            _ => self.is_not_found(),
        }
    }

    /// The registry's error code, if it refused.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
