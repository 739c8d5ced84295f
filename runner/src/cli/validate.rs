//! `penstock validate`: everything short of connecting.

use clap::Args;
use penstock_connect::Problem;

use super::{CliError, CliResult, contract_files, output};
use crate::config;
use crate::plugins::Plugins;

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The worker's properties file, then the connectors'.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

impl Validate {
    pub(super) fn run(self, plugins: &Plugins) -> CliResult {
        let loaded = config::load(&self.files, plugins);
        let mut problems = match &loaded {
            Ok(loaded) => contract_files::check(&loaded.worker),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        if let Err(found) = &loaded
            && let Some(worker) = config::worker_alone(&self.files)
        {
            // Files of schemas and contracts are looked at even when connectors have problems.
            debug_assert!(!found.is_empty());
            problems.extend(contract_files::check(&worker));
        }
        if !problems.is_empty() {
            return Err(CliError(problems.join("\n")));
        }
        if let Ok(loaded) = loaded {
            for note in &loaded.notes {
                output::line(&format!("note: {note}"));
            }
            output::line(&match loaded.connectors.len() {
                1 => "1 connector: no problems".to_owned(),
                count => format!("{count} connectors: no problems"),
            });
        }
        Ok(())
    }
}

/// Problems as the command line tells them.
pub(super) fn report(problems: Vec<Problem>) -> CliError {
    CliError(
        problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    )
}
