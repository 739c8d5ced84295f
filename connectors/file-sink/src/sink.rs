//! The sink: hands records to the files of their partitions, keeps memory and open files bounded,
//! and says what is durable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use penstock_connect::{
    Error, FlushReason, Journal, Position, Record, RecordError, RecordErrorKind, Sink, TaskContext,
    TopicPartition,
};
use penstock_files::{Content, Timestamps};

use crate::chunk::ChunkEncoder;
use crate::config::{FileSinkConfig, NullValues};
use crate::counters::Counters;
use crate::failure::failed;
use crate::output::{Output, Rotation};
use crate::template::PathTemplate;

/// Lines of all partitions together that wait in memory for a full chunk.
const BUFFERED: usize = 8 << 20;

/// Writes records as JSON lines, one file for each topic and partition, exactly once.
///
/// Positions move in [`Sink::flush`] only, so whatever has to be durable before them (dead letters of
/// records that were rejected) has to be so before that call.
pub struct FileSink {
    template: Arc<PathTemplate>,
    rotation: Rotation,
    fields: Content,
    null_values: NullValues,
    max_open: usize,
    encoder: ChunkEncoder,
    counters: Counters,
    outputs: Vec<Held>,
    /// Places in `outputs`.
    index: HashMap<TopicPartition, usize>,
    /// Counts up with every use of an output; the one used longest ago is parked first.
    clock: u64,
    /// Which output each record of the batch goes to; kept to save the allocation.
    places: Vec<usize>,
}

struct Held {
    partition: TopicPartition,
    output: Output,
    used: u64,
    /// Records below this offset were taken before the batch at hand.
    taken: i64,
}

impl FileSink {
    /// A sink for one task.
    pub fn new(config: FileSinkConfig, context: &TaskContext) -> Result<Self, Error> {
        let encoder = ChunkEncoder::new(config.compression)
            .map_err(|error| failed("compress", config.file.text().as_ref(), error))?;
        Ok(Self {
            template: Arc::new(config.file),
            rotation: Rotation {
                bytes: config.rotate_bytes.map(|size| size.0),
                age: config.rotate_age.map(|age| age.0),
            },
            fields: config.fields,
            null_values: config.null_values,
            max_open: config.max_open,
            encoder,
            counters: Counters::new(context),
            outputs: Vec::new(),
            index: HashMap::new(),
            clock: 0,
            places: Vec::new(),
        })
    }

    fn hold(&mut self, partition: &TopicPartition, output: Output) -> usize {
        let place = self.outputs.len();
        self.outputs.push(Held {
            partition: partition.clone(),
            output,
            used: self.clock,
            taken: i64::MIN,
        });
        self.index.insert(partition.clone(), place);
        place
    }

    /// Lets go of a partition's files, and of what was not flushed.
    fn release(&mut self, partition: &TopicPartition) {
        if let Some(place) = self.index.remove(partition) {
            self.outputs.swap_remove(place);
            if let Some(moved) = self.outputs.get(place) {
                self.index.insert(moved.partition.clone(), place);
            }
        }
    }

    /// Parks the files used longest ago until one more may be opened. `keep` stays open.
    fn make_room(&mut self, keep: Option<usize>) -> Result<(), Error> {
        let mut open = self
            .outputs
            .iter()
            .filter(|held| held.output.is_open())
            .count();
        while open >= self.max_open {
            let oldest = self
                .outputs
                .iter_mut()
                .enumerate()
                .filter(|(place, held)| held.output.is_open() && Some(*place) != keep)
                .min_by_key(|(_, held)| held.used);
            let Some((_, oldest)) = oldest else { break };
            self.counters
                .bytes
                .inc_by(oldest.output.park(&mut self.encoder)?);
            open -= 1;
        }
        Ok(())
    }

    /// Finds the output of each record; makes those that do not exist yet.
    fn find_outputs(&mut self, records: &[Record]) -> Result<(), Error> {
        self.places.clear();
        for at in 0..records.len() {
            let partition = records[at].origin().partition.as_ref().ok_or_else(|| {
                Error::never(
                    "a file sink takes records that were read from a topic, and this one was not",
                )
            })?;
            let before = at
                .checked_sub(1)
                .and_then(|before| records[before].origin().partition.as_ref());
            let place = match (before, self.places.last()) {
                (Some(before), Some(place)) if before == partition => *place,
                _ => match self.index.get(partition) {
                    Some(place) => *place,
                    None => {
                        self.make_room(None)?;
                        let output = Output::create(&self.template, self.rotation, partition)?;
                        self.hold(partition, output)
                    }
                },
            };
            self.outputs[place]
                .output
                .refuse_below_durable(records[at].origin().offset)?;
            self.places.push(place);
        }
        Ok(())
    }

