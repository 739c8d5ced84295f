//! The command line: the verbs of its users.

mod client;
mod contract_files;
mod egress;
mod export;
mod keys;
mod listeners;
mod output;
mod quickstart;
mod resources;
mod run;
mod sender;
mod shop;
mod signals;
mod simulate;
mod validate;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::plugins::Plugins;

/// Where options stand that commands share.
const EVERYWHERE: &str = "Options of all commands that talk to a worker";

/// Events in, checked against contracts, encrypted, and out again only where consent allows.
#[derive(Debug, Parser)]
#[command(
    name = "penstock",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit status: 0 when done; 1 after a failure, which is told on standard error; 2 for a command line \
                  that is not understood.\nPENSTOCK_TOKEN, if it is set, is the bearer token for a worker or an egress that \
                  asks for one."
)]
struct Cli {
    /// The worker that a command talks to.
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        default_value = "http://127.0.0.1:8083",
        env = "PENSTOCK_WORKER",
        value_name = "URL",
        value_parser = worker_url
    )]
    worker: String,
    /// How answers are printed: `table` for people, `json` for programs.
    #[arg(
        short,
        long,
        global = true,
        help_heading = EVERYWHERE,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true,
        default_value_t = output::Format::Table
    )]
    output: output::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a worker: its own properties file first, then one file for each connector.
    Run(run::Run),
    /// Check files without connecting to anything; every problem is reported at once.
    Validate(validate::Validate),
    /// Run the demo: visitors send events, and you see them sent, encrypted and routed by consent.
    Quickstart(quickstart::Quickstart),
    /// Create a stream, schema, contract or connector.
    #[command(subcommand)]
    Create(resources::Create),
    /// List streams, schemas, contracts or connectors.
    #[command(subcommand)]
    List(resources::List),
    /// Show one stream, schema, contract or connector.
    #[command(subcommand)]
    Get(resources::Get),
    /// Delete a stream, schema, contract or connector.
    #[command(subcommand)]
    Delete(resources::Delete),
    /// Show the events of a stream as they come.
    Egress(egress::Egress),
    /// Write the events of a stream as files into a bucket or a directory.
    Export(export::Export),
    /// Send events of made-up visitors of a web shop through the gateway.
    Simulate(simulate::Simulate),
    /// Encryption keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Show a topic's dead letters; sealed ones are opened.
    DeadLetters(keys::DeadLetters),
    /// Say whether the worker is healthy: exit status 0 or 1.
    Health,
    /// Print the configuration reference as Markdown.
    Reference,
    /// Print a completion script for a shell, such as `source <(penstock completion bash)` takes.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The whole program, with these plugins. Returns the exit status: 0, or 1 after an error, which is
/// told on standard error.
pub fn main(plugins: Plugins) -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let result = runtime.block_on(dispatch(cli, plugins));
    // Threads of tasks that were given up must not hold the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.0),
    }
}

fn fail(message: &str) -> ExitCode {
    output::note(message);
    ExitCode::FAILURE
}

/// The worker's URL; `host:port` alone is one, too.
fn worker_url(text: &str) -> Result<String, String> {
    let url = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    match reqwest::Url::parse(&url) {
        Ok(parsed) if ["http", "https"].contains(&parsed.scheme()) && parsed.has_host() => Ok(url),
        _ => Err("must be a URL such as http://127.0.0.1:8083".to_owned()),
    }
}

/// What went wrong, for people; may be several lines.
#[derive(Debug)]
struct CliError(String);

impl<E: std::fmt::Display> From<E> for CliError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

type CliResult = Result<(), CliError>;

async fn dispatch(cli: Cli, plugins: Plugins) -> CliResult {
    let client = client::Client::new(&cli.worker);
    let output = cli.output;
    match cli.command {
        Command::Run(run) => run.run(plugins).await,
        Command::Validate(validate) => validate.run(&plugins),
        Command::Quickstart(quickstart) => quickstart.run(plugins).await,
        Command::Create(create) => create.run(&client, output).await,
        Command::List(list) => list.run(&client, output).await,
        Command::Get(get) => get.run(&client, output).await,
        Command::Delete(delete) => delete.run(&client).await,
        Command::Egress(egress) => egress.run(&client, &cli.worker).await,
        Command::Export(export) => export.run(&client, output).await,
        Command::Simulate(simulate) => simulate.run(&client, &cli.worker).await,
        Command::Keys(keys) => keys.run(&client).await,
        Command::DeadLetters(letters) => letters.run(&client).await,
        Command::Health => {
            let health = client.get("/health").await?;
            match output {
                output::Format::Json => output::json(&health),
                output::Format::Table => {
                    output::line(health["message"].as_str().unwrap_or("healthy"));
                }
            }
            Ok(())
        }
        Command::Reference => {
            output::line(crate::reference::markdown(&plugins).trim_end());
            Ok(())
        }
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "penstock",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_worker_is_named_by_url_or_by_host_and_port() {
        for (given, url) in [
            ("https://worker.example", "https://worker.example"),
            ("worker:8083", "http://worker:8083"),
            ("[::1]:8083", "http://[::1]:8083"),
        ] {
            assert_eq!(worker_url(given).as_deref(), Ok(url));
        }
        for given in ["", "ws://worker:8082", "http://", "wor ker:8083"] {
            assert!(worker_url(given).is_err(), "{given}");
        }
    }
}
