//! `create`, `list`, `get` and `delete` of streams, schemas, contracts and connectors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use penstock_connect::Settings;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{self, Format};
use super::{CliError, CliResult};
use crate::rest::{NewSchema, NewStream};

const STREAM: &[&str] = &[
    "name",
    "partitions",
    "offsets",
    "derived_from",
    "levels",
    "mode",
];
const SCHEMA: &[&str] = &["ref", "type", "id", "name"];
const CONTRACT: &[&str] = &["ref", "schemaRef", "state", "keyField"];
const CONNECTOR: &[&str] = &["name", "type", "state", "tasks", "trace"];

/// `create …`.
#[derive(Debug, Subcommand)]
pub(super) enum Create {
    /// A stream, or one derived from another by consent.
    Stream(CreateStream),
    /// A schema: `handle/name/x.y.z` and its file.
    Schema {
        /// Ref of the schema, such as `acme/clicks/1.0.0`.
        #[arg(value_name = "REF")]
        reference: String,
        /// The schema: `.avsc` is Avro, `.json` is JSON Schema.
        file: PathBuf,
    },
    /// An event contract from a JSON file.
    Contract {
        /// The contract.
        file: PathBuf,
    },
    /// A connector from a properties or JSON file.
    Connector {
        /// The connector's settings.
        file: String,
    },
}

/// `create stream`.
#[derive(Debug, Args)]
pub(super) struct CreateStream {
    /// Name of the stream; a derived one is called after its origin and levels if none is given.
    #[arg(required_unless_present = "derived_from")]
    name: Option<String>,
    /// The stream it is derived from.
    #[arg(long, value_name = "STREAM", requires = "levels")]
    derived_from: Option<String>,
    /// Consent levels, separated by commas.
    #[arg(long, value_delimiter = ',', requires = "derived_from")]
    levels: Vec<penstock_contracts::Level>,
    /// Ask for every one of the levels, instead of the highest.
    #[arg(long, requires = "derived_from")]
    granular: bool,
    /// Number of partitions.
    #[arg(long, conflicts_with = "derived_from")]
    partitions: Option<i32>,
}

impl Create {
    pub(super) async fn run(self, client: &Client, format: Format) -> CliResult {
        match self {
            Self::Stream(stream) => {
                let body = json!(NewStream {
                    name: stream.name,
                    derived_from: stream.derived_from,
                    levels: stream.levels,
                    granular: stream.granular,
                    partitions: stream.partitions,
                });
                output::rows(format, &client.post("/streams", &body).await?, STREAM);
            }
            Self::Schema { reference, file } => {
                let avro = file
                    .extension()
                    .is_some_and(|extension| extension == "avsc");
                let body = json!(NewSchema {
                    reference,
                    kind: if avro { "AVRO" } else { "JSON" }.to_owned(),
                    schema: read(&file)?,
                });
                output::rows(format, &client.post("/schemas", &body).await?, SCHEMA);
            }
            Self::Contract { file } => {
                let text = read(&file)?;
                let answer = client
                    .text(reqwest::Method::POST, "/contracts", Some(text))
                    .await;
                let answer =
                    answer.map_err(|error| CliError(format!("{}: {}", file.display(), error.0)))?;
                output::rows(format, &serde_json::from_str(&answer)?, CONTRACT);
            }
            Self::Connector { file } => {
                let (settings, initial) =
                    crate::config::read(&file).map_err(super::validate::report)?;
                let config: BTreeMap<String, String> = settings.written();
                let name = config
                    .get("name")
                    .cloned()
                    .ok_or_else(|| CliError(format!("{file}: name is missing")))?;
                let mut body = json!({"name": name, "config": config});
                if let Some(initial) = initial {
                    body["initial_state"] = initial.as_str().into();
                }
                let created = client.post("/connectors", &body).await;
                created.map_err(|error| CliError(in_file(&error.0, &settings)))?;
                show_connector(client, format, &name).await?;
            }
        }
        Ok(())
    }
}

/// What the worker says of the keys of a request, at their places in the file that it came from.
fn in_file(text: &str, settings: &Settings) -> String {
    let place = |line: &str| match line.strip_prefix("request: ") {
        None => line.to_owned(),
        Some(problem) => {
            let file = settings.file();
            let key = problem.split(": ").next().unwrap_or_default();
            match settings.line(key) {
                0 => format!("{file}: {problem}"),
                at => format!("{file}:{at}: {problem}"),
            }
        }
    };
    text.lines().map(place).collect::<Vec<_>>().join("\n")
}

