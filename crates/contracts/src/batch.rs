//! The events of one batch: their programs and where their fields lie, kept from `prepare` to `apply`.

use std::sync::Arc;

use penstock_connect::{Error, Record, RecordError};
use penstock_formats::Found;

use crate::program::Program;
use crate::resolver::Resolver;

/// What a walk over each event of a batch found. Reused from batch to batch to save allocations.
#[derive(Default)]
pub struct EventBatch {
    programs: Vec<Result<Arc<Program>, RecordError>>,
    found: Vec<Found>,
}

impl EventBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Walks over the values of all records. What is wrong with one of them is kept for [`EventBatch::get`].
    pub async fn read(&mut self, resolver: &mut Resolver, records: &[Record]) -> Result<(), Error> {
        resolver.refresh();
        self.programs.clear();
        if self.found.len() < records.len() {
            self.found.resize_with(records.len(), Found::new);
        }
        for (record, found) in records.iter().zip(&mut self.found) {
            let value = record.value.as_ref();
            let program = match resolver.find_known(value, found) {
                Ok(Some(program)) => Ok(program),
                Ok(None) => resolver.find(value, found).await?,
                Err(error) => Err(error),
            };
            self.programs.push(program);
        }
        Ok(())
    }

    /// The program and the fields of the event with this index within the batch. `kept` is what the
    /// event's payload kept from a walk before ([`Payload::found`](penstock_formats::Payload::found)).
    pub fn get<'a>(
        &'a self,
        index: usize,
        kept: Option<&'a Found>,
    ) -> Result<(&'a Arc<Program>, &'a Found), &'a RecordError> {
        match self.programs.get(index) {
            Some(Ok(program)) => {
                let kept = kept.filter(|found| found.is_by(&program.fields));
                Ok((program, kept.unwrap_or(&self.found[index])))
            }
            Some(Err(error)) => Err(error),
            None => unreachable!("record {index} was not in the batch that was prepared"),
        }
    }

    /// Hands over what was found in the event with this index, which is not asked for again here.
    #[must_use]
    pub fn take_found(&mut self, index: usize) -> Found {
        self.found[index].take()
    }
}
