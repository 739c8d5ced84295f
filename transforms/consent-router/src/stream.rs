//! One derived stream: which events pass to it, and what becomes of each of their personal fields.

use std::sync::Arc;

use penstock_connect::TaskContext;
use penstock_connect::prometheus::IntCounter;
use penstock_contracts::Level;

use crate::config::{Mode, NotGranted, StreamConfig};

/// A derived stream.
pub(crate) struct DerivedStream {
    pub(crate) topic: Arc<str>,
    pub(crate) counters: Counters,
    mode: Mode,
    levels: Vec<Level>,
    not_granted: NotGranted,
}

/// What becomes of a personal field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    Decrypt,
    Keep,
    Mask,
    Null,
    Drop,
}

impl DerivedStream {
    pub(crate) fn new(name: &str, config: &StreamConfig, context: &TaskContext) -> Self {
        Self {
            topic: name.into(),
            counters: Counters::new(name, context),
            mode: config.mode,
            levels: config.levels.0.clone(),
            not_granted: config.not_granted,
        }
    }

    /// Whether an event with these consent levels passes. One without levels never does.
    pub(crate) fn passes(&self, consent: &[i64]) -> bool {
        let has = |level: &Level| consent.contains(&i64::from(*level));
        match self.mode {
            Mode::Cumulative => consent.iter().max().is_some_and(|highest| {
                self.levels
                    .iter()
                    .all(|level| *highest >= i64::from(*level))
            }),
            Mode::Granular => !consent.is_empty() && self.levels.iter().all(has),
        }
    }

    /// What becomes of a field of this level.
    pub(crate) fn treatment(&self, level: Level) -> Treatment {
        let granted = match self.mode {
            Mode::Cumulative => self.levels.iter().any(|asked| level <= *asked),
            Mode::Granular => self.levels.contains(&level),
        };
        if granted {
            return Treatment::Decrypt;
        }
        match self.not_granted {
            NotGranted::Keep => Treatment::Keep,
            NotGranted::Mask => Treatment::Mask,
            NotGranted::Null => Treatment::Null,
            NotGranted::Drop => Treatment::Drop,
        }
    }
}

impl Treatment {
    /// Whether the plaintext is needed.
    pub(crate) fn needs_key(self) -> bool {
        matches!(self, Self::Decrypt | Self::Mask)
    }
}

/// How many events went to a stream, and how many did not.
pub(crate) struct Counters {
    pub(crate) passed: IntCounter,
    pub(crate) withheld: IntCounter,
    /// Events that passed with all fields encrypted, since their key was erased.
    pub(crate) erased: IntCounter,
}

impl Counters {
    fn new(stream: &str, context: &TaskContext) -> Self {
        let events = context.metrics.counter(
            "penstock_consent_events_total",
            "Events that a derived stream was asked about, by outcome: passed, or withheld for want of consent",
            &["connector", "stream", "outcome"],
        );
        let erased = context.metrics.counter(
            "penstock_consent_erased_key_events_total",
            "Events that passed to a derived stream with their fields left encrypted, since the key was erased",
            &["connector", "stream"],
        );
        let connector = &*context.connector;
        Self {
            passed: events.with_label_values(&[connector, stream, "passed"]),
            withheld: events.with_label_values(&[connector, stream, "withheld"]),
            erased: erased.with_label_values(&[connector, stream]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Levels;

    fn stream(mode: Mode, levels: &[Level], not_granted: NotGranted) -> DerivedStream {
        let config = StreamConfig {
            levels: Levels(levels.to_vec()),
            mode,
            not_granted,
        };
        let context = TaskContext {
            connector: "demo-2".into(),
            task: 0,
            tasks: 1,
            metrics: penstock_connect::Metrics::new(),
            budget: penstock_connect::Budget::unlimited(),
        };
        DerivedStream::new("demo-2", &config, &context)
    }

    #[test]
    fn an_event_passes_by_its_highest_level_or_by_having_all_that_are_asked_for() {
        use Mode::{Cumulative, Granular};
        for (mode, asked, consent, passes) in [
            (Cumulative, &[2][..], &[][..], false),
            (Cumulative, &[2], &[0], false),
            (Cumulative, &[2], &[1], false),
            (Cumulative, &[2], &[2], true),
            (Cumulative, &[2], &[3], true),
            (Cumulative, &[2], &[0, 3, 1], true),
            (Cumulative, &[0], &[0], true),
            (Cumulative, &[0], &[], false),
            (Cumulative, &[0], &[-1], false),
            (Granular, &[0, 1], &[], false),
            (Granular, &[0, 1], &[1], false),
            (Granular, &[0, 1], &[3], false),
            (Granular, &[0, 1], &[1, 0], true),
            (Granular, &[0, 1], &[3, 1, 0], true),
        ] {
            let stream = stream(mode, asked, NotGranted::Keep);
            assert_eq!(
                stream.passes(consent),
                passes,
                "{mode:?} {asked:?} {consent:?}"
            );
        }
    }

    #[test]
    fn fields_are_granted_up_to_the_level_or_by_being_in_the_set() {
        let cumulative = stream(Mode::Cumulative, &[2], NotGranted::Keep);
        let granular = stream(Mode::Granular, &[0, 2], NotGranted::Keep);
        for (level, by_cumulative, by_granular) in [
            (0, Treatment::Decrypt, Treatment::Decrypt),
            (1, Treatment::Decrypt, Treatment::Keep),
            (2, Treatment::Decrypt, Treatment::Decrypt),
            (3, Treatment::Keep, Treatment::Keep),
        ] {
            assert_eq!(cumulative.treatment(level), by_cumulative, "{level}");
            assert_eq!(granular.treatment(level), by_granular, "{level}");
        }
    }
}
