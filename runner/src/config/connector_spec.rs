//! A connector as its settings describe it, checked but not yet built.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_connect::config::ConfigValue;
use penstock_connect::{Config, Problem, Settings};
use regex::Regex;

use super::files::{accept, common_keys};
use super::overrides::Overrides;
use super::{ConnectorConfig, Until, WorkerConfig, connect_keys, secrets};
use crate::converters::{Converter, Naming};
use crate::plugins::{Kind, Plugins};
use crate::status::State;

/// A checked connector.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorSpec {
    pub(crate) common: Arc<ConnectorConfig>,
    pub(crate) kind: Kind,
    /// What its file asks it to be at first.
    pub(crate) initial: State,
    /// How many tasks it has: `tasks.max`, or fewer if it has no use for more.
    pub(crate) tasks: usize,
    /// Everything that was given, for REST and for storing.
    pub(crate) settings: Settings,
    /// The plugin's own settings.
    pub(crate) plugin: Settings,
    pub(crate) transforms: Vec<TransformSpec>,
    /// Predicates by name: class and settings.
    pub(crate) predicates: BTreeMap<String, (String, Settings)>,
    pub(crate) key_converter: Option<Converter>,
    pub(crate) value_converter: Option<Converter>,
    /// Subjects for schemas that have no id yet.
    pub(crate) key_naming: Naming,
    pub(crate) value_naming: Naming,
    /// `topics.regex`, made to match whole names.
    pub(crate) topics_pattern: Option<Regex>,
    /// Topics that the source or the transforms write, as far as their settings tell.
    pub(crate) writes: Vec<String>,
    /// `producer.override.*` and `consumer.override.*`.
    pub(crate) producer_overrides: BTreeMap<String, String>,
    pub(crate) consumer_overrides: BTreeMap<String, String>,
}

/// A transform of a connector.
#[derive(Clone, Debug)]
pub(crate) struct TransformSpec {
    pub(crate) name: String,
    pub(crate) class: String,
    pub(crate) settings: Settings,
    /// Name of its predicate, and whether it is negated.
    pub(crate) predicate: Option<(String, bool)>,
}

impl ConnectorSpec {
    /// Parses and checks everything that can be checked without connecting. References must be
    /// resolved. Without a `worker`, whose file has problems then, what has to agree with it is left out.
    pub(crate) fn parse(
        given: Settings,
        worker: Option<&WorkerConfig>,
        plugins: &Plugins,
        notes: &mut Vec<Problem>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut rest = given.clone();
        let is_intake = given
            .get("connector.class")
            .is_some_and(|class| plugins.is_intake(class.value()));
        connect_keys::take(&mut rest, is_intake, notes, &mut problems);
        let common = read_common(&mut rest, &mut problems);
        let overrides = Overrides::take(&mut rest, notes, &mut problems);
        let Some(common) = common else {
            return Err(problems);
        };
        connect_keys::note(&common, &given, notes);
        let kind = plugins.kind(&common.class);
        if kind.is_none() {
            let hint = plugins.nearest_connector(&common.class);
            problems.push(given.problem(
                "connector.class",
                format!("unknown connector {}; {hint}", common.class),
            ));
        }
        let mut converter = |key: &str, class: Option<&str>| {
            let mut settings = rest.take_prefix(&format!("{key}."));
            let naming = Naming::take(&mut settings, &mut problems);
            let class = class.map(|class| (class, given.line(key)));
            (
                Converter::parse(class, settings, worker, notes, &mut problems),
                naming,
            )
        };
        let (key_converter, key_naming) =
            converter("key.converter", common.key_converter.as_deref());
        let (value_converter, value_naming) =
            converter("value.converter", common.value_converter.as_deref());
        connect_keys::take_versions(&common, &mut rest, notes);
        let predicates = predicates(&common, &mut rest, plugins, &given, &mut problems);
        let transforms = transforms(
            &common,
            &mut rest,
            &predicates,
            plugins,
            &given,
            &mut problems,
        );
        for list in ["predicates", "transforms"] {
            report_unnamed(&mut rest, list, &mut problems);
        }
        plugins.check_topics_known(&transforms, &mut problems);
        if let Some(kind) = kind {
            let (prefixes, keys): (Vec<_>, Vec<_>) = plugins
                .ignored(&common.class)
                .into_iter()
                .partition(|(key, _)| key.ends_with('.'));
            accept(&mut rest, &keys, &prefixes, notes);
            check_topics(&common, kind, &given, &mut problems);
            if kind != Kind::Sink && common.read_until == Until::End {
                problems.push(given.problem("read.until", "only a sink reads up to an end"));
            }
            plugins.check_connector(&common.class, rest.clone(), &common_keys(), &mut problems);
            if !problems.is_empty() {
                return Err(problems);
            }
            let mut spec = Self {
                topics_pattern: common.topics_regex.as_ref().map(whole_name),
                writes: Vec::new(),
                tasks: plugins.tasks_of(&common.class, common.tasks_max),
                common: Arc::new(common),
                kind,
                initial: State::Running,
                settings: given,
                plugin: rest,
                transforms,
                predicates,
                key_converter,
                value_converter,
                key_naming,
                value_naming,
                producer_overrides: overrides.producer,
                consumer_overrides: overrides.consumer,
            };
            spec.writes = plugins.written_topics(&spec);
            return spec.check_written(worker);
        }
        Err(problems)
    }

