//! The Java client's settings, mapped to librdkafka's or refused by name.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::jaas;
use super::keys::To::{Common, Consumer, Kilobytes, Nothing, Pem, Producer, Refused, Security};
use super::keys::{KEYS, NO_JKS, PREFIXES, To};
use super::pem;
use crate::Error;
use crate::suggest::nearest;

/// One setting that cannot be used, and why. Never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting's name.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Settings of Kafka clients by librdkafka's names, for [`KafkaBroker`](super::KafkaBroker).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientSettings {
    pub(super) common: BTreeMap<String, String>,
    pub(super) producer: BTreeMap<String, String>,
    pub(super) consumer: BTreeMap<String, String>,
}

impl ClientSettings {
    /// Whether the key and trust stores can be read; librdkafka's own words name no file.
    pub(super) fn check_stores(&self) -> Result<(), Error> {
        for (name, java) in [
            ("ssl.ca.location", "ssl.truststore.location"),
            ("ssl.certificate.location", "ssl.keystore.location"),
        ] {
            if let Some(path) = self.common.get(name) {
                File::open(path)
                    .map_err(|e| Error::invalid(format!("{java}: cannot read {path}: {e}")))?;
            }
        }
        Ok(())
    }

    /// Puts `over` on top.
    pub(super) fn with(&self, over: &Self) -> Self {
        let mut all = self.clone();
        all.common.extend(over.common.clone());
        all.producer.extend(over.producer.clone());
        all.consumer.extend(over.consumer.clone());
        all
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |settings: &BTreeMap<String, String>| settings.keys().cloned().collect::<Vec<_>>();
        f.debug_struct("ClientSettings")
            .field("common", &names(&self.common))
            .field("producer", &names(&self.producer))
            .field("consumer", &names(&self.consumer))
            .finish()
    }
}

/// Maps settings by the Java client's names (without `producer.` or `consumer.` in front). What
/// concerns producers alone goes to producers, what concerns consumers alone to consumers.
///
/// # Errors
/// All settings that are not known or cannot be had, not just the first.
pub fn client_config(
    properties: &BTreeMap<String, String>,
) -> Result<ClientSettings, Vec<Problem>> {
    let mut settings = ClientSettings::default();
    let mut problems = Vec::new();
    for (key, value) in properties {
        match known(key) {
            Some(Common(name)) => {
                put_checked(&mut settings.common, name, key, value, &mut problems)
            }
            Some(Pem(name)) => match pem::in_lines(value) {
                Some(pem) => {
                    settings.common.insert(name.to_owned(), pem);
                }
                None => problems.push(problem(
                    key,
                    "is not PEM (-----BEGIN …----- to -----END …-----)",
                )),
            },
            Some(Producer(name)) => {
                put_checked(&mut settings.producer, name, key, value, &mut problems);
            }
            Some(Kilobytes(name)) => match value.trim().parse::<u64>() {
                Ok(bytes) => {
                    let kilobytes = (bytes >> 10).max(1).to_string();
                    put(&mut settings.producer, name, &kilobytes);
                }
                Err(_) => problems.push(problem(key, "is a number of bytes")),
            },
            Some(Consumer(name)) => {
                put_checked(&mut settings.consumer, name, key, value, &mut problems);
            }
            Some(Nothing | Security) => {}
            Some(Refused(why)) => problems.push(problem(key, why)),
            None => {
                let names: Vec<_> = client_setting_names().collect();
                let hint = nearest(key, &names)
                    .map_or(String::new(), |near| format!("; did you mean {near}?"));
                problems.push(problem(
                    key,
                    format!("is not a setting of Kafka clients{hint}"),
                ));
            }
        }
    }
    security(properties, &mut settings, &mut problems);
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}

/// What becomes of a setting, if Kafka's clients know it.
fn known(key: &str) -> Option<To> {
    let listed = KEYS.binary_search_by(|(name, _)| (*name).cmp(key));
    let by_prefix = || PREFIXES.iter().find(|(prefix, _)| key.starts_with(prefix));
    match listed {
        Ok(at) => Some(KEYS[at].1),
        Err(_) => by_prefix().map(|(_, to)| *to),
    }
}

/// Whether Kafka's clients know a setting of this name (without `producer.` or `consumer.` in front).
pub fn is_client_setting(key: &str) -> bool {
    known(key).is_some()
}

/// The settings that Kafka's clients know, by name.
pub fn client_setting_names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, _)| *name)
}

fn put(settings: &mut BTreeMap<String, String>, name: &str, value: &str) {
    settings.insert(name.to_owned(), value.trim().to_owned());
}

