//! What becomes of the records of one batch: they are given to the sink, filtered, or rejected.

use std::time::Instant;

use penstock_broker::{Message, ProducerSpec};
use penstock_connect::{Error, Record};

use super::{SinkTask, tolerance_error};
use crate::chain::Rejection;
use crate::tasks::task_error;

impl SinkTask<'_> {
    /// Takes a batch as far as the task is to read, and stops where it has to.
    pub(super) fn take(&mut self, mut messages: Vec<Message>) -> Result<(), Error> {
        let ended = self
            .until_end
            .as_ref()
            .map(|until| until.cut(&mut messages));
        if let Some((index, error)) = self.env.stop_point(&messages) {
            self.take_up_to(&messages[..index])?;
            self.close()?;
            return Err(error);
        }
        if !messages.is_empty() {
            self.take_up_to(&messages)?;
        }
        if let (Some(until), Some(ended)) = (&mut self.until_end, ended) {
            until.reach(ended, self.consumer.as_mut(), &mut self.partitions)?;
        }
        Ok(())
    }

    fn take_up_to(&mut self, messages: &[Message]) -> Result<(), Error> {
        let env = self.env;
        let began = Instant::now();
        let mut chained = env.chained(&mut self.chain, messages, self.read)?;
        let stop = self
            .rejects
            .stop_at(&chained.rejected)
            .map(|rejection| rejection.origin);
        if let Some(stop) = stop {
            let before = |record: &Record| record.origin().index < stop;
            chained.passed.retain(before);
        }
        let mut origins: Vec<usize> = chained
            .passed
            .iter()
            .map(|record| record.origin().index)
            .collect();
        env.metrics.wrote(origins.len());
        if !chained.passed.is_empty() {
            let refused = env.handle.block_on(self.sink.write(chained.passed))?;
            let mut taken = vec![true; origins.len()];
            for (index, error) in refused {
                let Some(origin) = origins.get(index) else {
                    continue;
                };
                taken[index] = false;
                chained.rejected.push(Rejection {
                    origin: *origin,
                    error,
                    stage: "sink".to_owned(),
                });
            }
            // The sink's position does not tell of what it refused.
            let mut taken = taken.into_iter();
            origins.retain(|_| taken.next().unwrap_or(false));
            if let Some(rejection) = self.rejects.stop_at(&chained.rejected)
                && stop.is_none_or(|stop| rejection.origin < stop)
            {
                // The sink has taken records behind it already: begin anew from what is durable, and
                // stop before it then.
                return Err(env.stop_before(&messages[rejection.origin], rejection));
            }
        }
        let ended = stop.unwrap_or(messages.len());
        for (origin, reason) in &chained.filtered {
            if *origin < ended {
                env.metrics.filtered(reason);
            }
        }
        self.unflushed = true;
        env.metrics.handled(began.elapsed());
        self.partitions.note(messages, &origins, ended);
        if let Some(stop) = stop {
            self.close()?;
            env.metrics.rejected();
            return Err(tolerance_error(
                &messages[stop],
                chained
                    .rejected
                    .iter()
                    .find(|rejection| rejection.origin == stop),
            ));
        }
        self.settle(messages, &chained.rejected)
    }

    fn settle(&mut self, messages: &[Message], rejected: &[Rejection]) -> Result<(), Error> {
        if rejected.is_empty() {
            return Ok(());
        }
        if self.journal.is_used() {
            let (env, consumer) = (self.env, self.consumer.as_mut());
            let mut journal = self.journal.journal(env, consumer, &mut self.partitions);
            return journal.reject(&self.rejects, messages, rejected);
        }
        if self.producer.is_none() {
            let spec = ProducerSpec {
                client_id: format!(
                    "{}-{}-dlq",
                    self.env.context.connector, self.env.context.task
                ),
                transactional_id: None,
                overrides: self.env.spec.producer_overrides.clone(),
            };
            self.producer = Some(
                self.env
                    .services
                    .broker
                    .producer(spec)
                    .map_err(task_error)?,
            );
        }
        match &mut self.producer {
            Some(producer) => self.rejects.settle(producer.as_mut(), messages, rejected),
            None => Ok(()),
        }
    }
}
