//! The plugins that a worker knows. [`Plugins::builtin`] is the one list that names them all; a
//! third party adds its own to it and calls [`crate::main`] with the result.

mod build;
mod checks;

use std::fmt;

use penstock_connect::{
    Config, ConfigKey, Error, Problem, Settings, Sink, Source, TaskContext, Transform,
};

use crate::config::ConnectorSpec;
use crate::services::Services;

/// What a connector does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Brings records in.
    Source,
    /// Takes records out.
    Sink,
    /// Reads topics and writes topics.
    Pipeline,
}

impl Kind {
    /// The word that REST uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Pipeline => "pipeline",
        }
    }
}

type Build<T> =
    Box<dyn Fn(Settings, &TaskContext, &Services) -> Result<Box<T>, Error> + Send + Sync>;

/// A plugin: its names, its configuration, and how to build it.
struct Plugin<T: ?Sized> {
    class: &'static str,
    aliases: &'static [&'static str],
    keys: fn() -> Vec<ConfigKey>,
    doc: fn() -> String,
    ignored: fn() -> Vec<(&'static str, &'static str)>,
    check: fn(Settings) -> Result<(), Vec<Problem>>,
    /// Topics that an instance with these settings writes.
    topics: fn(&Settings) -> Vec<String>,
    build: Build<T>,
}

impl<T: ?Sized> Plugin<T> {
    fn answers_to(&self, class: &str) -> bool {
        self.class == class || self.aliases.contains(&class)
    }
}

/// Every plugin that a worker can run.
#[derive(Default)]
pub struct Plugins {
    sources: Vec<Plugin<dyn Source>>,
    sinks: Vec<Plugin<dyn Sink>>,
    transforms: Vec<Plugin<dyn Transform>>,
    /// Classes of connectors that have a use for one task only.
    single: Vec<&'static str>,
    /// Transforms that go by the topic of their records, each with the key that names another.
    by_topic: Vec<(&'static str, &'static str)>,
    /// Classes of sources that are intakes.
    intakes: Vec<&'static str>,
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.classes().map(|(class, ..)| class))
            .finish()
    }
}

/// The class of the topic-to-topic connector, which the runner itself provides.
const PIPELINE: &str = "TopicPipeline";

