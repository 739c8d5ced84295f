//! Log lines on standard error, whose levels can be changed while the worker runs. Records' contents
//! are never logged.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;

use crate::metrics::now_ms;

/// The logger whose level all others have that were given none.
const ROOT: &str = "root";

/// The levels of the program's log.
static LEVELS: OnceLock<Levels> = OnceLock::new();

type Reload = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

struct Levels {
    /// What the log was started with.
    base: String,
    reload: Reload,
    /// Changes since then: level and time, by logger.
    changed: Mutex<BTreeMap<String, (&'static str, i64)>>,
}

/// A logger as REST shows it.
pub(crate) struct Logger {
    pub(crate) level: &'static str,
    /// Milliseconds since the epoch; `None` if the level is the one that the log was started with.
    pub(crate) last_modified: Option<i64>,
}

/// Kafka Connect's words for levels, and those of the filter.
const WORDS: [(&str, &str); 7] = [
    ("OFF", "off"),
    ("FATAL", "error"),
    ("ERROR", "error"),
    ("WARN", "warn"),
    ("INFO", "info"),
    ("DEBUG", "debug"),
    ("TRACE", "trace"),
];

/// Starts the log at the level of `PENSTOCK_LOG` (default `level`).
pub(crate) fn start(level: &str) {
    let given = std::env::var("PENSTOCK_LOG").ok();
    let base = given
        .filter(|given| EnvFilter::try_new(given).is_ok())
        .unwrap_or_else(|| level.to_owned());
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(&base))
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    // Already set when a program that uses this library has its own.
    if subscriber.try_init().is_ok() {
        let _ = LEVELS.set(Levels {
            base,
            reload: Box::new(move |filter| handle.reload(filter).is_ok()),
            changed: Mutex::default(),
        });
    }
}

/// The loggers whose level was given, the root among them.
pub(crate) fn all() -> BTreeMap<String, Logger> {
    let Some(levels) = LEVELS.get() else {
        return BTreeMap::new();
    };
    let mut all = BTreeMap::new();
    for directive in levels.base.split(',').map(str::trim) {
        let (name, word) = directive.split_once('=').unwrap_or((ROOT, directive));
        if let Some(level) = level_of(word) {
            let last_modified = None;
            all.insert(
                name.to_owned(),
                Logger {
                    level,
                    last_modified,
                },
            );
        }
    }
    all.entry(ROOT.to_owned()).or_insert(Logger {
        level: "ERROR",
        last_modified: None,
    });
    let changed = levels
        .changed
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for (name, (level, at)) in &*changed {
        all.insert(
            name.clone(),
            Logger {
                level,
                last_modified: Some(*at),
            },
        );
    }
    all
}

/// The level of a word, in Kafka Connect's spelling.
pub(crate) fn level_of(word: &str) -> Option<&'static str> {
    let mut words = WORDS.iter();
    words
        .find(|(level, _)| level.eq_ignore_ascii_case(word))
        .map(|(level, _)| *level)
}

/// Sets the level of a logger: a module path such as `penstock_runner`, `librdkafka`, or `root`.
/// `false` if it cannot be: the program has a log of its own, or the name is not one.
pub(crate) fn set(name: &str, level: &'static str) -> bool {
    let Some(levels) = LEVELS.get() else {
        return false;
    };
    let mut changed = levels
        .changed
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let before = changed.insert(name.to_owned(), (level, now_ms()));
    let mut text = levels.base.clone();
    for (name, (level, _)) in &*changed {
        let word = WORDS.iter().find(|(known, _)| known == level);
        let word = word.map_or("info", |(_, word)| *word);
        text.push(',');
        if name != ROOT {
            text.push_str(name);
            text.push('=');
        }
        text.push_str(word);
    }
    let done = EnvFilter::try_new(&text).is_ok_and(|filter| (levels.reload)(filter));
    if !done {
        match before {
            Some(before) => changed.insert(name.to_owned(), before),
            None => changed.remove(name),
        };
    }
    done
}
