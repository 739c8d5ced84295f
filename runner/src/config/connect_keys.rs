//! Keys that files of Kafka Connect bring along beside those that mean the same here: taken with a note,
//! or refused with the way round.

use penstock_connect::{Problem, Settings};

use super::ConnectorConfig;
use super::files::accept;

/// Keys of Kafka Connect's connectors that mean nothing here: accepted with a note.
const ACCEPTED: &[(&str, &str)] = &[
    ("connector.plugin.version", ONE_VERSION),
    (
        "tasks.max.enforce",
        "a connector never has more tasks than tasks.max",
    ),
    (
        "exactly.once.support",
        "sources that can be replayed are always exactly once",
    ),
    (
        "offsets.storage.topic",
        "positions are kept in _penstock.offsets",
    ),
];

/// There is one version of each plugin.
pub(super) const ONE_VERSION: &str = "plugins are compiled in, each in one version";

/// Keys of other vendors' connectors that mean nothing here: accepted with a note.
const ACCEPTED_PREFIXES: &[(&str, &str)] = &[
    (
        "confluent.",
        "licence and telemetry settings mean nothing here",
    ),
    (
        "config.action.reload",
        "connectors are not restarted on secret changes",
    ),
    (
        "transaction.boundary",
        "a source commits its transaction after transaction.interval.ms of the worker, at the latest",
    ),
    ("header.converter.", "headers are always bytes"),
];

/// Prefixes of keys that would mean something, and cannot be had: what to do instead.
const REFUSED_PREFIXES: &[(&str, &str)] = &[(
    "topic.creation.",
    "is not supported for one connector: make its topic yourself (penstock create stream NAME --partitions N), or set \
     topic.creation.default.partitions and .replication.factor in the worker's file",
)];

/// Keys that mean nothing to an intake, whose senders learn at once what becomes of their events.
const ON_INTAKES: &[(&str, &str)] = &[(
    "errors.",
    "an intake refuses to its sender what it cannot process",
)];

/// Takes them out of a connector's settings.
pub(super) fn take(
    rest: &mut Settings,
    is_intake: bool,
    notes: &mut Vec<Problem>,
    problems: &mut Vec<Problem>,
) {
    if is_intake {
        let support = rest.get("exactly.once.support");
        if support.is_some_and(|word| word.value().trim().eq_ignore_ascii_case("required")) {
            let message =
                "cannot be required: who repeats a request to an intake may repeat its events";
            problems.push(rest.problem("exactly.once.support", message));
        }
        accept(rest, &[], ON_INTAKES, notes);
    }
    accept(rest, ACCEPTED, ACCEPTED_PREFIXES, notes);
    refuse(rest, problems);
}

/// Takes out which version of a plugin a transform or predicate is to be of.
pub(super) fn take_versions(
    common: &ConnectorConfig,
    rest: &mut Settings,
    notes: &mut Vec<Problem>,
) {
    for (list, names) in [
        ("predicates", &common.predicates),
        ("transforms", &common.transforms),
    ] {
        for name in &names.0 {
            let key = format!("{list}.{name}.plugin.version");
            accept(rest, &[(&key, ONE_VERSION)], &[], notes);
        }
    }
}

/// Notes keys of every connector that were set and change nothing.
pub(super) fn note(common: &ConnectorConfig, given: &Settings, notes: &mut Vec<Problem>) {
    if common.log_messages {
        let message = "has no effect: contents of records are never logged";
        notes.push(given.problem("errors.log.include.messages", message));
    }
    if common.header_converter.is_some() {
        let message = "has no effect: headers are always bytes";
        notes.push(given.problem("header.converter", message));
    }
}

/// Takes out keys that cannot be had, with the way round.
fn refuse(rest: &mut Settings, problems: &mut Vec<Problem>) {
    for (prefix, why) in REFUSED_PREFIXES {
        let refused = rest.take_prefix(prefix);
        for key in refused.keys() {
            problems.push(refused.problem(key, *why));
        }
    }
}
