//! `penstock run`: a worker until SIGINT or SIGTERM.

use std::io::IsTerminal;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, CliResult};
use crate::config;
use crate::plugins::Plugins;
use crate::worker::Worker;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The worker's properties file, then the connectors'; a file named twice counts once.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

impl Run {
    pub(super) async fn run(self, plugins: Plugins) -> CliResult {
        start_logging("info");
        let loaded = config::load(&self.files, &plugins).map_err(super::validate::report)?;
        for note in &loaded.notes {
            tracing::info!("{note}");
        }
        // Signals that come while the worker starts are not lost.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let count = loaded.connectors.len();
        let worker = tokio::select! {
            started = Worker::start(loaded, plugins) => started.map_err(|error| CliError(error.to_string()))?,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        };
        tracing::info!(
            "worker ready at http://{}, {count} connectors",
            worker.address()
        );
        if let Some(address) = worker.registry_address() {
            tracing::info!("embedded schema registry at http://{address}");
        }
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        worker.stop().await;
        Ok(())
    }
}

/// Log lines on standard error, at the level of `PENSTOCK_LOG` (default `level`). Records' contents
/// are never logged.
pub(super) fn start_logging(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PENSTOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    // Already set when a program that uses this library has its own.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}