    fn spill(&mut self, place: usize) -> Result<(), Error> {
        if !self.outputs[place].output.is_open() {
            self.make_room(Some(place))?;
        }
        self.clock += 1;
        let held = &mut self.outputs[place];
        held.used = self.clock;
        self.counters
            .bytes
            .inc_by(held.output.spill(&mut self.encoder)?);
        Ok(())
    }

    /// Writes full chunks, and everything when all of it together is much.
    fn spill_full(&mut self) -> Result<(), Error> {
        let total: usize = self.outputs.iter().map(|held| held.output.buffered()).sum();
        let least = if total > BUFFERED {
            1
        } else {
            self.encoder.chunk_size()
        };
        for place in 0..self.outputs.len() {
            if self.outputs[place].output.buffered() >= least {
                self.spill(place)?;
            }
        }
        Ok(())
    }
}

/// Takes one record into its output.
fn take(
    held: &mut Held,
    record: &Record,
    fields: &Content,
    null_values: NullValues,
    now: SystemTime,
    counters: &Counters,
) -> Result<(), RecordError> {
    let offset = record.origin().offset;
    if offset < held.taken {
        counters.taken_before.inc();
        return Ok(());
    }
    held.output
        .take(offset, now, |lines| match (&record.value, null_values) {
            (None, NullValues::Ignore) => {
                counters.tombstones.inc();
                Ok(())
            }
            (None, NullValues::Fail) => Err(RecordError::new(
                RecordErrorKind::Malformed,
                "the value is null (a tombstone), and behavior.on.null.values is fail",
            )),
            _ => {
                fields.append_json(record, Timestamps::Millis, lines)?;
                lines.push(b'\n');
                Ok(())
            }
        })
}

#[async_trait]
impl Sink for FileSink {
    async fn open(
        &mut self,
        partitions: &[TopicPartition],
        _journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        let mut positions = Vec::new();
        for partition in partitions {
            self.release(partition);
            self.make_room(None)?;
            let Some(output) = Output::recover(&self.template, self.rotation, partition)? else {
                continue;
            };
            if let Some(offset) = output.durable() {
                positions.push(Position {
                    partition: partition.clone(),
                    offset,
                });
            }
            self.hold(partition, output);
        }
        Ok(positions)
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<(usize, RecordError)>, Error> {
        // Whatever can fail for another reason than a record comes before anything is taken: an
        // error here means that none of the batch was.
        for place in 0..self.outputs.len() {
            if self.outputs[place].output.is_stalled() {
                self.spill(place)?;
            }
        }
        self.spill_full()?;
        self.find_outputs(&records)?;

        // A batch that the runner gives again begins at the last durable position: what was taken
        // before is left out. One record may have become several with the same offset, so only
        // earlier batches count.
        for held in &mut self.outputs {
            held.taken = held.output.next().unwrap_or(i64::MIN);
        }
        let now = SystemTime::now();
        let mut rejected = Vec::new();
        for (at, (record, place)) in records.iter().zip(&self.places).enumerate() {
            let held = &mut self.outputs[*place];
            if let Err(error) = take(
                held,
                record,
                &self.fields,
                self.null_values,
                now,
                &self.counters,
            ) {
                rejected.push((at, error));
            }
        }
        // What cannot be written now is kept, and the next call meets the same error before it takes
        // anything.
        let _ = self.spill_full();
        Ok(rejected)
    }

    async fn flush(
        &mut self,
        _reason: FlushReason,
        _journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        let now = SystemTime::now();
        let mut positions = Vec::with_capacity(self.outputs.len());
        for place in 0..self.outputs.len() {
            if self.outputs[place].output.needs_commit(now) {
                if !self.outputs[place].output.is_open() {
                    self.make_room(Some(place))?;
                }
                let (bytes, rotated) = self.outputs[place].output.commit(&mut self.encoder, now)?;
                self.counters.bytes.inc_by(bytes);
                self.counters.rotations.inc_by(u64::from(rotated));
            }
            let held = &self.outputs[place];
            if let Some(offset) = held.output.durable() {
                positions.push(Position {
                    partition: held.partition.clone(),
                    offset,
                });
            }
        }
        Ok(positions)
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        for partition in partitions {
            self.release(partition);
        }
        Ok(())
    }
}