fn read(file: &std::path::Path) -> Result<String, CliError> {
    std::fs::read_to_string(file)
        .map_err(|error| CliError(format!("cannot read {}: {error}", file.display())))
}

/// `list …`.
#[derive(Debug, Subcommand)]
pub(super) enum List {
    /// All streams.
    #[command(visible_alias = "stream")]
    Streams,
    /// All schemas that have a ref.
    #[command(visible_alias = "schema")]
    Schemas,
    /// All event contracts.
    #[command(visible_alias = "contract")]
    Contracts,
    /// All connectors with their state.
    #[command(visible_alias = "connector")]
    Connectors,
}

impl List {
    pub(super) async fn run(self, client: &Client, format: Format) -> CliResult {
        match self {
            Self::Streams => output::rows(format, &client.get("/streams").await?, STREAM),
            Self::Schemas => output::rows(format, &client.get("/schemas").await?, SCHEMA),
            Self::Contracts => output::rows(format, &client.get("/contracts").await?, CONTRACT),
            Self::Connectors => {
                let all = client.get("/connectors?expand=status").await?;
                if format == Format::Json {
                    output::json(&all);
                    return Ok(());
                }
                let rows: Vec<Value> = all
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(_, entry)| connector_row(&entry["status"]))
                    .collect();
                output::rows(format, &rows.into(), CONNECTOR);
            }
        }
        Ok(())
    }
}

fn connector_row(status: &Value) -> Value {
    let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
    let states: Vec<Value> = tasks.iter().map(|task| task["state"].clone()).collect();
    let trace = tasks
        .iter()
        .find_map(|task| task["trace"].as_str())
        .unwrap_or_default();
    json!({
        "name": status["name"],
        "type": status["type"],
        "state": status["connector"]["state"],
        "tasks": states,
        "trace": trace,
    })
}

/// `get …`.
#[derive(Debug, Subcommand)]
pub(super) enum Get {
    /// One stream.
    Stream {
        /// Its name.
        name: String,
    },
    /// One schema with its text.
    Schema {
        /// Its ref.
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// One event contract.
    Contract {
        /// Its ref.
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// One connector with its state.
    Connector {
        /// Its name.
        name: String,
    },
}

impl Get {
    pub(super) async fn run(self, client: &Client, format: Format) -> CliResult {
        match self {
            Self::Stream { name } => {
                output::rows(
                    format,
                    &client.get(&format!("/streams/{}", segment(&name))).await?,
                    STREAM,
                );
            }
            Self::Schema { reference } => {
                output::json(&client.get(&format!("/schemas/{reference}")).await?)
            }
            Self::Contract { reference } => {
                output::json(&client.get(&format!("/contracts/{reference}")).await?)
            }
            Self::Connector { name } => show_connector(client, format, &name).await?,
        }
        Ok(())
    }
}

pub(super) async fn show_connector(client: &Client, format: Format, name: &str) -> CliResult {
    let status = client
        .get(&format!("/connectors/{}/status", segment(name)))
        .await?;
    match format {
        Format::Json => output::json(&status),
        Format::Table => output::rows(format, &connector_row(&status), CONNECTOR),
    }
    Ok(())
}

/// `delete …`.
#[derive(Debug, Subcommand)]
pub(super) enum Delete {
    /// A stream with its records; for a derived one also the pipeline behind it.
    Stream {
        /// Its name.
        name: String,
    },
    /// A schema.
    Schema {
        /// Its ref.
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// An event contract that was created over this command line.
    Contract {
        /// Its ref.
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// A connector; its topics stay.
    Connector {
        /// Its name.
        name: String,
    },
}

impl Delete {
    pub(super) async fn run(self, client: &Client) -> CliResult {
        let path = match &self {
            Self::Stream { name } => format!("/streams/{}", segment(name)),
            Self::Schema { reference } => format!("/schemas/{reference}"),
            Self::Contract { reference } => format!("/contracts/{reference}"),
            Self::Connector { name } => format!("/connectors/{}", segment(name)),
        };
        client.delete(&path).await.map(|_| ())
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_paths() {
        assert_eq!(segment("demo-2"), "demo-2");
        assert_eq!(segment("a/b ü"), "a%2Fb%20%C3%BC");
    }
}
