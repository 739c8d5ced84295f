//! One struct per plugin: parsing, defaults, validation, documentation and redaction come from the
//! same declaration, made with [`config!`](crate::config!).

mod declare;
mod values;

#[doc(hidden)]
pub use declare::{add_renamed, read_groups, read_value, refuse, rename, take_ignored};
pub use values::{ByteSize, ConfigValue, ListenAddress, Millis, Names, PlainListenAddress, Secret};

use crate::{Problem, Settings};

/// A key that a plugin understands: the material of the generated reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// The key, relative to the plugin's prefix. `<name>.levels` stands for any name.
    pub name: String,
    /// What kind of value it takes, for people.
    pub kind: &'static str,
    /// The default as it would be written; `None` without one.
    pub default: Option<&'static str>,
    /// Whether it has to be given.
    pub required: bool,
    /// Whether its value is never shown.
    pub secret: bool,
    /// What it does.
    pub doc: String,
}

/// The configuration of a plugin.
pub trait Config: Sized {
    /// Every key it understands.
    fn keys() -> Vec<ConfigKey>;

    /// What the plugin does: the documentation of the struct.
    fn doc() -> String;

    /// Keys of other vendors' plugins that are accepted and mean nothing here, with the reason. One that
    /// ends in a dot stands for all that begin with it.
    fn ignored() -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// Takes its keys out of `settings`. `None` when there was a problem; all problems are reported.
    fn read(settings: &mut Settings, problems: &mut Vec<Problem>) -> Option<Self>;

    /// Reads and refuses keys that are left over.
    fn read_all(mut settings: Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let config = Self::read(&mut settings, &mut problems);
        let keys = Self::keys();
        settings.report_unknown(keys.iter().map(|key| key.name.as_str()), &mut problems);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    crate::choice! {
        /// Sizes.
        enum Size { Small = "small", Large = "large" }
    }

    crate::config! {
        /// One stream.
        struct StreamConfig {
            /// Levels.
            "levels" => levels: Names,
        }
    }

    fn small_needs_two(config: &RouterConfig) -> Vec<(&'static str, String)> {
        if config.size == Size::Small && config.times < 2 {
            vec![("times", "must be at least 2 when size is small".into())]
        } else {
            vec![]
        }
    }

    crate::config! {
        /// Has older files.
        struct RenamedConfig {
            /// The key.
            "the.key" => key: Secret,
            /// How often.
            "times" => times: u32 = "1";
            renamed {
                "the_key" => "the.key",
                "count" => "times",
            }
        }
    }

    #[test]
    fn keys_are_read_under_their_other_names_at_their_line() {
        let read = |text: &str| {
            let read = RenamedConfig::read_all(Settings::parse("f", text).unwrap());
            read.map(|config| (config.key.reveal().to_owned(), config.times))
                .map_err(|problems| problems[0].to_string())
        };
        assert_eq!(read("the_key=k\ncount=3"), Ok(("k".to_owned(), 3)));
        assert_eq!(read("the.key=k"), Ok(("k".to_owned(), 1)));
        for (text, message) in [
            (
                "the_key=k\n\ncount=x",
                "f:3: times: must be a whole number, not \"x\"",
            ),
            (
                "the_key=k\nthe.key=k",
                "f:1: the_key: means the same as the.key: give one of them",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), message);
        }
        let keys = RenamedConfig::keys();
        let old: Vec<_> = keys[2..]
            .iter()
            .map(|key| (&*key.name, key.secret))
            .collect();
        assert_eq!(old, [("the_key", true), ("count", false)]);
    }

    crate::config! {
        /// Routes
        /// things.
        #[check(small_needs_two)]
        struct RouterConfig {
            /// How large.
            "size" => size: Size = "large",
            /// How often.
            "times" => times: u32 = "1",
            /// The password.
            "password" => password: Option<Secret>;
            /// Per stream.
            .. streams: StreamConfig
        }
    }

