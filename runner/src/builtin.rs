//! The one list that names every built-in plugin, with its Java class names.

use penstock_connect::Settings;
use penstock_connect::config::ByteSize;
use penstock_consent_router::ConsentRouter;
use penstock_contract_check::ContractCheck;
use penstock_file_sink::FileSink;
use penstock_file_source::FileSource;
use penstock_gcs_sink::{AivenGcsConfig, ConfluentGcsConfig};
use penstock_http_source::{HttpSource, HttpSourceConfig};
use penstock_object_sink::{BatchExporter, BatchExporterConfig, ObjectSink, ObjectSinkConfig};
use penstock_pii_encrypt::PiiEncrypt;
use penstock_s3_sink::{AivenS3Config, ConfluentS3Config};
use penstock_sse_source::SseSource;
use penstock_websocket_sink::WebSocketSink;

use crate::plugins::{Plugins, no_topics};

impl Plugins {
    /// Everything that comes with Penstock. Kafka Connect's own transforms and predicates are always
    /// there.
    #[must_use]
    pub fn builtin() -> Self {
        Self::default()
            .source(
                "FileSource",
                &["io.penstock.FileSource"],
                topic,
                |config, context, services| {
                    Ok(Box::new(FileSource::new(
                        config,
                        context,
                        services.registry.clone(),
                    )?))
                },
            )
            .source(
                "HttpSource",
                &["io.penstock.HttpSource"],
                topic,
                |config, context, services| {
                    let mut config: HttpSourceConfig = config;
                    let share = services.intake_budget();
                    config.queue_bytes.get_or_insert(ByteSize(share));
                    Ok(Box::new(HttpSource::new(
                        config,
                        context,
                        services.registry.clone(),
                    )?))
                },
            )
            .source(
                "SseSource",
                &["io.penstock.SseSource"],
                topic,
                |config, context, services| {
                    Ok(Box::new(SseSource::new(
                        config,
                        context,
                        services.registry.clone(),
                    )?))
                },
            )
            .one_task("FileSource")
            .one_task("HttpSource")
            .one_task("SseSource")
            .intake("HttpSource")
            .sink(
                "FileSink",
                &[
                    "io.penstock.FileSink",
                    "org.apache.kafka.connect.file.FileStreamSinkConnector",
                    "FileStreamSinkConnector",
                    "FileStreamSink",
                ],
                |config, context, _services| Ok(Box::new(FileSink::new(config, context)?)),
            )
            .sink(
                "WebSocketSink",
                &["io.penstock.WebSocketSink"],
                |config, context, _services| Ok(Box::new(WebSocketSink::new(config, context)?)),
            )
            .sink(
                "ObjectSink",
                &["io.penstock.ObjectSink"],
                |config: ObjectSinkConfig, context, _services| {
                    Ok(Box::new(ObjectSink::new(config.plan()?, context)?))
                },
            )
            .sink(
                "BatchExporter",
                &["io.penstock.BatchExporter"],
                |config: BatchExporterConfig, context, _services| {
                    Ok(Box::new(BatchExporter::new(&config, context)?))
                },
            )
            .sink(
                "S3Sink",
                &[
                    "io.penstock.S3Sink",
                    "io.confluent.connect.s3.S3SinkConnector",
                    "S3SinkConnector",
                ],
                |config: ConfluentS3Config, context, _services| {
                    Ok(Box::new(ObjectSink::new(config.plan()?, context)?))
                },
            )
            .sink(
                "AivenS3Sink",
                &[
                    "io.penstock.AivenS3Sink",
                    "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector",
                ],
                |config: AivenS3Config, context, _services| {
                    Ok(Box::new(ObjectSink::new(config.plan()?, context)?))
                },
            )
            .sink(
                "GcsSink",
                &[
                    "io.penstock.GcsSink",
                    "io.confluent.connect.gcs.GcsSinkConnector",
                ],
                |config: ConfluentGcsConfig, context, _services| {
                    Ok(Box::new(ObjectSink::new(config.plan()?, context)?))
                },
            )
            .sink(
                "AivenGcsSink",
                &[
                    "io.penstock.AivenGcsSink",
                    "io.aiven.kafka.connect.gcs.GcsSinkConnector",
                ],
                |config: AivenGcsConfig, context, _services| {
                    Ok(Box::new(ObjectSink::new(config.plan()?, context)?))
                },
            )
            .transform(
                "ContractCheck",
                &["io.penstock.ContractCheck"],
                no_topics,
                |config, context, services| {
                    let (contracts, registry) =
                        (services.contracts.clone(), services.registry.clone());
                    Ok(Box::new(ContractCheck::new(
                        config,
                        context.clone(),
                        contracts,
                        registry,
                    )))
                },
            )
            .transform(
                "PiiEncrypt",
                &["io.penstock.PiiEncrypt"],
                no_topics,
                |config, context, services| {
                    let (contracts, registry) =
                        (services.contracts.clone(), services.registry.clone());
                    let keys = services.keys_blocking()?;
                    Ok(Box::new(PiiEncrypt::new(
                        config,
                        context.clone(),
                        contracts,
                        registry,
                        keys,
                    )))
                },
            )
            .by_topic("PiiEncrypt", "key.stream")
            .transform(
                "ConsentRouter",
                &["io.penstock.ConsentRouter"],
                streams,
                |config, context, services| {
                    let (contracts, registry) =
                        (services.contracts.clone(), services.registry.clone());
                    let keys = services.keys_blocking()?;
                    Ok(Box::new(ConsentRouter::new(
                        config,
                        context.clone(),
                        contracts,
                        registry,
                        keys,
                    )))
                },
            )
    }
}

/// The value of `topic`, for sources that write to one.
fn topic(settings: &Settings) -> Vec<String> {
    settings
        .get("topic")
        .map(|topic| topic.value().to_owned())
        .into_iter()
        .collect()
}

/// The values of `streams`, for routers.
fn streams(settings: &Settings) -> Vec<String> {
    let streams = settings
        .get("streams")
        .map_or("", |streams| streams.value());
    streams
        .split(',')
        .map(|stream| stream.trim().to_owned())
        .filter(|stream| !stream.is_empty())
        .collect()
}
