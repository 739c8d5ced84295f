//! The configuration reference, made from the same declarations that parse the files.

use std::fmt::Write;

use penstock_connect::{Config, ConfigKey};

use crate::config::{ConnectorConfig, WorkerConfig};
use crate::plugins::Plugins;

/// The whole reference as Markdown.
pub(crate) fn markdown(plugins: &Plugins) -> String {
    let mut out = String::from(
        "# Configuration\n\nMade from the program by `penstock reference`; every key stands here with its default. \
         Values may hold\n`${env:VAR}`, `${file:path:key}` and `${directory:dir:file}`. An unknown key is an error.\n",
    );
    section(
        &mut out,
        "## The worker's file",
        &WorkerConfig::doc(),
        &WorkerConfig::keys(),
    );
    out.push_str(
        "\nWith `bootstrap.servers`, settings of the Kafka client may stand beside these, by the Java client's names \
         (`security.protocol`,\n`sasl.jaas.config`, `ssl.truststore.location` …), also with `producer.`, `consumer.` \
         and `admin.` before them.\n",
    );
    section(
        &mut out,
        "## Every connector",
        &ConnectorConfig::doc(),
        &ConnectorConfig::keys(),
    );
    out.push_str(
        "\nEach name in `transforms` has `transforms.<name>.type` and may have `transforms.<name>.predicate` and \
         `transforms.<name>.negate`;\neach name in `predicates` has `predicates.<name>.type`.\n\n\
         Below its key, the Json converter takes `schemas.enable` (`true`); Avro and JsonSchema take \
         `key.subject.name.strategy` or\n`value.subject.name.strategy` (TopicNameStrategy, RecordNameStrategy, \
         TopicRecordNameStrategy) and `auto.register.schemas` (`true`; `false`\nrejects records whose schema their \
         subject does not have). A schema that has an id keeps it. `schema.registry.url` and\n`basic.auth.user.info` may \
         stand there as in Kafka Connect's files, and have to be the worker's.\n\n\
         `producer.override.` and `consumer.override.` before a setting of the Kafka client make it the connector's own; \
         on an intake\n(HttpSource) the keys of `errors.` have no effect, since it refuses to its sender what it cannot \
         process.\n",
    );
    for (heading, wanted) in [
        ("## Connectors", &["source", "sink", "pipeline"][..]),
        ("## Transforms", &["transformation"][..]),
    ] {
        let _ = writeln!(out, "\n{heading}");
        for (class, kind, doc, keys) in plugins
            .classes()
            .filter(|(_, kind, ..)| wanted.contains(kind))
        {
            let title = if kind == "transformation" {
                class.to_owned()
            } else {
                format!("{class} ({kind})")
            };
            section(&mut out, &format!("### {title}"), &doc, &keys);
        }
    }
    for class in penstock_smt::SUPPORTED {
        section(
            &mut out,
            &format!("### {}", class.name),
            &(class.doc)(),
            &(class.keys)(),
        );
    }
    out.push_str("\n## Predicates\n");
    for class in penstock_smt::SUPPORTED_PREDICATES {
        section(
            &mut out,
            &format!("### {}", class.name),
            &(class.doc)(),
            &(class.keys)(),
        );
    }
    out
}

fn section(out: &mut String, heading: &str, doc: &str, keys: &[ConfigKey]) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "\n{heading}\n\n{doc}");
    if keys.is_empty() {
        return;
    }
    out.push_str("\n| Key | Takes | Default | What it does |\n|---|---|---|---|\n");
    for key in keys {
        let default = match key.default {
            Some(default) => format!("`{default}`"),
            None if key.required => "required".to_owned(),
            None => String::new(),
        };
        let doc = key.doc.replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{}` | {} | {default} | {doc} |",
            key.name,
            key.kind.replace('|', "\\|")
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_reference_in_the_docs_is_what_the_program_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let expected = markdown(&Plugins::builtin());
        assert!(
            written == expected,
            "docs/configuration.md is old: run `cargo run -- reference > docs/configuration.md`"
        );
    }
}
