//! The source: one connection after the other, and batches of what they bring.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use futures::future::BoxFuture;
use penstock_connect::{Error, Source, SourceBatch, SourceRecord, TaskContext};
use penstock_registry::RegistryClient;
use reqwest::Response;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::config::SseSourceConfig;
use crate::connection::Connector;
use crate::counters::Counters;
use crate::decoder::{Decoder, ServerEvent};
use crate::event::EventReader;
use crate::position::Position;

/// Server-sent events as records. The first task of a connector connects; others stay idle, since a
/// stream cannot be divided.
pub struct SseSource {
    config: SseSourceConfig,
    context: TaskContext,
    registry: RegistryClient,
    reader: Option<Reader>,
}

impl SseSource {
    /// A source for one task. The registry knows the pinned schema.
    pub fn new(
        config: SseSourceConfig,
        context: &TaskContext,
        registry: RegistryClient,
    ) -> Result<Self, Error> {
        Ok(Self {
            config,
            context: context.clone(),
            registry,
            reader: None,
        })
    }
}

#[async_trait]
impl Source for SseSource {
    fn replayable(&self) -> bool {
        true
    }

    async fn open(&mut self, position: Option<Value>) -> Result<(), Error> {
        self.reader = None;
        if self.context.task > 0 {
            tracing::info!(
                connector = &*self.context.connector,
                task = self.context.task,
                "task 0 connects; this one stays idle"
            );
            return Ok(());
        }
        let config = &self.config;
        let schema = match &config.schema {
            Some(reference) => {
                let schema = self.registry.configured(reference).await?;
                Some((reference.clone(), schema))
            }
            None => None,
        };
        let max_event = usize::try_from(config.max_event.0).unwrap_or(usize::MAX);
        self.reader = Some(Reader {
            events: EventReader::new(&config.topic, schema, max_event)?,
            connector: Connector::new(config)?,
            position: Position::load(position)?,
            backoff: Backoff::new(config.backoff.0, config.backoff_max.0),
            counters: Counters::new(&self.context),
            name: Arc::clone(&self.context.connector),
            drop_canaries: config.drop_canaries,
            max_event,
            idle: config.idle.0,
            batch: Batch::new(config),
            link: Link::Down {
                until: Instant::now(),
            },
        });
        Ok(())
    }

    fn limit(&mut self, records: Option<usize>) {
        if let Some(reader) = &mut self.reader {
            reader.batch.max_events = records.unwrap_or(self.config.batch_events);
        }
    }

    async fn poll(&mut self) -> Result<SourceBatch, Error> {
        match &mut self.reader {
            Some(reader) => reader.poll().await,
            None => std::future::pending().await,
        }
    }

    async fn close(&mut self) {
        self.reader = None;
    }
}

/// An open source. Everything that is under way stays in here, so that a poll that is given up loses
/// nothing.
struct Reader {
    events: EventReader,
    connector: Connector,
    position: Position,
    backoff: Backoff,
    counters: Counters,
    name: Arc<str>,
    drop_canaries: bool,
    max_event: usize,
    idle: Duration,
    batch: Batch,
    link: Link,
}

/// The connection.
enum Link {
    Down {
        until: Instant,
    },
    Connecting(BoxFuture<'static, Result<Response, Error>>),
    Up {
        response: Response,
        decoder: Box<Decoder>,
        since: Instant,
        /// When the last byte came.
        heard: Instant,
    },
    /// Not to be had; the worker is told as soon as it has taken what came before.
    Failed(Option<Error>),
}

impl Reader {
    async fn poll(&mut self) -> Result<SourceBatch, Error> {
        loop {
            self.decode();
            if let Some(records) = self.batch.take_if_due() {
                return Ok(SourceBatch {
                    records,
                    position: Some(self.position.store()),
                });
            }
            if let Link::Failed(error) = &mut self.link {
                if self.batch.is_empty() {
                    let error = error.take();
                    return Err(error.unwrap_or_else(|| Error::reconnect("the connection failed")));
                }
                self.batch.end_wait();
                continue;
            }
            let due = self.batch.due();
            tokio::select! {
                biased;
                () = self.advance() => {}
                () = wait_until(due) => {}
            }
        }
    }

