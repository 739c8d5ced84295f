//! Keys that every connector has: its name and class, converters, transforms, predicates and what
//! happens to records that cannot be processed.

use penstock_connect::config::{Millis, Names};
use penstock_connect::{choice, config};
use regex::Regex;

config! {
    /// Keys that every connector understands beside its own.
    #[check(check)]
    pub struct ConnectorConfig {
        /// Name of the connector, unique in the worker.
        "name" => name: String,
        /// Short name or Java class name of the plugin.
        "connector.class" => class: String,
        /// How many tasks run side by side.
        "tasks.max" => tasks_max: usize = "1",
        /// Topics that a sink or pipeline reads.
        "topics" => topics: Names,
        /// Instead of `topics`: a pattern that has to match a whole topic name. Internal topics and dead letter topics never match.
        "topics.regex" => topics_regex: Option<Regex>,
        /// How keys are read and written: Avro, JsonSchema, Json, String, ByteArray, or the Java class name. Without one, framed values keep their schema and others their bytes.
        "key.converter" => key_converter: Option<String>,
        /// How values are read and written; see `key.converter`.
        "value.converter" => value_converter: Option<String>,
        /// Accepted for Kafka Connect: headers are always bytes.
        "header.converter" => header_converter: Option<String>,
        /// Names of the transforms, in order.
        "transforms" => transforms: Names,
        /// Names of the predicates.
        "predicates" => predicates: Names,
        /// How long a batch is tried again in place when a server that it needs is away; -1 and more than 30 s count as 30 s. Then the task starts anew, and goes on trying.
        "errors.retry.timeout" => retry_timeout: i64 = "0",
        /// Longest pause between two retries.
        "errors.retry.delay.max.ms" => retry_delay_max: Millis = "60000",
        /// `none`: the task stops at a record that cannot be processed. `all`: the record is rejected and the rest flows on.
        "errors.tolerance" => tolerance: Tolerance = "none",
        /// Log each rejected record's place and cause.
        "errors.log.enable" => log_errors: bool = "false",
        /// Accepted for Kafka Connect: contents of records are never logged.
        "errors.log.include.messages" => log_messages: bool = "false",
        /// Topic for rejected records.
        "errors.deadletterqueue.topic.name" => dlq_topic: Option<String>,
        /// Replication factor of the dead letter topic when it is made.
        "errors.deadletterqueue.topic.replication.factor" => dlq_replication: i32 = "3",
        /// Add headers that say where the record came from and what went wrong.
        "errors.deadletterqueue.context.headers.enable" => dlq_headers: bool = "false",
        /// Seal dead letters to the quarantine key: `auto` seals them where the worker has contracts, the connector handles personal data, or some worker has written such data to the topic.
        "errors.deadletterqueue.seal" => dlq_seal: Seal = "auto",
        /// Topic for error events that describe rejected records.
        "errors.stream.topic" => error_stream_topic: Option<String>,
        /// Ref of the schema of error events.
        "errors.stream.schema" => error_stream_schema: String = "error/2.1.0",
        /// Whether the raw event stands in its error event: `auto` includes it unless it may hold personal data.
        "errors.stream.raw.event" => error_stream_raw: RawEvent = "auto",
        /// How far a sink reads: `never` stops, or up to the `end` that its topics have when the connector is created. Then it is COMPLETED, and stays so.
        "read.until" => read_until: Until = "never",
        /// Consumer group; `connect-<name>` by default.
        "consumer.override.group.id" => group: Option<String>,
    }
}

choice! {
    /// What happens at a record that cannot be processed.
    pub enum Tolerance {
        /// The task stops there.
        None = "none",
        /// The record is rejected and the rest flows on.
        All = "all",
    }
}

choice! {
    /// How far a sink reads.
    pub enum Until {
        /// It goes on reading.
        Never = "never",
        /// Up to where its topics end when the connector is created.
        End = "end",
    }
}

choice! {
    /// When dead letters are sealed.
    pub enum Seal {
        /// Where personal data may be in them.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never: the operator knows that they hold no personal data.
        Never = "never",
    }
}

choice! {
    /// Whether the raw event stands in an error event.
    pub enum RawEvent {
        /// Unless it may hold personal data.
        Auto = "auto",
        /// Always: the operator knows that it holds no personal data.
        Include = "include",
        /// Never.
        Omit = "omit",
    }
}

fn check(config: &ConnectorConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if config.tasks_max == 0 {
        problems.push(("tasks.max", "must be at least 1".to_owned()));
    }
    if !config.topics.0.is_empty() && config.topics_regex.is_some() {
        problems.push((
            "topics.regex",
            "give either topics or topics.regex, not both".to_owned(),
        ));
    }
    if config.name.contains(['/', '\\']) || config.name.chars().any(char::is_control) {
        problems.push((
            "name",
            "must not contain slashes or control characters".to_owned(),
        ));
    }
    problems
}
