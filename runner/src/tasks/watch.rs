//! What people who look on are shown: partitions from their latest record, read without a group. A broker
//! that is away, or a topic that is made anew, ends nothing: reading goes on where it was.

use std::collections::{BTreeMap, BTreeSet};

use penstock_broker::{Message, Reader, ReaderSpec, Retry, StartAt, TopicInfo, TopicPartition};
use penstock_connect::Error;

use super::{POLL, POLL_RECORDS, TaskEnv, task_error};

/// The partitions of one task and what reads them.
pub(super) struct Watch<'a> {
    env: &'a TaskEnv,
    spec: ReaderSpec,
    /// `None` before the first look, and after a failure until the next one.
    reader: Option<Box<dyn Reader>>,
    known: BTreeSet<TopicPartition>,
    /// Where to go on with partitions whose reader was given up.
    left_at: BTreeMap<TopicPartition, i64>,
    /// All that was there at the start is known.
    started: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(env: &'a TaskEnv) -> Self {
        let mut spec = ReaderSpec::new(format!("{}-{}", env.context.connector, env.context.task));
        let share = env.services.task_budget();
        spec.poll_bytes = share.min(1 << 20);
        spec.prefetch_bytes = share.min(4 << 20);
        Self {
            env,
            spec,
            reader: None,
            known: BTreeSet::new(),
            left_at: BTreeMap::new(),
            started: false,
        }
    }

    /// The partitions that are read.
    pub(super) fn known(&self) -> impl ExactSizeIterator<Item = &TopicPartition> {
        self.known.iter()
    }

    /// Begins to read partitions that are new. Topics that came to be after the start are read from
    /// their first record: nobody could have looked at them before. Where it fails, those that were
    /// added before are there.
    pub(super) fn look(&mut self) -> (Vec<TopicPartition>, Result<(), Error>) {
        let mut new = Vec::new();
        let looked = self.add(&mut new);
        self.started |= looked.is_ok();
        (new, looked)
    }

    fn add(&mut self, new: &mut Vec<TopicPartition>) -> Result<(), Error> {
        let spec = self.env.spec.clone();
        let topics = self.env.ask(move |services| {
            let names = services.topics_of(&spec)?.into_iter();
            let topics = names.filter_map(|name| services.broker.topic(&name).transpose());
            topics.collect::<penstock_broker::Result<Vec<TopicInfo>>>()
        })?;
        // Asked to stop.
        let Some(topics) = topics else { return Ok(()) };
        self.read(topics, new).map_err(task_error)
    }

    fn read(
        &mut self,
        topics: Vec<TopicInfo>,
        new: &mut Vec<TopicPartition>,
    ) -> penstock_broker::Result<()> {
        let broker = &self.env.services.broker;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(broker.reader(self.spec.clone())?),
        };
        // One that comes again is a new one.
        self.left_at
            .retain(|partition, _| topics.iter().any(|topic| topic.name == partition.topic));
        for topic in topics {
            for number in 0..topic.partitions {
                // Several tasks share the partitions out evenly.
                let context = &self.env.context;
                let ours = usize::try_from(number).unwrap_or(0) % context.tasks == context.task;
                let partition = TopicPartition::new(topic.name.clone(), number);
                if !ours || self.known.contains(&partition) {
                    continue;
                }
                let start = match self.left_at.get(&partition) {
                    Some(offset) => go_on(reader.as_mut(), &partition, *offset)?,
                    None if self.started => StartAt::Earliest,
                    None => StartAt::Latest,
                };
                reader.assign(&partition.topic, number, start)?;
                self.left_at.remove(&partition);
                self.known.insert(partition.clone());
                new.push(partition);
            }
        }
        Ok(())
    }

    /// Records that are new. After an error that may pass, the next look opens another reader.
    pub(super) fn poll(&mut self) -> Result<Vec<Message>, Error> {
        let reader = self.reader.as_mut().filter(|_| !self.known.is_empty());
        let Some(reader) = reader else {
            self.env.pause(POLL);
            return Ok(Vec::new());
        };
        let polled = reader.poll(POLL_RECORDS, POLL).inspect_err(|error| {
            if error.retry != Retry::Never {
                self.give_up();
            }
        });
        polled.map_err(task_error)
    }

    fn give_up(&mut self) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        for partition in std::mem::take(&mut self.known) {
            if let Ok(offset) = reader.position(&partition.topic, partition.partition) {
                self.left_at.insert(partition, offset);
            }
        }
    }
}

/// Where a partition is read on that was read up to `offset`: from its beginning if it does not reach so
/// far any more, since it was made anew.
fn go_on(
    reader: &mut dyn Reader,
    partition: &TopicPartition,
    offset: i64,
) -> penstock_broker::Result<StartAt> {
    let (low, high) = reader.watermarks(&partition.topic, partition.partition)?;
    Ok(if offset <= high {
        StartAt::Offset(offset.max(low))
    } else {
        StartAt::Earliest
    })
}
