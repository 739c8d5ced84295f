//! Command line of the project's tasks: `cargo xtask help`.
#![allow(clippy::print_stdout)] // A command line program prints.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::services::Shared;
use xtask::suite::{self, Selection};
use xtask::{Error, Result, bench, lint};

/// The project's tasks.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Run unit, conformance, end-to-end and doc tests against real servers.
    Test {
        /// Only tests whose name contains this.
        #[arg(long)]
        filter: Option<String>,
        /// Only this package (may be repeated).
        #[arg(long = "package", short)]
        packages: Vec<String>,
    },
    /// Check formatting, lints and licences.
    Lint,
    /// Measure the worker against a hand-written loop, Kafka Connect and a plain upload.
    Bench {
        /// Events in each topic.
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
        /// Runs of each job; the median counts.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Only jobs whose name contains this (may be repeated): `export`, `mask`, `first-kafka` and the like.
        #[arg(long)]
        only: Vec<String>,
        /// Measure the release build that is there instead of building.
        #[arg(long)]
        built: bool,
    },
    /// Keep the servers that tests need running between test runs.
    #[command(subcommand)]
    Services(ServicesTask),
}

#[derive(Subcommand)]
enum ServicesTask {
    /// Start those servers that do not run, and print the variables by which tests find them.
    Start,
    /// Print the variables: `eval "$(cargo xtask services env)"`.
    Env,
    /// Say which servers run.
    Status,
    /// Stop the servers and remove their data.
    Stop,
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Test { filter, packages } => {
            let counts = suite::run(&Selection { filter, packages })?;
            println!("{} passed, {} failed", counts.passed, counts.failed);
            if counts.failed > 0 {
                return Ok(ExitCode::FAILURE);
            }
        }
        Task::Lint => lint::lint()?,
        Task::Bench {
            events,
            rounds,
            only,
            built,
        } => print!(
            "{}",
            bench::run(&bench::Options {
                events,
                rounds,
                only,
                built,
            })?
        ),
        Task::Services(ServicesTask::Start) => print!("{}", Shared::start()?.exports()),
        Task::Services(ServicesTask::Env) => print!("{}", started()?.exports()),
        Task::Services(ServicesTask::Status) => match Shared::find()? {
            Some(shared) => print!("{}", shared.status()),
            None => println!("not started"),
        },
        Task::Services(ServicesTask::Stop) => match Shared::find()? {
            Some(shared) => shared.stop()?,
            None => println!("not started"),
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn started() -> Result<Shared> {
    Shared::find()?.ok_or_else(|| {
        Error::Other("no servers run: start them with `cargo xtask services start`".into())
    })
}
