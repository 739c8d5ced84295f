//! The runner: one worker that composes sources, sinks, transforms and topic-to-topic pipelines from
//! properties files, and the command line around it.
//!
//! A third party builds its own binary from this library and its plugin:
//!
//! ```no_run
//! use penstock_connect::{Outputs, Record, Transform, config};
//!
//! config! {
//!     /// Sends every record to one topic.
//!     pub struct RedirectConfig {
//!         /// The topic.
//!         "topic" => topic: String,
//!     }
//! }
//!
//! struct Redirect(std::sync::Arc<str>);
//!
//! impl Transform for Redirect {
//!     fn apply(&mut self, _index: usize, mut record: Record, out: &mut Outputs) {
//!         record.topic = self.0.clone();
//!         out.pass(record);
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     let plugins = penstock_runner::Plugins::builtin().transform(
//!         "Redirect",
//!         &[],
//!         |settings| settings.get("topic").map(|topic| topic.value().to_owned()).into_iter().collect(),
//!         |config: RedirectConfig, _context, _services| Ok(Box::new(Redirect(config.topic.into()))),
//!     );
//!     penstock_runner::main(plugins)
//! }
//! ```

mod builtin;
mod chain;
mod cli;
mod compacted;
mod config;
mod config_store;
mod connectors;
mod converters;
mod dead_letters;
mod ends;
mod journal;
mod key_store;
mod logging;
mod memory;
mod metrics;
mod offsets;
mod panics;
mod personal;
mod plugins;
mod reference;
mod rest;
mod services;
mod startup;
mod status;
mod tasks;
mod topics;
mod worker;

pub use cli::main;
pub use plugins::{Kind, Plugins, no_topics};
pub use services::Services;
pub use worker::{StartError, Worker};