    /// Topics of its own dead letters and error events.
    pub(crate) fn reject_topics(&self) -> impl Iterator<Item = &String> {
        let common = &self.common;
        [&common.dlq_topic, &common.error_stream_topic]
            .into_iter()
            .flatten()
    }

    /// A connector that reads what it writes would never come to an end, and one that writes into the
    /// worker's own topics would spoil them for all workers.
    fn check_written(self, worker: Option<&WorkerConfig>) -> Result<Self, Vec<Problem>> {
        let reads = &self.common.topics.0;
        let mut problems = Vec::new();
        for topic in self.writes.iter().chain(self.reject_topics()) {
            if worker.is_some_and(|worker| worker.is_internal(topic)) {
                let message = format!("{topic} belongs to the worker itself: choose another topic");
                problems.push(self.settings.problem(&self.key_naming(topic), message));
            } else if reads.contains(topic) {
                let message = format!("names {topic}, which the connector itself writes");
                problems.push(self.settings.problem("topics", message));
            }
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }

    /// The key that names a topic, among those that say what the connector writes.
    fn key_naming(&self, topic: &str) -> String {
        let written = self
            .settings
            .keys()
            .filter(|key| !key.starts_with("topics"));
        let names = |key: &&str| {
            let value = self.settings.get(key).map_or("", |setting| setting.value());
            value.split(',').any(|name| name.trim() == topic)
        };
        written
            .into_iter()
            .find(names)
            .unwrap_or("connector.class")
            .to_owned()
    }

    /// The settings as REST shows them: what was written, with literal secrets hidden.
    pub(crate) fn shown(&self, plugins: &Plugins) -> BTreeMap<String, String> {
        let mut shown = self.settings.written();
        secrets::hide(&mut shown, &plugins.secret_keys(self));
        shown
    }
}

/// Reports settings of transforms or predicates that the list of them does not name.
fn report_unnamed(rest: &mut Settings, list: &str, problems: &mut Vec<Problem>) {
    let left = rest.take_prefix(&format!("{list}."));
    for key in left.keys() {
        let name = key.split('.').next().unwrap_or(key);
        problems.push(left.problem(key, format!("{list} does not name {name}")));
    }
}

/// Reads the keys that every connector has. When some of them are wrong, the others are read all the
/// same, so that every problem of the file is found at once.
fn read_common(rest: &mut Settings, problems: &mut Vec<Problem>) -> Option<ConnectorConfig> {
    let mut given = rest.clone();
    let mut read = ConnectorConfig::read(rest, problems);
    while read.is_none() {
        for problem in problems.iter() {
            if let Some(key) = &problem.key {
                given.take(key);
            }
        }
        if given.get("name").is_none() {
            given.set("name", "unnamed");
        }
        // Without a class nothing tells what the other keys mean.
        given.get("connector.class")?;
        // Keys that do not go together are found once each is right by itself.
        let mut further = Vec::new();
        read = ConnectorConfig::read(&mut given.clone(), &mut further);
        if read.is_none() && further.iter().all(|problem| problems.contains(problem)) {
            return None;
        }
        problems.extend(further);
    }
    read
}

/// The pattern as one that matches only whole names, as Java's `matches` does. (The leftmost match may
/// be shorter than another one that spans the name.)
fn whole_name(pattern: &Regex) -> Regex {
    // Anchors around a pattern that compiles compile, up to the size limit of patterns: then the
    // pattern itself is the best there is.
    Regex::new(&format!("^(?:{})$", pattern.as_str())).unwrap_or_else(|_| pattern.clone())
}

fn check_topics(
    common: &ConnectorConfig,
    kind: Kind,
    given: &Settings,
    problems: &mut Vec<Problem>,
) {
    let named = !common.topics.0.is_empty() || common.topics_regex.is_some();
    match kind {
        Kind::Source if named => {
            let key = if common.topics_regex.is_some() {
                "topics.regex"
            } else {
                "topics"
            };
            problems.push(given.problem(key, "a source writes to a topic, it reads none"));
        }
        Kind::Sink | Kind::Pipeline if !named => {
            problems.push(given.problem("topics", "is required (or topics.regex)"));
        }
        _ => {}
    }
}

fn predicates(
    common: &ConnectorConfig,
    rest: &mut Settings,
    plugins: &Plugins,
    given: &Settings,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, (String, Settings)> {
    let mut predicates = BTreeMap::new();
    for name in &common.predicates.0 {
        let mut scoped = rest.take_prefix(&format!("predicates.{name}."));
        let Some(class) = scoped.take("type") else {
            let message = format!("predicates.{name}.type is missing");
            problems.push(given.problem("predicates", message));
            continue;
        };
        if let Err(found) = plugins.check_predicate(class.value(), class.line, scoped.clone()) {
            problems.extend(found);
        }
        predicates.insert(name.clone(), (class.value().to_owned(), scoped));
    }
    predicates
}

fn transforms(
    common: &ConnectorConfig,
    rest: &mut Settings,
    predicates: &BTreeMap<String, (String, Settings)>,
    plugins: &Plugins,
    given: &Settings,
    problems: &mut Vec<Problem>,
) -> Vec<TransformSpec> {
    let mut transforms = Vec::new();
    for name in &common.transforms.0 {
        let mut scoped = rest.take_prefix(&format!("transforms.{name}."));
        let Some(class) = scoped.take("type") else {
            problems
                .push(given.problem("transforms", format!("transforms.{name}.type is missing")));
            continue;
        };
        let predicate = predicate(&mut scoped, predicates, problems);
        if let Err(found) = plugins.check_transform(class.value(), class.line, scoped.clone()) {
            problems.extend(found);
        }
        transforms.push(TransformSpec {
            name: name.clone(),
            class: class.value().to_owned(),
            settings: scoped,
            predicate,
        });
    }
    transforms
}

/// Takes `predicate` and `negate` out of a transform's settings.
fn predicate(
    scoped: &mut Settings,
    predicates: &BTreeMap<String, (String, Settings)>,
    problems: &mut Vec<Problem>,
) -> Option<(String, bool)> {
    let mut report = |scoped: &Settings, line, key: &str, message: String| {
        problems.push(scoped.problem_at(line, Some(key.to_owned()), message));
    };
    let predicate = scoped.take("predicate");
    let mut negate = false;
    if let Some(given) = scoped.take("negate") {
        match bool::parse(given.value().trim()) {
            Ok(value) => negate = value,
            Err(message) => report(scoped, given.line, "negate", message),
        }
        if predicate.is_none() {
            let message = "turns a predicate round, and the transform has none".to_owned();
            report(scoped, given.line, "negate", message);
        }
    }
    let given = predicate?;
    let name = given.value();
    if !predicates.contains_key(name) {
        let message = format!("predicates does not name {name}");
        report(scoped, given.line, "predicate", message);
    }
    Some((name.to_owned(), negate))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_topic_pattern_has_to_match_the_whole_name() {
        for (pattern, name, expected) in [
            ("demo.*", "demo-2", true),
            ("demo", "demo-2", false),
            ("a|ab", "ab", true),
            ("emo", "demo", false),
        ] {
            let pattern = whole_name(&Regex::new(pattern).unwrap());
            assert_eq!(pattern.is_match(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn an_encrypter_says_whose_keys_it_takes_where_its_records_change_their_topic() {
        let parsed = |more: &[(&'static str, &'static str)]| {
            let mut pairs = vec![
                ("name", "p"),
                ("connector.class", "TopicPipeline"),
                ("topics", "raw"),
                ("transforms.encrypt.type", "PiiEncrypt"),
                ("transforms.route.type", "RegexRouter"),
                ("transforms.route.regex", ".*"),
                ("transforms.route.replacement", "demo"),
            ];
            pairs.extend(more);
            let settings = Settings::from_pairs("p.properties", pairs);
            ConnectorSpec::parse(settings, None, &Plugins::builtin(), &mut Vec::new())
        };
        let consent = [
            ("transforms", "encrypt,consent"),
            ("transforms.consent.type", "ConsentRouter"),
            ("transforms.consent.streams", "demo-2"),
            ("transforms.consent.demo-2.levels", "2"),
        ];
        for (chain, router) in [
            (&[("transforms", "encrypt,route")][..], "route"),
            (&consent[..], "consent"),
        ] {
            let unused = |problem: &Problem| !problem.message.contains("does not name");
            let problems = parsed(chain).unwrap_err();
            let shown: Vec<String> = problems
                .iter()
                .filter(|p| unused(p))
                .map(ToString::to_string)
                .collect();
            assert_eq!(
                shown,
                [format!(
                    "p.properties: transforms.encrypt.key.stream: is required, since transforms.{router} sends the records to other topics afterwards"
                )]
            );
        }
        for chain in [
            &[("transforms", "route,encrypt")][..],
            &[
                ("transforms", "encrypt,route"),
                ("transforms.encrypt.key.stream", "demo"),
            ],
        ] {
            assert!(parsed(chain).is_ok(), "{chain:?}");
        }
    }

    #[test]
    fn secrets_are_hidden_unless_they_are_references_as_a_whole() {
        let plugins = Plugins::builtin();
        let pem = "-----BEGIN PRIVATE KEY----- MIIEvQ== -----END PRIVATE KEY-----";
        let certificate = "-----BEGIN CERTIFICATE----- MIIEvQ== -----END CERTIFICATE-----";
        let login = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" \
                     password=\"${env:NOT_ALL}-literal\";";
        let pairs = [
            ("name", "p"),
            ("connector.class", "TopicPipeline"),
            ("topics", "a"),
            ("producer.override.ssl.keystore.key", pem),
            (
                "producer.override.ssl.keystore.certificate.chain",
                certificate,
            ),
            ("consumer.override.ssl.key.password", "literal"),
            ("consumer.override.sasl.jaas.config", login),
            ("producer.override.ssl.key.password", "${env:KEY_PASSWORD}"),
        ];
        let settings = Settings::from_pairs("p.properties", pairs);
        let spec = ConnectorSpec::parse(settings, None, &plugins, &mut Vec::new()).unwrap();
        let shown = spec.shown(&plugins);
        let differing: Vec<&str> = pairs
            .into_iter()
            .filter(|(key, value)| shown[*key] != *value)
            .map(|(key, _)| key)
            .collect();
        assert_eq!(
            differing,
            [
                "producer.override.ssl.keystore.key",
                "consumer.override.ssl.key.password",
                "consumer.override.sasl.jaas.config",
            ]
        );
        assert!(differing.iter().all(|key| shown[*key] == secrets::HIDDEN));
    }

    #[test]
    fn a_connector_that_reads_its_own_dead_letters_is_refused() {
        let pairs = [
            ("name", "p"),
            ("connector.class", "TopicPipeline"),
            ("topics", "a,a-dlq"),
            ("errors.deadletterqueue.topic.name", "a-dlq"),
        ];
        let settings = Settings::from_pairs("p.properties", pairs);
        let parsed = ConnectorSpec::parse(settings, None, &Plugins::builtin(), &mut Vec::new());
        assert_eq!(
            parsed.unwrap_err()[0].to_string(),
            "p.properties: topics: names a-dlq, which the connector itself writes"
        );
    }
}
