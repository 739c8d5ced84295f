//! Errors of brokers: what failed, and what the caller does about it.

use std::fmt;

/// What the caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Trying again cannot help: configuration, authorization, a request that makes no sense.
    Never,
    /// A passing reason: call the same method again after a pause.
    Backoff,
    /// This client is unusable: drop it, open a new one, go on from the committed position. After a
    /// `commit` that ends so, the committed offsets tell whether the transaction went through.
    Reconnect,
    /// Another instance took over (same `transactional.id`, or the group went on without this
    /// member): drop producer and consumer, write nothing more, join anew.
    Fenced,
    /// The transaction cannot be committed: call `abort`, seek back to the committed offsets, go on.
    Abort,
}

/// What went wrong, for callers that treat some cases of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The topic or partition does not exist.
    UnknownTopic,
    /// The record is larger than the broker takes.
    TooLarge,
    /// The topic is compacted, and the record has no key.
    NoKey,
    /// The offset lies outside of what the partition holds.
    OffsetOutOfRange,
    /// The broker cannot be reached or does not answer in time.
    Unreachable,
    /// Authentication or authorization failed.
    Denied,
    /// Another producer or group generation took over.
    Fenced,
    /// Another process has the data directory open.
    Locked,
    /// The stored data cannot be read.
    Corrupt,
    /// The disk is full or not writable.
    Storage,
    /// A setting or an argument is not valid.
    Invalid,
    /// A call that the state does not allow, e.g. `commit` without `begin`.
    State,
    /// Anything else.
    Other,
}

/// An error of a broker. The message never holds keys, values or passwords.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// What the caller does about it.
    pub retry: Retry,
    /// What went wrong.
    pub kind: ErrorKind,
    /// What failed, where, and what to do.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error {
    /// An error of `kind` that asks the caller for `retry`.
    pub fn new(retry: Retry, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            retry,
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Retry::Never, ErrorKind::Invalid, message)
    }

    pub(crate) fn state(message: impl Into<String>) -> Self {
        Self::new(Retry::Never, ErrorKind::State, message)
    }

    pub(crate) fn no_key(topic: &str) -> Self {
        Self::new(
            Retry::Never,
            ErrorKind::NoKey,
            format!("topic {topic:?} is compacted: records need a key"),
        )
    }

    pub(crate) fn unknown_topic(topic: &str) -> Self {
        Self::new(
            Retry::Backoff,
            ErrorKind::UnknownTopic,
            format!("topic {topic:?} does not exist"),
        )
    }
}
