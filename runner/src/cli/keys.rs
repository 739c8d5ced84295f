//! `penstock keys export` and `penstock dead-letters`: secrets in the clear, only with `--reveal`.

use std::io::{BufWriter, ErrorKind, Write};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::client::{Client, Lines};
use super::resources::segment;
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
        let path = format!("/streams/{}/keys?reveal=true", segment(&export.stream));
        let mut lines = client.lines(&path).await?;
        let mut out = BufWriter::new(std::io::stdout());
        match print(&mut lines, export.format, &mut out).await {
            // A reader that has gone away (`| head`) is no error.
            Err(Ended::Reader(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(Ended::Reader(error)) => Err(CliError(format!("cannot print the keys: {error}"))),
            Err(Ended::Worker(error)) => Err(CliError(format!(
                "{}; the keys that were printed are not all",
                error.0
            ))),
            Ok(0) => {
                output::note(&format!(
                    "there are no keys of stream {}; penstock list streams shows the streams",
                    export.stream
                ));
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }
}

/// Why an export ended early.
enum Ended {
    Reader(std::io::Error),
    Worker(CliError),
}

/// Prints keys as they come; says how many.
async fn print(lines: &mut Lines, format: KeyFormat, out: &mut impl Write) -> Result<u64, Ended> {
    let mut printed = 0;
    if format == KeyFormat::Csv {
        writeln!(out, "keyLink,encryptionKey,expiresAt").map_err(Ended::Reader)?;
    }
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            ended => {
                // What came before an error is of use, too.
                out.flush().map_err(Ended::Reader)?;
                return ended.map(|_| printed).map_err(Ended::Worker);
            }
        };
        let row = match format {
            KeyFormat::Jsonl => line,
            KeyFormat::Csv => csv(&line).map_err(Ended::Worker)?,
        };
        writeln!(out, "{row}").map_err(Ended::Reader)?;
        printed += 1;
    }
}

fn csv(line: &str) -> Result<String, CliError> {
    let key: Value = serde_json::from_str(line)?;
    let keyset = key["encryptionKey"].to_string();
    let link = key["keyLink"].as_str().unwrap_or_default();
    Ok(format!("{link},{},{}", quoted(&keyset), key["expiresAt"]))
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
            .get(&format!(
                "/dead-letters/{}?reveal=true",
                segment(&self.topic)
            ))
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
