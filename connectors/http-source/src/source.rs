//! The source: a listener whose requests are records.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use penstock_connect::{Error, Source, SourceBatch, TaskContext};
use penstock_listen::Tokens;
use penstock_registry::RegistryClient;
use serde_json::Value;

use crate::config::HttpSourceConfig;
use crate::counters::Counters;
use crate::intake::Intake;
use crate::queue::{Waiters, queue};
use crate::schemas::Schemas;
use crate::server::Server;

/// Takes events in over HTTP. The first task of a connector listens; others stay idle, since two
/// cannot share an address.
pub struct HttpSource {
    config: HttpSourceConfig,
    context: TaskContext,
    registry: RegistryClient,
    open: Option<Open>,
}

struct Open {
    server: Server,
    waiters: Waiters,
}

/// What may wait in the queue of a gateway that nobody gave a size.
const QUEUE_BYTES: u64 = 32 << 20;

impl HttpSource {
    /// A gateway for one task. Requests name their schemas by reference; the registry knows them.
    pub fn new(
        config: HttpSourceConfig,
        context: &TaskContext,
        registry: RegistryClient,
    ) -> Result<Self, Error> {
        Ok(Self {
            config,
            context: context.clone(),
            registry,
            open: None,
        })
    }

    /// Where it listens, once it is open: with port 0 in `http.listen`, the port that it got.
    pub fn address(&self) -> Option<SocketAddr> {
        self.open.as_ref().map(|open| open.server.address)
    }

    fn tokens(&self) -> Result<Tokens, Error> {
        let Some(secret) = &self.config.tokens else {
            return Ok(Tokens::default());
        };
        let tokens = Tokens::parse(secret.reveal());
        if tokens.is_empty() {
            // Without this check a list of nothing but commas would let everybody in.
            return Err(Error::never("http.auth.tokens: holds no token"));
        }
        Ok(tokens)
    }

    fn test_events(&self) -> Result<Option<Bytes>, Error> {
        let Some(path) = &self.config.test_events else {
            return Ok(None);
        };
        let bytes = std::fs::read(path).map_err(|error| {
            Error::never(format!(
                "http.test.events: cannot read {}: {error}",
                path.display()
            ))
            .with_source(error)
        })?;
        Ok(Some(bytes.into()))
    }
}

#[async_trait]
impl Source for HttpSource {
    fn replayable(&self) -> bool {
        false
    }

    async fn open(&mut self, _position: Option<Value>) -> Result<(), Error> {
        self.close().await;
        if self.context.task > 0 {
            tracing::info!(
                connector = &*self.context.connector,
                task = self.context.task,
                "task 0 listens; this one stays idle"
            );
            return Ok(());
        }
        let config = &self.config;
        let bytes = match &config.queue_bytes {
            Some(bytes) => bytes.0,
            None => QUEUE_BYTES.max(config.max_body.0),
        };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let (queue, waiters) = queue(config.queue_events, bytes);
        let intake = Intake {
            topic: config.topic.as_str().into(),
            schema: config.schema.clone(),
            schemas: Schemas::new(self.registry.clone()),
            queue,
            tokens: self.tokens()?,
            max_body: usize::try_from(config.max_body.0).unwrap_or(usize::MAX),
            max_events: config.max_events,
            timeout: config.timeout.0,
            test_events: self.test_events()?,
            counters: Counters::new(&self.context),
        };
        let tls = config.certificate.as_deref().zip(config.key.as_deref());
        let server = Server::start(config.listen.address, tls, Arc::new(intake)).await?;
        tracing::info!(
            connector = &*self.context.connector,
            address = %server.address,
            "the gateway listens"
        );
        self.open = Some(Open { server, waiters });
        Ok(())
    }

    async fn poll(&mut self) -> Result<SourceBatch, Error> {
        let Some(open) = &mut self.open else {
            return std::future::pending().await;
        };
        let records = tokio::select! {
            biased;
            records = open.waiters.take() => records,
            error = open.server.failed() => return Err(error),
        };
        if records.is_empty() {
            // Nobody is left who could put anything into the queue.
            return Err(open.server.failed().await);
        }
        Ok(SourceBatch {
            records,
            position: None,
        })
    }

    async fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.waiters.close();
            open.server.stop().await;
        }
    }
}
