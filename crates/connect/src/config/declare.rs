//! The [`config!`](crate::config!) macro.

/// Declares a configuration struct. Each field has a documentation comment, its key, a type and,
/// after `=`, a default in the form in which it would be written in a file. A field without a
/// default is required unless its type is an `Option` or [`Names`](crate::config::Names).
///
/// For keys under names that other keys give (the streams of a router), end the list with
/// `; .. groups: Group`, where `Group` is a `config!` struct of its own: it collects `<name>.<key>`
/// into a map by name.
///
/// Behind the keys, each part after a semicolon and in this order, may stand:
/// - `flatten storage: StorageKeys, rotation: RotationKeys`: the keys of other `config!` structs, which
///   several plugins share, each struct as a field;
/// - `ignored { "key" => "why", … }`: keys that other vendors' plugins have and that mean nothing here:
///   accepted with a note. A key that ends in a dot stands for all that begin with it;
/// - `refused { "key" => "why, and what to do", … }`: keys that would mean something but are not
///   supported;
/// - `renamed { "old" => "new", … }`: other names of keys, for files that were written with them;
/// - the groups above.
///
/// `#[check(function)]` names a `fn(&Self) -> Vec<(&'static str, String)>` that looks at fields
/// together and returns (key, message) pairs.
///
/// ```
/// use penstock_connect::{Config, Settings, config};
///
/// config! {
///     /// Writes greetings.
///     pub struct GreeterConfig {
///         /// Whom to greet.
///         "greet.name" => name: String,
///         /// How many times.
///         "greet.times" => times: u32 = "1",
///     }
/// }
///
/// let settings = Settings::from_pairs("example", [("greet.name", "Ann")]);
/// let config = GreeterConfig::read_all(settings).unwrap();
/// assert_eq!((config.name.as_str(), config.times), ("Ann", 1));
///
/// let settings = Settings::from_pairs("example", [("greet.nam", "Ann")]);
/// let problems = GreeterConfig::read_all(settings).unwrap_err();
/// assert_eq!(problems[0].to_string(), "example: greet.name: is required (text)");
/// assert_eq!(problems[1].to_string(), "example: greet.nam: unknown key; did you mean greet.name?");
/// ```
#[macro_export]
macro_rules! config {
    (
        $(#[doc = $doc:literal])*
        $(#[check($check:path)])?
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $fdoc:literal])*
                $key:literal => $field:ident : $type:ty $(= $default:literal)?
            ),* $(,)?
            $(; flatten $($flat:ident : $flat_type:ty),+ $(,)?)?
            $(; ignored { $($ignored:literal => $ignored_why:literal),+ $(,)? })?
            $(; refused { $($refused:literal => $refused_why:literal),+ $(,)? })?
            $(; renamed { $($old:literal => $new:literal),+ $(,)? })?
            $(; $(#[doc = $gdoc:literal])* .. $groups:ident : $group:ty $(,)?)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $( $(#[doc = $fdoc])* pub $field: $type, )*
            $( $( #[doc = concat!("The keys of `", stringify!($flat_type), "`.")] pub $flat: $flat_type, )+ )?
            $( $(#[doc = $gdoc])* pub $groups: ::std::collections::BTreeMap<String, $group>, )?
        }

        impl $crate::config::Config for $name {
            fn keys() -> Vec<$crate::config::ConfigKey> {
                #[allow(unused_mut)]
                let mut keys = vec![$(
                    $crate::config::ConfigKey {
                        name: $key.to_owned(),
                        kind: <$type as $crate::config::ConfigValue>::KIND,
                        default: $crate::config!(@default $($default)?),
                        required: $crate::config!(@default $($default)?).is_none()
                            && <$type as $crate::config::ConfigValue>::absent().is_none(),
                        secret: <$type as $crate::config::ConfigValue>::SECRET,
                        doc: [$($fdoc),*].iter().map(|line: &&str| line.trim()).collect::<Vec<_>>().join(" "),
                    }
                ),*];
                $( $( keys.extend(<$flat_type as $crate::config::Config>::keys()); )+ )?
                $( $crate::config::add_renamed(&mut keys, &[$( ($old, $new) ),+]); )?
                $(
                    keys.extend(<$group as $crate::config::Config>::keys().into_iter().map(|mut key| {
                        key.name = format!("<name>.{}", key.name);
                        key
                    }));
                )?
                keys
            }

            fn doc() -> String {
                [$($doc),*].iter().map(|line: &&str| line.trim()).collect::<Vec<_>>().join(" ")
            }

            #[allow(unused_mut)]
            fn ignored() -> Vec<(&'static str, &'static str)> {
                let mut ignored: Vec<(&'static str, &'static str)> = vec![$( $( ($ignored, $ignored_why) ),+ )?];
                $( $( ignored.extend(<$flat_type as $crate::config::Config>::ignored()); )+ )?
                ignored
            }

            #[allow(unused_variables)]
            fn read(
                settings: &mut $crate::Settings,
                problems: &mut Vec<$crate::Problem>,
            ) -> Option<Self> {
                let before = problems.len();
                $( $crate::config::rename(settings, &[$( ($old, $new) ),+], problems); )?
                let given = settings.clone();
                $( $crate::config::take_ignored(settings, &[$($ignored),+]); )?
                $( $crate::config::refuse(settings, &[$( ($refused, $refused_why) ),+], problems); )?
                $(
                    let $field = $crate::config::read_value::<$type>(
                        settings, $key, $crate::config!(@default $($default)?), problems,
                    );
                )*
                $( $( let $flat = <$flat_type as $crate::config::Config>::read(settings, problems); )+ )?
                $( let $groups = $crate::config::read_groups::<$group>(settings, problems); )?
                if problems.len() > before {
                    return None;
                }
                let config = Self { $( $field: $field?, )* $( $( $flat: $flat?, )+ )? $( $groups, )? };
                $(
                    for (key, message) in $check(&config) {
                        problems.push(given.problem(key, message));
                    }
                    if problems.len() > before {
                        return None;
                    }
                )?
                Some(config)
            }
        }
    };
    (@default) => { None::<&'static str> };
    (@default $default:literal) => { Some($default) };
}

use std::collections::BTreeMap;

use super::{Config, ConfigKey, ConfigValue};
use crate::{Problem, Settings};

/// Takes and parses one value; for the macro.
#[doc(hidden)]
pub fn read_value<T: ConfigValue>(
    settings: &mut Settings,
    key: &str,
    default: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let setting = settings.take(key);
    let line = setting.as_ref().map_or(0, |setting| setting.line);
    let value = match (&setting, default) {
        (Some(setting), _) => T::parse(setting.value().trim()),
        (None, Some(default)) => T::parse(default),
        (None, None) => T::absent().ok_or_else(|| format!("is required ({})", T::KIND)),
    };
    match value {
        Ok(value) => Some(value),
        Err(message) => {
            let message = if T::SECRET && setting.is_some() {
                "is not a usable secret".to_owned()
            } else {
                message
            };
            problems.push(settings.problem_at(line, Some(key.to_owned()), message));
            None
        }
    }
}

/// Whether a key is one of those listed: the key itself, or one that begins with a listed key that ends
/// in a dot.
fn is_listed(key: &str, listed: &str) -> bool {
    key == listed || (listed.ends_with('.') && key.starts_with(listed))
}

/// Takes out keys that mean nothing; for the macro.
#[doc(hidden)]
pub fn take_ignored(settings: &mut Settings, ignored: &[&str]) {
    let keys: Vec<String> = settings.keys().map(str::to_owned).collect();
    for key in keys {
        if ignored.iter().any(|listed| is_listed(&key, listed)) {
            settings.take(&key);
        }
    }
}

/// Describes other names of keys; for the macro.
#[doc(hidden)]
pub fn add_renamed(keys: &mut Vec<ConfigKey>, renamed: &[(&str, &str)]) {
    for (old, new) in renamed {
        if let Some(key) = keys.iter().find(|key| key.name == *new) {
            keys.push(ConfigKey {
                name: (*old).to_owned(),
                default: None,
                required: false,
                doc: format!("Another name of `{new}`."),
                ..key.clone()
            });
        }
    }
}

/// Gives keys with other names their usual ones; for the macro.
#[doc(hidden)]
pub fn rename(settings: &mut Settings, renamed: &[(&str, &str)], problems: &mut Vec<Problem>) {
    for (old, new) in renamed {
        if settings.get(old).is_some() && settings.get(new).is_some() {
            problems
                .push(settings.problem(old, format!("means the same as {new}: give one of them")));
            settings.take(old);
        } else {
            settings.rename(old, new);
        }
    }
}

/// Takes out keys that are not supported and says so; for the macro.
#[doc(hidden)]
pub fn refuse(settings: &mut Settings, refused: &[(&str, &str)], problems: &mut Vec<Problem>) {
    let keys: Vec<String> = settings.keys().map(str::to_owned).collect();
    for key in keys {
        if let Some((_, why)) = refused.iter().find(|(listed, _)| is_listed(&key, listed)) {
            problems.push(settings.problem(&key, format!("is not supported: {why}")));
            settings.take(&key);
        }
    }
}

/// Collects `<name>.<key>` by name, for the keys that `T` understands; for the macro.
#[doc(hidden)]
pub fn read_groups<T: Config>(
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, T> {
    let suffixes: Vec<String> = T::keys()
        .into_iter()
        .map(|key| format!(".{}", key.name))
        .collect();
    let mut names: Vec<String> = settings
        .keys()
        .filter_map(|key| {
            suffixes
                .iter()
                .find_map(|suffix| key.strip_suffix(suffix.as_str()))
        })
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| {
            let mut own = Settings::default();
            std::mem::swap(&mut own, settings);
            let mut scoped = own.take_prefix(&format!("{name}."));
            std::mem::swap(&mut own, settings);
            let group = T::read(&mut scoped, problems);
            scoped.report_unknown(T::keys().iter().map(|key| key.name.as_str()), problems);
            group.map(|group| (name, group))
        })
        .collect()
}