/// As [`put`], if librdkafka takes the value.
fn put_checked(
    settings: &mut BTreeMap<String, String>,
    name: &str,
    key: &str,
    value: &str,
    problems: &mut Vec<Problem>,
) {
    let value = value.trim();
    let checked = ClientConfig::new().set(name, value).create_native_config();
    match checked {
        Ok(_) => put(settings, name, value),
        // librdkafka's own words repeat the value.
        Err(_) if name.contains("password") => problems.push(problem(key, "cannot be used")),
        Err(KafkaError::ClientConfig(_, reason, _, _)) => {
            problems.push(problem(key, format!("cannot be used: {reason}")));
        }
        Err(error) => problems.push(problem(key, format!("cannot be used: {error}"))),
    }
}

fn problem(key: &str, message: impl Into<String>) -> Problem {
    Problem {
        key: key.to_owned(),
        message: message.into(),
    }
}

/// Settings whose meaning hangs together with others'.
fn security(
    properties: &BTreeMap<String, String>,
    settings: &mut ClientSettings,
    problems: &mut Vec<Problem>,
) {
    let get = |key: &str| properties.get(key).map(|value| value.trim());
    if let Some(protocol) = get("security.protocol") {
        match protocol.to_ascii_uppercase().as_str() {
            known @ ("PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL") => {
                put(
                    &mut settings.common,
                    "security.protocol",
                    &known.to_ascii_lowercase(),
                );
            }
            _ => problems.push(problem(
                "security.protocol",
                "is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            )),
        }
    }
    match get("sasl.mechanism") {
        Some(known @ ("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512")) => {
            put(&mut settings.common, "sasl.mechanism", known);
        }
        Some(_) => problems.push(problem(
            "sasl.mechanism",
            "is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 here",
        )),
        None => {}
    }
    if let Some(config) = get("sasl.jaas.config") {
        match jaas::parse(config) {
            Ok(login) if matches!(&*login.module, "PlainLoginModule" | "ScramLoginModule") => {
                // As they are: spaces may be part of a password.
                settings
                    .common
                    .insert("sasl.username".to_owned(), login.username);
                settings
                    .common
                    .insert("sasl.password".to_owned(), login.password);
            }
            Ok(login) => problems.push(problem(
                "sasl.jaas.config",
                format!(
                    "has {}; PlainLoginModule and ScramLoginModule are supported",
                    login.module
                ),
            )),
            Err(what) => problems.push(problem("sasl.jaas.config", what)),
        }
    } else if get("security.protocol").is_some_and(|p| p.to_ascii_uppercase().starts_with("SASL")) {
        problems.push(problem(
            "sasl.jaas.config",
            "is needed with a SASL security.protocol",
        ));
    }
    match get("ssl.endpoint.identification.algorithm") {
        Some("") => put(
            &mut settings.common,
            "ssl.endpoint.identification.algorithm",
            "none",
        ),
        Some("https") => put(
            &mut settings.common,
            "ssl.endpoint.identification.algorithm",
            "https",
        ),
        Some(_) => problems.push(problem(
            "ssl.endpoint.identification.algorithm",
            "is https or empty",
        )),
        None => {}
    }
    store(
        properties,
        "ssl.truststore",
        &["ssl.ca.location"],
        settings,
        problems,
    );
    store(
        properties,
        "ssl.keystore",
        &["ssl.certificate.location", "ssl.key.location"],
        settings,
        problems,
    );
    if let Some(protocol) = get("group.protocol").filter(|p| !p.eq_ignore_ascii_case("classic")) {
        problems.push(problem(
            "group.protocol",
            format!("is classic here, not {protocol}"),
        ));
    }
    if let Some(strategies) = get("partition.assignment.strategy") {
        assignors(strategies, settings, problems);
    }
}

/// A key or trust store: PEM files as they are, others refused.
fn store(
    properties: &BTreeMap<String, String>,
    prefix: &str,
    to: &[&str],
    settings: &mut ClientSettings,
    problems: &mut Vec<Problem>,
) {
    let name = |part: &str| format!("{prefix}.{part}");
    let kind = properties
        .get(&name("type"))
        .map_or("JKS", |kind| kind.trim());
    let is_pem = kind.eq_ignore_ascii_case("PEM");
    if properties.contains_key(&name("type")) && !is_pem {
        problems.push(problem(&name("type"), format!("is {kind}: {NO_JKS}")));
        return;
    }
    if let Some(location) = properties.get(&name("location")) {
        if is_pem {
            for key in to {
                put(&mut settings.common, key, location);
            }
        } else {
            problems.push(problem(&name("location"), NO_JKS));
        }
    }
    if properties.contains_key(&name("password")) {
        problems.push(problem(
            &name("password"),
            "has no meaning with PEM; the password of a private key is ssl.key.password",
        ));
    }
}

fn assignors(strategies: &str, settings: &mut ClientSettings, problems: &mut Vec<Problem>) {
    const NAMES: [(&str, &str); 3] = [
        ("RangeAssignor", "range"),
        ("RoundRobinAssignor", "roundrobin"),
        ("CooperativeStickyAssignor", "cooperative-sticky"),
    ];
    let mut found = Vec::new();
    for class in strategies.split(',').map(str::trim) {
        let simple = class.rsplit('.').next().unwrap_or(class);
        match NAMES.iter().find(|(java, name)| *java == simple || *name == simple) {
            Some((_, name)) => found.push(*name),
            None => problems.push(problem(
                "partition.assignment.strategy",
                format!("{class} cannot be had; RangeAssignor, RoundRobinAssignor and CooperativeStickyAssignor can"),
            )),
        }
    }
    // librdkafka cannot mix eager and cooperative strategies; a group of Java members that lists
    // both is on its way to the cooperative one.
    if found.contains(&"cooperative-sticky") {
        found = vec!["cooperative-sticky"];
    }
    put(
        &mut settings.consumer,
        "partition.assignment.strategy",
        &found.join(","),
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_table_is_sorted_for_the_search() {
        assert!(KEYS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn a_scram_over_tls_configuration_is_mapped() {
        let settings = client_config(&properties(&[
            ("bootstrap.servers", "a:9092,b:9092"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            (
                "sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p w\";",
            ),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", "/etc/ca.pem"),
            ("ssl.endpoint.identification.algorithm", ""),
            ("request.timeout.ms", "20000"),
            ("linger.ms", "5"),
            ("buffer.memory", "33554432"),
            ("max.poll.interval.ms", "600000"),
            ("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer"),
        ]))
        .unwrap();
        let expected = [
            ("bootstrap.servers", "a:9092,b:9092"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.password", "p w"),
            ("sasl.username", "u"),
            ("security.protocol", "sasl_ssl"),
            ("socket.timeout.ms", "20000"),
            ("ssl.ca.location", "/etc/ca.pem"),
            ("ssl.endpoint.identification.algorithm", "none"),
        ];
        assert_eq!(settings.common, properties(&expected));
        let expected = [("linger.ms", "5"), ("queue.buffering.max.kbytes", "32768")];
        assert_eq!(settings.producer, properties(&expected));
        assert_eq!(
            settings.consumer,
            properties(&[("max.poll.interval.ms", "600000")])
        );
        assert!(
            !format!("{settings:?}").contains("p w"),
            "Debug never shows values"
        );
    }

    #[test]
    fn every_problem_is_told_at_once_by_name() {
        let cases = [
            (("ssl.truststore.location", "/a.jks"), "convert it to PEM"),
            (
                ("ssl.keystore.type", "PKCS12"),
                "is PKCS12: Java key stores cannot be read",
            ),
            (
                ("bootstrap.server", "a:1"),
                "did you mean bootstrap.servers?",
            ),
            (
                ("sasl.mechanism", "GSSAPI"),
                "is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            ),
            (
                ("security.protocol", "TLS"),
                "is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            ),
            (
                (
                    "sasl.jaas.config",
                    "x.Krb5LoginModule required username=a password=b;",
                ),
                "has Krb5LoginModule",
            ),
            (
                ("interceptor.classes", "a.B"),
                "Java classes cannot be loaded",
            ),
            (("group.id", "g"), "set by the worker itself"),
            (("ssl.keystore.key", "MIIEvQ=="), "is not PEM"),
            (("buffer.memory", "32mb"), "is a number of bytes"),
            (("linger.ms", "soon"), "cannot be used: Invalid value"),
            (("acks", "most"), "cannot be used: Invalid value"),
            (
                ("partition.assignment.strategy", "a.StickyAssignor"),
                "a.StickyAssignor cannot be had",
            ),
        ];
        let all = client_config(
            &cases
                .iter()
                .map(|((k, v), _)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
        .unwrap_err();
        assert_eq!(all.len(), cases.len());
        for ((key, _), message) in cases {
            let problem = all.iter().find(|problem| problem.key == key).unwrap();
            assert!(
                problem.message.contains(message),
                "{key}: {}",
                problem.message
            );
        }
    }

    #[test]
    fn every_mapped_name_is_one_that_librdkafka_has() {
        for (java, to) in KEYS {
            let (Common(name) | Producer(name) | Kilobytes(name) | Consumer(name)) = to else {
                continue;
            };
            let value = match *name {
                "acks" => "all",
                "auto.offset.reset" => "earliest",
                "client.dns.lookup" => "use_all_dns_ips",
                "compression.codec" => "zstd",
                "isolation.level" => "read_committed",
                "metadata.recovery.strategy" => "rebootstrap",
                "enable.idempotence" | "check.crcs" | "allow.auto.create.topics" => "true",
                "ssl.cipher.suites"
                | "ssl.certificate.pem"
                | "ssl.key.pem"
                | "ssl.ca.pem"
                | "ssl.key.password" => continue, // Checked with real certificates only.
                "compression.level" => "3",
                _ => "10000",
            };
            let checked = rdkafka::ClientConfig::new()
                .set(*name, value)
                .create_native_config();
            assert!(checked.is_ok(), "{java} → {name}: {:?}", checked.err());
        }
    }
}
