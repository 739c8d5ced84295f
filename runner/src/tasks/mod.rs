//! Tasks: one thread each, going round a loop of reading, transforming and writing. What a task
//! needs is in [`TaskEnv`]; each kind of connector has its own loop.

mod batch;
mod broadcast;
mod journal;
mod lag;
mod pipeline;
mod progress;
mod push;
mod registrar;
mod rejects;
mod replay;
mod settled;
mod sink;
mod supervise;
mod until_end;
mod used;
mod watch;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use penstock_broker::{ConsumerSpec, Message, Producer, ProducerSpec, Start, TopicPartition};
use penstock_connect::{Error, Retry, TaskContext};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::chain::{Chain, Chained, Rejection, Stage};
use crate::config::ConnectorSpec;
use crate::converters::Converter;
use crate::ends::Ends;
use crate::metrics::TaskMetrics;
use crate::plugins::Plugins;
use crate::services::Services;
use crate::status::TaskStatus;
use crate::worker::blocking;

pub(crate) use supervise::spawn;
pub(crate) use used::UsedTopics;

/// Longest wait of one poll: how soon a task notices that it is to stop.
const POLL: Duration = Duration::from_millis(100);

/// Records of one poll at most.
const POLL_RECORDS: usize = 2000;

/// First pause of `errors.retry.*`; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(300);

/// Longest time of retrying in place: a group member has to poll again, a transaction to end, before
/// the broker gives them up. A task that starts anew goes on trying.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Why a task came to its end without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to stop.
    Stopped,
    /// There is nothing left that it was to do.
    Completed,
}

/// Everything that one task works with.
pub(crate) struct TaskEnv {
    pub(crate) spec: Arc<ConnectorSpec>,
    pub(crate) context: TaskContext,
    pub(crate) services: Arc<Services>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) metrics: Arc<TaskMetrics>,
    pub(crate) status: TaskStatus,
    pub(crate) stop: CancellationToken,
    pub(crate) handle: Handle,
    /// The topics that the connector writes could not be made yet.
    pub(crate) topics_missing: AtomicBool,
    /// So many records of a source are taken one by one, since the task has to stop at one of them.
    pub(crate) one_by_one: AtomicUsize,
    /// The record before which the next run has to stop.
    pub(crate) stop_before: Mutex<Option<StopBefore>>,
    /// Up to where a sink reads.
    pub(crate) ends: Option<Arc<Ends>>,
    /// What the connector reads and writes.
    pub(crate) used: Arc<UsedTopics>,
    /// Where a task that is done says so, by its connector's name.
    pub(crate) completed: Sender<Arc<str>>,
}

/// A record at which the task stops, found when records behind it were on their way already.
pub(crate) struct StopBefore {
    partition: TopicPartition,
    offset: i64,
    message: String,
}

impl TaskEnv {
    /// Notes the record before which the next run stops; the error asks for that run.
    fn stop_before(&self, message: &Message, rejection: &Rejection) -> Error {
        self.metrics.rejected();
        let error = sink::tolerance_error(message, Some(rejection));
        *self
            .stop_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(StopBefore {
            partition: TopicPartition::new(message.topic.clone(), message.partition),
            offset: message.offset,
            message: error.message.clone(),
        });
        Error::reconnect(error.message)
    }

