//! Errors of tasks and of single records. A task error says whether trying again can help; a record
//! error says what is wrong with that one record and never holds a personal value.

use std::fmt;

/// Whether, and how, the runner should try again. Plugins never retry on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Trying again cannot help: the task stays FAILED.
    Never,
    /// A passing reason (a server is away or busy): try the same call again after a pause.
    Backoff,
    /// The connection or session is unusable: close the plugin, open it anew, go on from the last position.
    Reconnect,
}

/// An error of a whole task: no single record is to blame.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the runner does about it.
    pub retry: Retry,
    /// What failed, where, and what to do.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that trying again cannot mend.
    pub fn never(message: impl Into<String>) -> Self {
        Self {
            retry: Retry::Never,
            message: message.into(),
            source: None,
        }
    }

    /// An error that may pass by itself.
    pub fn backoff(message: impl Into<String>) -> Self {
        Self {
            retry: Retry::Backoff,
            message: message.into(),
            source: None,
        }
    }

    /// An error after which the plugin has to be opened anew.
    pub fn reconnect(message: impl Into<String>) -> Self {
        Self {
            retry: Retry::Reconnect,
            message: message.into(),
            source: None,
        }
    }

    /// The message with its causes, as a task's status shows it.
    pub fn trace(&self) -> String {
        let mut text = self.message.clone();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        text
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

/// What is wrong with a record; decides the HTTP status at an intake and the class in a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordErrorKind {
    /// The bytes are not what their format says (Avro, JSON, framing, UTF-8, nesting).
    Malformed,
    /// The schema is unknown or the payload does not fit it.
    Schema,
    /// The contract is missing, not active, or does not match the schema.
    Contract,
    /// A validation of the contract failed.
    Validation,
    /// A field that the operation needs is not there or has another type.
    Field,
    /// The key that the record names is not known or not usable.
    Key,
    /// The record is larger than its destination takes.
    TooLarge,
    /// The record is for a topic that takes no records of connectors.
    Topic,
}

impl RecordErrorKind {
    /// Short name for metric labels and error events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Schema => "schema",
            Self::Contract => "contract",
            Self::Validation => "validation",
            Self::Field => "field",
            Self::Key => "key",
            Self::TooLarge => "too_large",
            Self::Topic => "topic",
        }
    }

    /// The exception class that a Kafka Connect dashboard or dead-letter reader expects.
    pub fn java_class(self) -> &'static str {
        match self {
            Self::Malformed | Self::Schema => "org.apache.kafka.connect.errors.DataException",
            Self::Contract | Self::Validation | Self::Field | Self::Key => {
                "org.apache.kafka.connect.errors.ConnectException"
            }
            Self::TooLarge => "org.apache.kafka.common.errors.RecordTooLargeException",
            Self::Topic => "org.apache.kafka.common.errors.InvalidTopicException",
        }
    }
}

impl fmt::Display for RecordErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one record is rejected. `message` may be shown to the sender, logged and stored beside the
/// record: whoever makes it leaves personal values out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RecordError {
    /// What is wrong.
    pub kind: RecordErrorKind,
    /// What is wrong, for people.
    pub message: String,
}

impl RecordError {
    /// A record error of `kind`.
    pub fn new(kind: RecordErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The payload is malformed.
    pub fn malformed(message: impl fmt::Display) -> Self {
        Self::new(RecordErrorKind::Malformed, message.to_string())
    }

    /// The payload does not fit its schema, or the schema is not known.
    pub fn schema(message: impl fmt::Display) -> Self {
        Self::new(RecordErrorKind::Schema, message.to_string())
    }

    /// A field is missing or of another type.
    pub fn field(message: impl fmt::Display) -> Self {
        Self::new(RecordErrorKind::Field, message.to_string())
    }
}