    #[test]
    fn groups_collect_keys_under_names_with_dots() {
        let settings =
            Settings::parse("r.properties", "a.b.levels=1,2\nc.levels=3\ntimes=4\n").unwrap();
        let config = RouterConfig::read_all(settings).unwrap();
        assert_eq!(config.streams["a.b"].levels.0, ["1", "2"]);
        assert_eq!(config.streams["c"].levels.0, ["3"]);
        assert_eq!(
            (config.size, config.times, config.password),
            (Size::Large, 4, None)
        );
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_line() {
        let settings = Settings::parse("r.properties", "size=tiny\ntimes=x\n\nlevls=1\n").unwrap();
        let problems = RouterConfig::read_all(settings).unwrap_err();
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "r.properties:1: size: must be one of small, large, not \"tiny\"",
                "r.properties:2: times: must be a whole number, not \"x\"",
                "r.properties:4: levls: unknown key",
            ]
        );
    }

    #[test]
    fn fields_that_do_not_go_together_are_reported_at_their_line() {
        let settings = Settings::parse("r.properties", "\nsize=small\n\ntimes=1\n").unwrap();
        let problems = RouterConfig::read_all(settings).unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "r.properties:4: times: must be at least 2 when size is small"
        );
    }

    crate::config! {
        /// What several sinks share.
        #[check(ends_somewhere)]
        struct SharedConfig {
            /// Records.
            "flush.size" => flush: u32 = "10";
            ignored {
                "schema.cache.size" => "schemas are kept as needed",
                "hive." => "there is no Hive here",
            };
            refused {
                "avro.bzip2" => "write avro.codec=snappy",
            }
        }
    }

    fn ends_somewhere(config: &SharedConfig) -> Vec<(&'static str, String)> {
        if config.flush == 0 {
            vec![("flush.size", "must be at least 1".into())]
        } else {
            vec![]
        }
    }

    crate::config! {
        /// A sink.
        struct SinkConfig {
            /// The bucket.
            "bucket" => bucket: String;
            flatten shared: SharedConfig;
            ignored { "bucket.check" => "it always is" }
        }
    }

    #[test]
    fn shared_keys_are_read_documented_and_checked_as_if_they_were_the_plugins_own() {
        let read =
            |text: &str| SinkConfig::read_all(Settings::parse("s.properties", text).unwrap());
        let config = read("bucket=b\nflush.size=3\n").unwrap();
        assert_eq!((config.bucket.as_str(), config.shared.flush), ("b", 3));
        let names: Vec<_> = SinkConfig::keys().into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["bucket", "flush.size"]);
        let problems = read("bucket=b\n\nflush.size=0\nflush.siz=1\n").unwrap_err();
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "s.properties:3: flush.size: must be at least 1",
                "s.properties:4: flush.siz: unknown key; did you mean flush.size?",
            ]
        );
    }

    #[test]
    fn keys_that_mean_nothing_are_accepted_and_those_that_would_are_refused_by_name() {
        let text = "bucket=b\nhive.integration=false\nschema.cache.size=1\nbucket.check=true\n";
        assert!(SinkConfig::read_all(Settings::parse("s.properties", text).unwrap()).is_ok());
        let ignored: Vec<_> = SinkConfig::ignored()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(ignored, ["bucket.check", "schema.cache.size", "hive."]);
        let refused =
            Settings::parse("s.properties", "bucket=b\navro.bzip2=true\nhive=x\n").unwrap();
        let problems = SinkConfig::read_all(refused).unwrap_err();
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "s.properties:2: avro.bzip2: is not supported: write avro.codec=snappy",
                "s.properties:3: hive: unknown key",
            ]
        );
    }

    #[test]
    fn the_reference_knows_defaults_requirements_and_secrets() {
        let keys = RouterConfig::keys();
        assert_eq!(RouterConfig::doc(), "Routes things.");
        assert_eq!(keys[0].default, Some("large"));
        assert!(keys[2].secret && !keys[2].required);
        assert_eq!(keys[3].name, "<name>.levels");
    }
}