impl Plugins {
    /// Adds a source. `topics` says which topics an instance writes, so that they can be made.
    #[must_use]
    pub fn source<C: Config + 'static>(
        mut self,
        class: &'static str,
        aliases: &'static [&'static str],
        topics: fn(&Settings) -> Vec<String>,
        build: impl Fn(C, &TaskContext, &Services) -> Result<Box<dyn Source>, Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.sources.push(plugin(class, aliases, topics, build));
        self
    }

    /// Says of a connector that was added that it has a use for one task only, whatever `tasks.max` is.
    #[must_use]
    pub fn one_task(mut self, class: &'static str) -> Self {
        self.single.push(class);
        self
    }

    /// Says of a transform that was added that what it makes belongs to the topic that its records are
    /// bound for, unless this key of it names another. Where a transform behind it sends them elsewhere,
    /// the key has to be given.
    #[must_use]
    pub fn by_topic(mut self, class: &'static str, key: &'static str) -> Self {
        self.by_topic.push((class, key));
        self
    }

    fn transform_plugin(&self, class: &str) -> Option<&Plugin<dyn Transform>> {
        self.transforms
            .iter()
            .find(|plugin| plugin.answers_to(class))
    }

    /// Says of a source that was added that it is an intake: it is not replayable and tells its senders what
    /// becomes of their records, so that settings for rejected records mean nothing to it.
    #[must_use]
    pub fn intake(mut self, class: &'static str) -> Self {
        self.intakes.push(class);
        self
    }

    pub(crate) fn is_intake(&self, class: &str) -> bool {
        let mut sources = self.sources.iter().filter(|p| p.answers_to(class));
        sources.any(|source| self.intakes.contains(&source.class))
    }

    /// Adds a sink.
    #[must_use]
    pub fn sink<C: Config + 'static>(
        mut self,
        class: &'static str,
        aliases: &'static [&'static str],
        build: impl Fn(C, &TaskContext, &Services) -> Result<Box<dyn Sink>, Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.sinks.push(plugin(class, aliases, notices, build));
        self
    }

    /// Adds a transform. `topics` says which topics an instance writes beyond the connector's own.
    #[must_use]
    pub fn transform<C: Config + 'static>(
        mut self,
        class: &'static str,
        aliases: &'static [&'static str],
        topics: fn(&Settings) -> Vec<String>,
        build: impl Fn(C, &TaskContext, &Services) -> Result<Box<dyn Transform>, Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.transforms.push(plugin(class, aliases, topics, build));
        self
    }

    /// How many tasks a connector of this class gets of those that it may have.
    pub(crate) fn tasks_of(&self, class: &str, most: usize) -> usize {
        let sources = self
            .sources
            .iter()
            .filter(|p| p.answers_to(class))
            .map(|p| p.class);
        let sinks = self
            .sinks
            .iter()
            .filter(|p| p.answers_to(class))
            .map(|p| p.class);
        let single = sources
            .chain(sinks)
            .any(|class| self.single.contains(&class));
        if single { most.min(1) } else { most }
    }

    /// Whether a source has this key.
    pub(crate) fn has_key(&self, class: &str, key: &str) -> bool {
        let mut sources = self.sources.iter().filter(|p| p.answers_to(class));
        sources.any(|source| (source.keys)().iter().any(|known| known.name == key))
    }

    pub(crate) fn kind(&self, class: &str) -> Option<Kind> {
        if class == PIPELINE {
            Some(Kind::Pipeline)
        } else if self.sources.iter().any(|plugin| plugin.answers_to(class)) {
            Some(Kind::Source)
        } else if self.sinks.iter().any(|plugin| plugin.answers_to(class)) {
            Some(Kind::Sink)
        } else {
            None
        }
    }

    /// Every class with its kind ("source", "sink", "pipeline", "transformation", "predicate"),
    /// documentation and keys.
    pub fn classes(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, String, Vec<ConfigKey>)> + '_ {
        let sources = self
            .sources
            .iter()
            .map(|p| (p.class, "source", (p.doc)(), (p.keys)()));
        let sinks = self
            .sinks
            .iter()
            .map(|p| (p.class, "sink", (p.doc)(), (p.keys)()));
        let transforms = self
            .transforms
            .iter()
            .map(|p| (p.class, "transformation", (p.doc)(), (p.keys)()));
        let pipeline = (
            PIPELINE,
            "pipeline",
            "Reads topics, transforms their records and writes them to topics.".into(),
            vec![],
        );
        sources.chain(sinks).chain([pipeline]).chain(transforms)
    }

    /// Keys of other vendors that the connector accepts and that mean nothing, with the reason.
    pub(crate) fn ignored(&self, class: &str) -> Vec<(&'static str, &'static str)> {
        let sources = self.sources.iter().filter(|p| p.answers_to(class));
        let sinks = self.sinks.iter().filter(|p| p.answers_to(class));
        sources
            .map(|p| p.ignored)
            .chain(sinks.map(|p| p.ignored))
            .flat_map(|ignored| ignored())
            .collect()
    }

    /// Topics that the connector and its transforms write, as far as their settings tell.
    pub(crate) fn written_topics(&self, spec: &ConnectorSpec) -> Vec<String> {
        let source = self
            .sources
            .iter()
            .find(|plugin| plugin.answers_to(&spec.common.class))
            .map(|plugin| (plugin.topics)(&spec.plugin));
        let sink = self
            .sinks
            .iter()
            .find(|plugin| plugin.answers_to(&spec.common.class))
            .map(|plugin| (plugin.topics)(&spec.plugin));
        let transforms = spec.transforms.iter().filter_map(|transform| {
            let plugin = self
                .transforms
                .iter()
                .find(|plugin| plugin.answers_to(&transform.class))?;
            Some((plugin.topics)(&transform.settings))
        });
        let own = source.into_iter().chain(sink);
        own.chain(transforms).flatten().collect()
    }

    /// Full keys of a connector that are secret by their declaration.
    pub(crate) fn secret_keys(&self, spec: &ConnectorSpec) -> Vec<String> {
        let of = |keys: Vec<ConfigKey>, prefix: String| {
            keys.into_iter()
                .filter(|key| key.secret)
                .map(move |key| format!("{prefix}{}", key.name))
        };
        let class = &spec.common.class;
        let mut secret = Vec::new();
        for keys in self
            .sources
            .iter()
            .filter(|p| p.answers_to(class))
            .map(|p| p.keys)
        {
            secret.extend(of(keys(), String::new()));
        }
        for keys in self
            .sinks
            .iter()
            .filter(|p| p.answers_to(class))
            .map(|p| p.keys)
        {
            secret.extend(of(keys(), String::new()));
        }
        for transform in &spec.transforms {
            for plugin in self
                .transforms
                .iter()
                .filter(|p| p.answers_to(&transform.class))
            {
                secret.extend(of(
                    (plugin.keys)(),
                    format!("transforms.{}.", transform.name),
                ));
            }
        }
        secret
    }
}

/// For plugins that write no topics of their own.
pub fn no_topics(_settings: &Settings) -> Vec<String> {
    Vec::new()
}

/// The topic that a sink tells of its finished files in.
fn notices(settings: &Settings) -> Vec<String> {
    settings
        .get("notify.topic")
        .map(|topic| topic.value().to_owned())
        .into_iter()
        .collect()
}

fn plugin<C: Config + 'static, T: ?Sized>(
    class: &'static str,
    aliases: &'static [&'static str],
    topics: fn(&Settings) -> Vec<String>,
    build: impl Fn(C, &TaskContext, &Services) -> Result<Box<T>, Error> + Send + Sync + 'static,
) -> Plugin<T> {
    Plugin {
        class,
        aliases,
        keys: C::keys,
        doc: C::doc,
        ignored: C::ignored,
        check: |settings| C::read_all(settings).map(|_| ()),
        topics,
        build: Box::new(move |settings, context, services| {
            let config = C::read_all(settings).map_err(|problems| config_error(&problems))?;
            build(config, context, services)
        }),
    }
}

fn config_error(problems: &[Problem]) -> Error {
    Error::never(
        problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    )
}