    /// Where in these messages the task has to stop, and the error that it stops with.
    fn stop_point(&self, messages: &[Message]) -> Option<(usize, Error)> {
        let noted = self
            .stop_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let stop = noted.as_ref()?;
        let index = messages.iter().position(|message| {
            message.offset == stop.offset
                && message.partition == stop.partition.partition
                && message.topic == stop.partition.topic
        })?;
        Some((index, Error::never(stop.message.clone())))
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The connector's transforms, built anew.
    fn chain(&self) -> Result<Chain, Error> {
        let mut stages = Vec::new();
        for spec in &self.spec.transforms {
            let transform = self.plugins.build_transform(
                &spec.class,
                spec.settings.clone(),
                &self.context,
                &self.services,
            )?;
            let predicate = match &spec.predicate {
                Some((name, negate)) => match self.spec.predicates.get(name) {
                    Some((class, settings)) => Some((
                        self.plugins.build_predicate(class, settings.clone())?,
                        *negate,
                    )),
                    None => None,
                },
                None => None,
            };
            stages.push(Stage {
                name: spec.name.clone(),
                transform,
                predicate,
            });
        }
        Ok(Chain::new(stages))
    }

    /// The consumer group of a sink or pipeline.
    fn group(&self) -> String {
        self.services.group_of(&self.spec)
    }

    fn consumer_spec(&self, topics: Vec<String>) -> ConsumerSpec {
        let share = self.services.task_budget();
        let mut spec = ConsumerSpec::new(self.group(), topics);
        spec.client_id = format!("{}-{}", self.context.connector, self.context.task);
        spec.poll_bytes = share.min(4 << 20);
        spec.prefetch_bytes = share;
        spec.overrides = self.spec.consumer_overrides.clone();
        if let Some("latest" | "largest" | "end") = spec
            .overrides
            .get("auto.offset.reset")
            .map(|reset| reset.trim())
        {
            spec.start = Start::Latest;
        }
        spec
    }

    /// Asks the broker on another thread, since an answer may take long while it is away. `None` when
    /// asked to stop meanwhile: what is answered then comes to nobody.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Services) -> penstock_broker::Result<T> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        self.handle.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Ok(None),
                answer = blocking(&self.services, question) => answer.map(Some).map_err(task_error),
            }
        })
    }

    /// The topics that the connector reads now; `None` when asked to stop meanwhile.
    fn topics(&self) -> Result<Option<Vec<String>>, Error> {
        let spec = self.spec.clone();
        self.ask(move |services| services.topics_of(&spec))
    }

    /// Waits for the topics that the connector reads; `None` when asked to stop meanwhile.
    fn wait_for_topics(&self) -> Result<Option<Vec<String>>, Error> {
        while let Some(topics) = self.topics()? {
            if !topics.is_empty() {
                return Ok(Some(topics));
            }
            if self.pause(Duration::from_millis(500)) {
                break;
            }
        }
        Ok(None)
    }

    /// Opens a producer, which for one with transactions waits for the broker; `None` when asked to stop
    /// meanwhile.
    fn producer(&self, spec: ProducerSpec) -> Result<Option<Box<dyn Producer>>, Error> {
        self.ask(move |services| services.broker.producer(spec))
    }

    /// Runs an operation, and again while it fails for a passing reason, for at most
    /// `errors.retry.timeout`. It may be one batch's worth of work: nothing of it has ended before it
    /// succeeds. When the time is over the task starts anew, under supervision.
    fn retrying<T>(
        &self,
        mut operation: impl AsyncFnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let common = &self.spec.common;
        let patience =
            u64::try_from(common.retry_timeout).map_or(LONGEST_RETRY, Duration::from_millis);
        let until = Instant::now() + patience.min(LONGEST_RETRY);
        let mut delay = FIRST_RETRY;
        loop {
            let error = match self.handle.block_on(operation()) {
                Err(error) if error.retry == Retry::Backoff => error,
                ended => return ended,
            };
            self.metrics.failed();
            let pause = delay
                .min(common.retry_delay_max.0)
                .mul_f64(rand::random_range(0.8..1.2));
            if Instant::now() + pause > until || self.pause(pause) {
                return Err(error);
            }
            self.metrics.retried();
            delay *= 2;
        }
    }

    /// Reads messages by the converters of keys and values and runs the records through the chain, again
    /// while what that needs is away. What no converter reads is rejected like what a transform refuses.
    fn chained(
        &self,
        chain: &mut Chain,
        messages: &[Message],
        (key, value): (Converter, Converter),
    ) -> Result<Chained, Error> {
        self.metrics.read(messages.len());
        self.used
            .note(messages.iter().map(|message| &message.topic));
        let registry = &self.services.registry;
        self.retrying(async || {
            let (records, unread) = batch::read(messages, key, value, registry).await?;
            let mut chained = chain.run(records).await?;
            chained.rejected.extend(unread);
            Ok(chained)
        })
    }

    /// Waits, or less if asked to stop; says whether to stop.
    fn pause(&self, time: Duration) -> bool {
        self.handle.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => true,
                () = tokio::time::sleep(time) => self.stopping(),
            }
        })
    }
}

/// A broker's error as a task's: everything that may pass begins with a new consumer and producer.
pub(crate) fn task_error(error: penstock_broker::Error) -> Error {
    let retry = match error.retry {
        penstock_broker::Retry::Never => Retry::Never,
        penstock_broker::Retry::Backoff => Retry::Backoff,
        penstock_broker::Retry::Reconnect
        | penstock_broker::Retry::Fenced
        | penstock_broker::Retry::Abort => Retry::Reconnect,
    };
    Error {
        retry,
        message: error.message.clone(),
        source: Some(Box::new(error)),
    }
}
