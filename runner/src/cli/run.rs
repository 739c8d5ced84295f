//! `penstock run`: a worker until SIGINT or SIGTERM.

use clap::Args;

use super::signals::Ending;
use super::{CliError, CliResult};
use crate::config;
use crate::logging;
use crate::plugins::Plugins;
use crate::worker::Worker;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(
    after_help = "PENSTOCK_LOG says how much is logged: error, warn, info (by default), debug or trace."
)]
pub(super) struct Run {
    /// The worker's properties file, then the connectors'; a file named twice counts once.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

impl Run {
    pub(super) async fn run(self, plugins: Plugins) -> CliResult {
        logging::start("info");
        let loaded = config::load(&self.files, &plugins).map_err(super::validate::report)?;
        for note in &loaded.notes {
            tracing::info!("{note}");
        }
        // Signals that come while the worker starts are not lost.
        let mut ending = Ending::listen()?;
        let worker = tokio::select! {
            started = Worker::start(loaded, plugins) => started.map_err(|error| CliError(error.to_string()))?,
            () = ending.wait() => return Ok(()),
        };
        let connectors = match worker.connector_count() {
            1 => "1 connector".to_owned(),
            count => format!("{count} connectors"),
        };
        tracing::info!("worker ready at http://{}, {connectors}", worker.address());
        if let Some(address) = worker.registry_address() {
            tracing::info!("embedded schema registry at http://{address}");
        }
        ending.wait().await;
        tracing::info!("stopping");
        worker.stop().await;
        Ok(())
    }
}
