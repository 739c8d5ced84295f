//! How a record ends, and the way back to whoever sent it.

use crate::RecordError;

/// The end of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable at its destination.
    Delivered,
    /// A transform dropped it on purpose.
    Filtered {
        /// Why, in a few fixed words.
        reason: &'static str,
    },
    /// It cannot be delivered as it is.
    Rejected(RecordError),
    /// The destination is away or busy: the same record may be sent again later.
    Unavailable {
        /// What is away, for people.
        message: String,
    },
}

/// The way back to the sender of a pushed record. Dropping it unsent tells the sender that the
/// outcome is not known.
#[derive(Debug)]
pub struct Reply(tokio::sync::oneshot::Sender<Outcome>);

impl Reply {
    /// A reply and the end that waits for it.
    pub fn channel() -> (Self, tokio::sync::oneshot::Receiver<Outcome>) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        (Self(sender), receiver)
    }

    /// Tells the sender; a sender that has gone away is no error.
    pub fn send(self, outcome: Outcome) {
        // The sender may have hung up meanwhile: nobody is left to tell.
        let _ = self.0.send(outcome);
    }
}
