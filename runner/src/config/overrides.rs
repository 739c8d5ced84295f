//! `producer.override.*`, `consumer.override.*` and `admin.override.*`: settings of the Kafka clients of
//! one connector, by the Java client's names.

use std::collections::BTreeMap;

use penstock_broker::kafka;
use penstock_connect::{Problem, Settings};

use super::files::accept;

/// Overrides that mean nothing here.
const WITHOUT_EFFECT: &[(&str, &str)] = &[(
    "producer.override.transactional.id",
    "transactional ids are the worker's, one for each task",
)];

const WITHOUT_EFFECT_PREFIXES: &[(&str, &str)] = &[(
    "admin.override.",
    "topics are made with the worker's own client",
)];

/// Settings of producers and of consumers.
pub(super) struct Overrides {
    pub(super) producer: BTreeMap<String, String>,
    pub(super) consumer: BTreeMap<String, String>,
}

impl Overrides {
    /// Takes them out, and checks them as far as that goes without connecting.
    pub(super) fn take(
        rest: &mut Settings,
        notes: &mut Vec<Problem>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        accept(rest, WITHOUT_EFFECT, WITHOUT_EFFECT_PREFIXES, notes);
        let mut checked = |prefix| {
            let given = rest.take_prefix(prefix);
            let settings: BTreeMap<String, String> = given
                .keys()
                .filter_map(|key| Some((key.to_owned(), given.get(key)?.value().to_owned())))
                .collect();
            if let Err(found) = kafka::client_config(&settings) {
                problems.extend(
                    found
                        .into_iter()
                        .map(|problem| given.problem(&problem.key, problem.message)),
                );
            }
            settings
        };
        Self {
            producer: checked("producer.override."),
            consumer: checked("consumer.override."),
        }
    }
}
