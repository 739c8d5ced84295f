//! The sink: values of records as frames for those who watch.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use penstock_connect::{
    Error, FlushReason, Journal, Position, Record, RecordError, Sink, SinkMode, TaskContext,
    TopicPartition,
};

use crate::admission::Admission;
use crate::config::WebSocketSinkConfig;
use crate::hub::Hub;
use crate::server::Server;

/// Shows the values of records to whoever watches their topic.
pub struct WebSocketSink {
    config: WebSocketSinkConfig,
    context: TaskContext,
    hub: Arc<Hub>,
    server: Option<Server>,
}

impl WebSocketSink {
    /// A sink for the connector's one task.
    pub fn new(config: WebSocketSinkConfig, context: &TaskContext) -> Result<Self, Error> {
        if context.tasks > 1 {
            return Err(Error::never(
                "tasks.max: a WebSocketSink has one listener and so one task; leave tasks.max at 1",
            ));
        }
        let hub = hub(&config, context);
        Ok(Self {
            config,
            context: context.clone(),
            hub,
            server: None,
        })
    }

    /// Where it listens, once it is open: with port 0 in `ws.listen`, the port that it got.
    pub fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|server| server.address)
    }

    fn listen(&mut self) -> Result<(), Error> {
        let config = &self.config;
        let tokens = config.tokens.as_ref().map(|tokens| tokens.reveal());
        let admission = Admission::new(config.origins.0.clone(), tokens);
        if tokens.is_some() && !admission.has_tokens() {
            // Without this check a list of nothing but commas would let everybody in.
            return Err(Error::never("ws.auth.tokens: holds no token"));
        }
        let server = Server::start(
            config.listen.0,
            Arc::clone(&self.hub),
            admission,
            config.ping.0,
        )?;
        tracing::info!(
            connector = &*self.context.connector,
            address = %server.address,
            "the egress listens"
        );
        self.server = Some(server);
        Ok(())
    }
}

fn hub(config: &WebSocketSinkConfig, context: &TaskContext) -> Arc<Hub> {
    let buffer = usize::try_from(config.buffer.0).unwrap_or(usize::MAX);
    Arc::new(Hub::new(buffer, config.max_viewers, context))
}

/// The value of a record as a frame; a tombstone is `null`.
fn frame(record: &Record) -> Result<Utf8Bytes, RecordError> {
    let Some(value) = &record.value else {
        return Ok(Utf8Bytes::from_static("null"));
    };
    let mut json = Vec::with_capacity(value.len() * 2);
    value.to_json(&mut json).map_err(RecordError::malformed)?;
    Utf8Bytes::try_from(Bytes::from(json))
        .map_err(|_| RecordError::malformed("the value is not UTF-8"))
}

#[async_trait]
impl Sink for WebSocketSink {
    fn mode(&self) -> SinkMode {
        SinkMode::Broadcast
    }

    async fn open(
        &mut self,
        partitions: &[TopicPartition],
        _journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        if self.server.is_none() {
            self.listen()?;
        }
        for partition in partitions {
            self.hub.add(&partition.topic);
        }
        Ok(Vec::new())
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<(usize, RecordError)>, Error> {
        if self.server.as_ref().is_some_and(Server::has_ended) {
            return Err(Error::reconnect(format!(
                "the listener at {} ended",
                self.config.listen.0
            )));
        }
        let mut rejected = Vec::new();
        for (index, record) in records.iter().enumerate() {
            // A transform may have renamed the topic; viewers ask for the one that is read.
            let name = match &record.origin().partition {
                Some(partition) => &partition.topic,
                None => &record.topic,
            };
            let Some(topic) = self.hub.topic(name).filter(|topic| topic.is_watched()) else {
                continue;
            };
            match frame(record) {
                Ok(frame) => topic.publish(frame),
                Err(error) => rejected.push((index, error)),
            }
        }
        Ok(rejected)
    }

    async fn flush(
        &mut self,
        _reason: FlushReason,
        _journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        Ok(Vec::new())
    }

    async fn close(&mut self, _partitions: &[TopicPartition]) -> Result<(), Error> {
        if let Some(server) = self.server.take() {
            server.stop().await;
            // Closed for good: an open that follows begins with a new one.
            self.hub = hub(&self.config, &self.context);
        }
        Ok(())
    }
}
