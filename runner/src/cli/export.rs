//! `penstock export STREAM --to URL`: the events of a stream as files in a bucket or a directory.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::client::Client;
use super::output::{self, Format};
use super::resources::{segment, show_connector};
use super::signals::Ending;
use super::{CliError, CliResult};

/// How often the worker is asked how far it has come.
const LOOK: Duration = Duration::from_millis(250);

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The stream.
    stream: String,
    /// Where the files go: `s3://bucket/prefix`, `gs://…`, `az://…` or `file:///directory`, as the worker sees it.
    #[arg(long, value_name = "URL")]
    to: String,
    /// What files are: jsonl, json, csv, avro, parquet or bytes.
    #[arg(long, default_value = "jsonl")]
    format: String,
    /// How they are compressed: none, gzip, zstd, snappy or lz4.
    #[arg(long, default_value = "none")]
    compression: String,
    /// Any other key of the connector `ObjectSink`; a secret as a reference: `aws.secret.access.key=${env:SECRET}`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Name of the connector that does it.
    #[arg(long)]
    name: Option<String>,
    /// Export what the stream holds now, wait for it, and remove the connector. Without it the
    /// connector stays and goes on.
    #[arg(long)]
    once: bool,
}

impl Export {
    pub(super) async fn run(self, client: &Client, format: Format) -> CliResult {
        let name = self.connector_name();
        let total = client
            .get(&format!("/streams/{}", segment(&self.stream)))
            .await?["offsets"]
            .clone();
        let config = self.config(&name)?;
        let mut ending = Ending::listen()?;
        client
            .post("/connectors", &json!({"name": name, "config": config}))
            .await?;
        if !self.once {
            return show_connector(client, format, &name).await;
        }
        let bar = bar(total.as_u64().unwrap_or(0));
        let followed = tokio::select! {
            followed = follow(client, &name, &bar) => followed,
            () = ending.wait() => Err(CliError(format!(
                "the export goes on without you; penstock delete connector {name} ends it"
            ))),
        };
        bar.finish_and_clear();
        let done = followed?;
        // Its positions and its journal go with it: nobody goes on from there.
        let path = format!("/connectors/{}", segment(&name));
        client
            .text(reqwest::Method::PUT, &format!("{path}/stop"), None)
            .await?;
        client.delete(&format!("{path}/offsets")).await?;
        client.delete(&path).await?;
        let summary = json!({
            "stream": self.stream,
            "to": self.to,
            "files": done.files,
            "rows": done.rows,
            "bytes": done.bytes,
        });
        output::rows(
            format,
            &summary,
            &["stream", "to", "files", "rows", "bytes"],
        );
        Ok(())
    }

    /// One name for each export that runs once, so that each reads from the beginning.
    fn connector_name(&self) -> String {
        let stream = &self.stream;
        self.name.clone().unwrap_or_else(|| match self.once {
            true => format!(
                "export-{stream}-{}",
                chrono::Utc::now().format("%Y%m%dT%H%M%S%3f")
            ),
            false => format!("export-{stream}"),
        })
    }

    fn config(&self, name: &str) -> Result<BTreeMap<String, String>, CliError> {
        let mut config = BTreeMap::new();
        for pair in &self.set {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| CliError(format!("--set {pair}: write KEY=VALUE")))?;
            config.insert(key.to_owned(), value.to_owned());
        }
        let mut given = vec![
            ("name", name),
            ("connector.class", "ObjectSink"),
            ("topics", &self.stream),
            ("url", &self.to),
            ("format", &self.format),
            ("compression", &self.compression),
        ];
        if self.once {
            given.push(("read.until", "end"));
        }
        for (key, value) in given {
            if config.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(CliError(format!(
                    "--set {key}: the command line has an option for it"
                )));
            }
        }
        Ok(config)
    }
}

/// What an export has done.
struct Done {
    files: u64,
    rows: u64,
    bytes: u64,
}

/// Waits until all tasks have completed, and shows meanwhile how far they are and what keeps them.
async fn follow(client: &Client, name: &str, bar: &ProgressBar) -> Result<Done, CliError> {
    let mut told = String::new();
    loop {
        let status = client
            .get(&format!("/connectors/{}/status", segment(name)))
            .await?;
        let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(failed) = tasks.iter().find(|task| task["state"] == "FAILED") {
            return Err(CliError(format!(
                "the export failed: {}\npenstock get connector {name} shows it, penstock delete connector {name} removes it",
                failed["trace"].as_str().unwrap_or("no reason is known")
            )));
        }
        let waiting = tasks.iter().filter(|task| task["state"] != "COMPLETED");
        let reason = waiting.filter_map(|task| task["trace"].as_str()).next();
        if let Some(reason) = reason.filter(|reason| *reason != told) {
            bar.suspend(|| output::note(&format!("the export waits, and tries again: {reason}")));
            told = reason.to_owned();
        }
        let metrics = client.text(reqwest::Method::GET, "/metrics", None).await?;
        let count = |metric| count(&metrics, metric, name);
        bar.set_position(count(
            "kafka_connect_sink_task_metrics_sink_record_read_total",
        ));
        if !tasks.is_empty() && tasks.iter().all(|task| task["state"] == "COMPLETED") {
            return Ok(Done {
                files: count("penstock_object_sink_files_total"),
                rows: count("penstock_object_sink_rows_total"),
                bytes: count("penstock_object_sink_bytes_total"),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A metric's sum over a connector's tasks, from the text exposition format.
fn count(metrics: &str, metric: &str, connector: &str) -> u64 {
    let label = format!("connector=\"{connector}\"");
    metrics
        .lines()
        .filter_map(|line| {
            line.strip_prefix(metric)?
                .strip_prefix('{')?
                .split_once("} ")
        })
        .filter(|(labels, _)| labels.split(',').any(|found| found == label))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum()
}

/// A bar on terminals; nothing is drawn elsewhere.
fn bar(total: u64) -> ProgressBar {
    let style = "{bar:40} {pos}/{len} offsets, {per_sec}, {elapsed}, {eta} left";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_tasks_of_one_connector() {
        let metrics = "# TYPE rows_total counter\nrows_total{connector=\"a\",task=\"0\"} 40\n\
            rows_total{connector=\"a\",task=\"1\"} 2\nrows_total{connector=\"ab\",task=\"0\"} 7\n\
            rows_total_more{connector=\"a\",task=\"0\"} 7\n";
        assert_eq!(count(metrics, "rows_total", "a"), 42);
        assert_eq!(count(metrics, "rows_total", "b"), 0);
    }
}
