//! Topics, groups and transactions behind one blocking, object-safe trait.
//!
//! [`Broker`] opens [`Producer`]s, [`Consumer`]s and [`Reader`]s. There are two brokers: [`kafka`]
//! through librdkafka, and [`embedded`], a durable log in this process. A conformance suite holds
//! both to the behaviour that the trait's documentation states.
//!
//! # Who calls what, when
//!
//! One task is one thread, and owns its consumer and its producer. A task that reads, changes and
//! writes records exactly once goes round this loop:
//!
//! ```text
//! loop {
//!     match consumer.poll(500, timeout)? {
//!         Messages(batch) => {
//!             producer.begin()?;
//!             for each output { producer.send(output)? }
//!             match producer.commit(Some((&consumer.group_metadata()?, &next_offsets))) {
//!                 Ok(_) => {}
//!                 Err(e) if e.retry == Retry::Abort => { producer.abort()?; consumer.seek(to the committed offsets)? }
//!                 Err(e) => close both, open them anew as `e.retry` says
//!             }
//!         }
//!         Assigned(partitions) => start their state; `seek` here if the task keeps its own positions
//!         Revoked { partitions, lost } => {
//!             commit what is finished, or abort if `lost`;
//!             consumer.release()?   // only now another member gets them
//!         }
//!         Idle => {}
//!     }
//! }
//! ```
//!
//! Nothing in here retries for the caller: an [`Error`] says what to do.

mod api;
pub mod embedded;
mod error;
pub mod kafka;
mod partition;
mod record;
mod spec;
mod suggest;

pub use api::{Broker, Consumer, GroupMetadata, Polled, Producer, Reader};
pub use error::{Error, ErrorKind, Result, Retry};
pub use partition::{murmur2, murmur2_partition};
pub use record::{
    Delivery, Header, Message, OutRecord, Placed, TopicPartition, TopicPartitionOffset,
};
pub use spec::{
    ConsumerSpec, Created, ProducerSpec, ReaderSpec, Start, StartAt, TopicInfo, TopicSpec,
};
