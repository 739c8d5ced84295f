//! `penstock keys export` and `penstock dead-letters`: secrets in the clear, only with `--reveal`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::client::Client;
use super::{CliError, CliResult, output};

/// `keys …`.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Print the keys of a stream in the clear: whoever has them can decrypt it.
    Export(Export),
}

/// Arguments of `keys export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The stream.
    #[arg(long)]
    stream: String,
    /// CSV with a header line, or one JSON object a line.
    #[arg(long, value_enum, default_value_t = KeyFormat::Csv)]
    format: KeyFormat,
    /// Say that the keys are to be shown.
    #[arg(long)]
    reveal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyFormat {
    Csv,
    Jsonl,
}

impl Keys {
    pub(super) async fn run(self, client: &Client) -> CliResult {
        let Self::Export(export) = self;
        if !export.reveal {
            return Err(CliError(
                "this prints keys in the clear, and whoever has them can decrypt the stream; add --reveal if that is \
                 what you want"
                    .to_owned(),
            ));
        }
        let path = format!("/streams/{}/keys?reveal=true", export.stream);
        let lines = client.text(reqwest::Method::GET, &path, None).await?;
        if export.format == KeyFormat::Jsonl {
            output::line(lines.trim_end());
            return Ok(());
        }
        output::line("keyLink,encryptionKey,expiresAt");
        for line in lines.lines() {
            let key: Value = serde_json::from_str(line)?;
            let keyset = key["encryptionKey"].to_string();
            let link = key["keyLink"].as_str().unwrap_or_default();
            output::line(&format!("{link},{},{}", quoted(&keyset), key["expiresAt"]));
        }
        Ok(())
    }
}

/// A CSV field in quotes (RFC 4180).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Arguments of `dead-letters`.
#[derive(Debug, Args)]
pub(super) struct DeadLetters {
    /// The dead letter topic.
    topic: String,
    /// Say that records are to be shown in the clear.
    #[arg(long)]
    reveal: bool,
}

impl DeadLetters {
    pub(super) async fn run(self, client: &Client) -> CliResult {
        if !self.reveal {
            return Err(CliError(
                "dead letters may hold personal data in the clear once opened; add --reveal if that is what you want"
                    .to_owned(),
            ));
        }
        let letters = client
            .get(&format!("/dead-letters/{}?reveal=true", self.topic))
            .await?;
        for letter in letters.as_array().into_iter().flatten() {
            output::line(&letter.to_string());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keysets_are_quoted_in_csv() {
        assert_eq!(quoted(r#"{"a":1}"#), r#""{""a"":1}""#);
    }
}
