//! The sink.

use async_trait::async_trait;
use penstock_connect::{
    Error, FlushReason, Journal, Position, Record, RecordError, Sink, TaskContext, TopicPartition,
};

use crate::Plan;

/// Writes records as files into an object store, each record once.
pub struct ObjectSink {
    plan: Plan,
}

impl ObjectSink {
    /// A sink for one task. Needs a tokio runtime around it once it is opened.
    pub fn new(plan: Plan, context: &TaskContext) -> Result<Self, Error> {
        let _ = context;
        plan.files.check()?;
        Ok(Self { plan })
    }
}

#[async_trait]
impl Sink for ObjectSink {
    async fn open(
        &mut self,
        _: &[TopicPartition],
        _: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        Err(Error::never(format!(
            "{} cannot be written yet",
            self.plan.store.name()
        )))
    }

    async fn write(&mut self, _: Vec<Record>) -> Result<Vec<(usize, RecordError)>, Error> {
        Ok(Vec::new())
    }

    async fn flush(&mut self, _: FlushReason, _: &mut dyn Journal) -> Result<Vec<Position>, Error> {
        Ok(Vec::new())
    }

    async fn close(&mut self, _: &[TopicPartition]) -> Result<(), Error> {
        Ok(())
    }
}