    /// Takes the connection one step further. Cancel-safe: what is awaited stays in `link`.
    async fn advance(&mut self) {
        match &mut self.link {
            Link::Failed(_) => {}
            Link::Down { until } => {
                sleep_until(*until).await;
                self.link = if self.backoff.is_hopeless() {
                    Link::Failed(Some(Error::reconnect(
                        "the server ends each connection before an event comes",
                    )))
                } else {
                    self.position.resume();
                    Link::Connecting(self.connector.connect(&self.position.id))
                };
            }
            Link::Connecting(answer) => {
                self.link = match answer.await {
                    Ok(response) => {
                        tracing::info!(connector = &*self.name, "connected to the event stream");
                        let now = Instant::now();
                        Link::Up {
                            response,
                            decoder: Box::new(Decoder::new(
                                self.max_event,
                                Arc::clone(&self.position.id),
                            )),
                            since: now,
                            heard: now,
                        }
                    }
                    Err(error) => Link::Failed(Some(error)),
                };
            }
            Link::Up {
                response,
                decoder,
                since,
                heard,
            } => {
                let reason = tokio::select! {
                    biased;
                    chunk = response.chunk() => match chunk {
                        Ok(Some(chunk)) => {
                            *heard = Instant::now();
                            decoder.feed(&chunk);
                            return;
                        }
                        Ok(None) => "closed",
                        Err(_) => "broken",
                    },
                    () = sleep_until(*heard + self.idle) => "silent",
                };
                let lasted = since.elapsed();
                self.reconnect(reason, lasted);
            }
        }
    }

    /// Gives the connection up for another one.
    fn reconnect(&mut self, reason: &'static str, lasted: Duration) {
        tracing::info!(
            connector = &*self.name,
            reason,
            "the connection ended; connecting again"
        );
        self.counters.reconnect(reason);
        self.backoff.ended(lasted);
        self.link = Link::Down {
            until: Instant::now() + self.backoff.pause(),
        };
    }

    /// Makes records of the events that are complete, as far as the batch has room.
    fn decode(&mut self) {
        while !self.batch.is_full() {
            let Link::Up { decoder, .. } = &mut self.link else {
                return;
            };
            if let Some(retry) = decoder.take_retry() {
                self.backoff.set_base(retry);
            }
            let Some(event) = decoder.next_event() else {
                return;
            };
            self.take(event);
        }
    }

    fn take(&mut self, event: ServerEvent) {
        if event.kind == "error" {
            // The server's own source failed: what its message holds is not for the log.
            self.reconnect("server error", Duration::ZERO);
            return;
        }
        self.backoff.event();
        self.counters.last_event.set(Utc::now().timestamp());
        let seen = self.events.look(&event);
        let topic = seen.topic.as_deref();
        if !self.position.take(seen.identity, event.id, topic) {
            self.counters.repeated.inc();
            return;
        }
        self.batch.begin();
        if seen.is_canary && self.drop_canaries {
            self.counters.canaries.inc();
        } else {
            self.batch.push(self.events.record(seen));
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What has come since the last batch. A batch goes at once if the last one is long enough ago.
struct Batch {
    records: Vec<SourceRecord>,
    bytes: usize,
    /// Events came, though perhaps none that is kept: the position has moved.
    moved: bool,
    not_before: Instant,
    interval: Duration,
    max_events: usize,
    max_bytes: usize,
}

impl Batch {
    fn new(config: &SseSourceConfig) -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            moved: false,
            not_before: Instant::now(),
            interval: config.interval.0,
            max_events: config.batch_events,
            max_bytes: usize::try_from(config.batch_bytes.0).unwrap_or(usize::MAX),
        }
    }

    fn begin(&mut self) {
        self.moved = true;
    }

    fn push(&mut self, record: SourceRecord) {
        self.bytes += record.record.size();
        self.records.push(record);
    }

    fn is_empty(&self) -> bool {
        !self.moved
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.max_events || self.bytes >= self.max_bytes
    }

    /// When it goes, if there is anything to go.
    fn due(&self) -> Option<Instant> {
        self.moved.then_some(self.not_before)
    }

    /// Lets it go without regard to the last one.
    fn end_wait(&mut self) {
        self.not_before = Instant::now();
    }

    fn take_if_due(&mut self) -> Option<Vec<SourceRecord>> {
        let now = Instant::now();
        if !self.moved || (now < self.not_before && !self.is_full()) {
            return None;
        }
        self.not_before = now + self.interval;
        self.moved = false;
        self.bytes = 0;
        Some(std::mem::take(&mut self.records))
    }
}
