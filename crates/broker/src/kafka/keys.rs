//! The settings that Kafka's clients know, sorted by name.

/// What becomes of a setting.
#[derive(Clone, Copy)]
pub(super) enum To {
    /// For every client, under this name.
    Common(&'static str),
    /// For every client; the value is PEM.
    Pem(&'static str),
    /// For producers.
    Producer(&'static str),
    /// For producers, and in kilobytes there.
    Kilobytes(&'static str),
    /// For consumers.
    Consumer(&'static str),
    /// Means nothing here and does no harm.
    Nothing,
    /// Read together with others in `settings::security`.
    Security,
    /// Cannot be had, with the reason and the way out.
    Refused(&'static str),
}

use To::{Common, Consumer, Kilobytes, Nothing, Pem, Producer, Refused, Security};

const SET_BY_PENSTOCK: &str = "is set by the worker itself; leave it out";
const PLACED: &str = "records are placed by murmur2 of their key, as the Java default does";
pub(super) const NO_JKS: &str = "Java key stores cannot be read; convert it to PEM (ssl.truststore.type=PEM, ssl.keystore.type=PEM)";

/// Kafka's client settings (Java client 4.1) and what they become.
pub(super) const KEYS: &[(&str, To)] = &[
    ("acks", Producer("acks")),
    (
        "allow.auto.create.topics",
        Consumer("allow.auto.create.topics"),
    ),
    ("auto.commit.interval.ms", Nothing),
    ("auto.offset.reset", Consumer("auto.offset.reset")),
    ("batch.size", Producer("batch.size")),
    (
        "bootstrap.controllers",
        Refused("topics are on brokers; name those with bootstrap.servers"),
    ),
    ("bootstrap.servers", Common("bootstrap.servers")),
    ("buffer.memory", Kilobytes("queue.buffering.max.kbytes")),
    ("check.crcs", Consumer("check.crcs")),
    ("client.dns.lookup", Common("client.dns.lookup")),
    ("client.id", Common("client.id")),
    ("client.rack", Common("client.rack")),
    ("compression.gzip.level", Producer("compression.level")),
    ("compression.lz4.level", Producer("compression.level")),
    ("compression.type", Producer("compression.codec")),
    ("compression.zstd.level", Producer("compression.level")),
    ("connections.max.idle.ms", Common("connections.max.idle.ms")),
    ("default.api.timeout.ms", Nothing),
    ("delivery.timeout.ms", Producer("message.timeout.ms")),
    ("enable.auto.commit", Refused(SET_BY_PENSTOCK)),
    ("enable.idempotence", Producer("enable.idempotence")),
    ("enable.metrics.push", Nothing),
    ("exclude.internal.topics", Nothing),
    ("fetch.max.bytes", Consumer("fetch.max.bytes")),
    ("fetch.max.wait.ms", Consumer("fetch.wait.max.ms")),
    ("fetch.min.bytes", Consumer("fetch.min.bytes")),
    ("group.id", Refused(SET_BY_PENSTOCK)),
    ("group.instance.id", Consumer("group.instance.id")),
    ("group.protocol", Security),
    (
        "group.remote.assignor",
        Refused("belongs to group.protocol=consumer, and the protocol is classic here"),
    ),
    ("heartbeat.interval.ms", Consumer("heartbeat.interval.ms")),
    (
        "interceptor.classes",
        Refused("Java classes cannot be loaded"),
    ),
    ("isolation.level", Consumer("isolation.level")),
    ("key.deserializer", Nothing),
    ("key.serializer", Nothing),
    ("linger.ms", Producer("linger.ms")),
    ("max.block.ms", Nothing),
    (
        "max.in.flight.requests.per.connection",
        Producer("max.in.flight.requests.per.connection"),
    ),
    (
        "max.partition.fetch.bytes",
        Consumer("fetch.message.max.bytes"),
    ),
    ("max.poll.interval.ms", Consumer("max.poll.interval.ms")),
    ("max.poll.records", Nothing),
    ("max.request.size", Producer("message.max.bytes")),
    (
        "metadata.max.age.ms",
        Common("topic.metadata.refresh.interval.ms"),
    ),
    ("metadata.max.idle.ms", Nothing),
    (
        "metadata.recovery.rebootstrap.trigger.ms",
        Common("metadata.recovery.rebootstrap.trigger.ms"),
    ),
    (
        "metadata.recovery.strategy",
        Common("metadata.recovery.strategy"),
    ),
    ("metric.reporters", Nothing),
    ("metrics.num.samples", Nothing),
    ("metrics.recording.level", Nothing),
    ("metrics.sample.window.ms", Nothing),
    ("partition.assignment.strategy", Security),
    ("partitioner.adaptive.partitioning.enable", Nothing),
    ("partitioner.availability.timeout.ms", Nothing),
    ("partitioner.class", Refused(PLACED)),
    ("partitioner.ignore.keys", Refused(PLACED)),
    ("receive.buffer.bytes", Nothing),
    (
        "reconnect.backoff.max.ms",
        Common("reconnect.backoff.max.ms"),
    ),
    ("reconnect.backoff.ms", Common("reconnect.backoff.ms")),
    ("request.timeout.ms", Common("socket.timeout.ms")),
    ("retries", Producer("message.send.max.retries")),
    ("retry.backoff.max.ms", Common("retry.backoff.max.ms")),
    ("retry.backoff.ms", Common("retry.backoff.ms")),
    (
        "sasl.client.callback.handler.class",
        Refused("Java classes cannot be loaded"),
    ),
    ("sasl.jaas.config", Security),
    (
        "sasl.login.callback.handler.class",
        Refused("Java classes cannot be loaded"),
    ),
    ("sasl.login.class", Refused("Java classes cannot be loaded")),
    ("sasl.mechanism", Security),
    ("security.protocol", Security),
    (
        "security.providers",
        Refused("Java classes cannot be loaded"),
    ),
    ("send.buffer.bytes", Nothing),
    ("session.timeout.ms", Consumer("session.timeout.ms")),
    ("share.acknowledgement.mode", Nothing),
    ("socket.connection.setup.timeout.max.ms", Nothing),
    (
        "socket.connection.setup.timeout.ms",
        Common("socket.connection.setup.timeout.ms"),
    ),
    ("ssl.cipher.suites", Common("ssl.cipher.suites")),
    ("ssl.enabled.protocols", Nothing),
    ("ssl.endpoint.identification.algorithm", Security),
    (
        "ssl.engine.factory.class",
        Refused("Java classes cannot be loaded"),
    ),
    ("ssl.key.password", Common("ssl.key.password")),
    ("ssl.keymanager.algorithm", Nothing),
    ("ssl.keystore.certificate.chain", Pem("ssl.certificate.pem")),
    ("ssl.keystore.key", Pem("ssl.key.pem")),
    ("ssl.keystore.location", Security),
    ("ssl.keystore.password", Security),
    ("ssl.keystore.type", Security),
    ("ssl.protocol", Nothing),
    ("ssl.provider", Refused("Java classes cannot be loaded")),
    ("ssl.secure.random.implementation", Nothing),
    ("ssl.trustmanager.algorithm", Nothing),
    ("ssl.truststore.certificates", Pem("ssl.ca.pem")),
    ("ssl.truststore.location", Security),
    ("ssl.truststore.password", Security),
    ("ssl.truststore.type", Security),
    ("transaction.timeout.ms", Producer("transaction.timeout.ms")),
    ("transaction.two.phase.commit.enable", Nothing),
    ("transactional.id", Refused(SET_BY_PENSTOCK)),
    ("value.deserializer", Nothing),
    ("value.serializer", Nothing),
];

/// Whole families of settings.
pub(super) const PREFIXES: &[(&str, To)] = &[
    (
        "sasl.kerberos.",
        Refused("Kerberos is not built in; use SCRAM or PLAIN"),
    ),
    (
        "sasl.oauthbearer.",
        Refused("OAUTHBEARER is not built in; use SCRAM or PLAIN"),
    ),
    // How tickets and tokens are renewed: passwords are not.
    ("sasl.login.", Nothing),
];
