//! The events of one batch: their programs and where their fields lie, kept from `prepare` to `apply`.

use std::sync::{Arc, Mutex, PoisonError};

use penstock_connect::{Error, Record, RecordError};
use penstock_formats::Found;

use crate::program::Program;
use crate::resolver::Resolver;

#[allow(
    clippy::vec_box,
    reason = "payloads carry them in their boxes, which are passed round, too"
)]
type Buffers = Vec<Box<Found>>;

/// What a walk over each event of a batch found. Reused from batch to batch to save allocations.
#[derive(Default)]
pub struct EventBatch {
    programs: Vec<Result<Arc<Program>, RecordError>>,
    /// `None`: handed over.
    found: Vec<Option<Box<Found>>>,
    /// Handed over by a transform before, and of no more use here.
    used: Buffers,
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
            self.found.resize_with(records.len(), || None);
        }
        let found = &mut self.found[..records.len()];
        let lacking = found.iter().filter(|found| found.is_none()).count();
        let mut spare = resolver.spare().exchange(&mut self.used, lacking);
        for (record, found) in records.iter().zip(found) {
            let value = record.value.as_ref();
            let found = found.get_or_insert_with(|| spare.pop().unwrap_or_default());
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
                match kept.or(self.found[index].as_deref()) {
                    Some(found) => Ok((program, found)),
                    None => unreachable!("what was found in record {index} was handed over"),
                }
            }
            Some(Err(error)) => Err(error),
            None => unreachable!("record {index} was not in the batch that was prepared"),
        }
    }

    /// Hands over what was found in the event with this index, which is not asked for again here.
    #[must_use]
    pub fn take_found(&mut self, index: usize) -> Box<Found> {
        self.found[index].take().unwrap_or_default()
    }

    /// Takes what another transform had found in an event and nobody needs any more, to be used again.
    pub fn recycle(&mut self, found: Box<Found>) {
        self.used.push(found);
    }
}

/// What was found in events that are done, for transforms that hand theirs over: one that checks events
/// and one that encrypts them pass the same ones round, batch after batch.
#[derive(Debug, Default)]
pub(crate) struct SpareFound(Mutex<Buffers>);

impl SpareFound {
    /// As much as batches may have under way; what is more is not kept.
    const MOST: usize = 10_000;

    /// Takes in what was used, and gives out up to `count`.
    fn exchange(&self, used: &mut Buffers, count: usize) -> Buffers {
        if used.is_empty() && count == 0 {
            return Buffers::new();
        }
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Self::MOST.saturating_sub(spare.len());
        spare.extend(used.drain(..).take(room));
        let rest = spare.len().saturating_sub(count);
        spare.split_off(rest)
    }
}
