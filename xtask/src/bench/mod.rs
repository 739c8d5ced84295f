//! `cargo xtask bench`: the worker against a hand-written loop, against Kafka Connect and against a
//! plain upload, on one broker and one object store, in one run, so that the ratios mean something on
//! any machine.

mod aims;
mod bucket;
mod estate;
mod figures;
mod first;
mod jobs;
mod report;

use std::collections::BTreeMap;

use crate::{Error, Result, suite};
use bucket::Transfer;
use estate::{Estate, Run};
use figures::Figures;
use first::First;
use jobs::Job;

/// How much to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Events in each topic.
    pub events: usize,
    /// Runs of each job; the median counts.
    pub rounds: usize,
    /// Only jobs whose name contains one of these; all when empty.
    pub only: Vec<String>,
    /// Measure the release build that is there instead of building.
    pub built: bool,
}

impl Options {
    fn takes(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

/// Builds, starts the servers, runs every job in turn, and returns the report as Markdown.
///
/// # Errors
/// When something does not build, does not start, or gives a wrong result.
pub fn run(options: &Options) -> Result<String> {
    if !options.built {
        build()?;
    }
    let jobs: Vec<Job> = Job::all()
        .into_iter()
        .filter(|job| options.takes(job.name()))
        .collect();
    let estate = Estate::start(&jobs, options.events)?;
    estate.warm_up(&jobs)?;
    let mut runs: BTreeMap<&'static str, Vec<Run>> = BTreeMap::new();
    // Keys are made once; from then on jobs find them.
    for job in jobs.iter().filter(|job| job.makes_keys()) {
        note(&mut runs, job.name_with_new_keys(), estate.run(job, 0)?);
    }
    for round in 1..=options.rounds {
        for job in &jobs {
            note(&mut runs, job.name(), estate.run(job, round)?);
        }
    }
    let measured = Measured {
        first: first::measure(&estate, options)?,
        ..Measured::median(&runs)
    };
    Ok(report::markdown(options, &measured))
}

/// What was measured: medians, by the name of the job.
#[derive(Debug, Default)]
struct Measured {
    figures: BTreeMap<&'static str, Figures>,
    transfers: BTreeMap<&'static str, Transfer>,
    first: First,
}

impl Measured {
    fn median(runs: &BTreeMap<&'static str, Vec<Run>>) -> Self {
        let mut measured = Self::default();
        for (name, runs) in runs {
            let figures: Vec<_> = runs.iter().map(|run| run.figures).collect();
            measured.figures.insert(name, Figures::median(&figures));
            let transfers: Vec<_> = runs.iter().filter_map(|run| run.transfer).collect();
            if !transfers.is_empty() {
                measured
                    .transfers
                    .insert(name, Transfer::median(&transfers));
            }
        }
        measured
    }
}

fn note(runs: &mut BTreeMap<&'static str, Vec<Run>>, name: &'static str, run: Run) {
    let transfer = run
        .transfer
        .map_or(String::new(), |sent| format!("; {sent}"));
    eprintln!("{name}: {}{transfer}", run.figures);
    runs.entry(name).or_default().push(run);
}

fn build() -> Result<()> {
    let status = suite::cargo()
        .args(["build", "--release"])
        .args([
            "--package",
            "penstock-runner",
            "--package",
            "penstock-bench",
        ])
        .status()
        .map_err(|source| Error::Io {
            action: "cannot run cargo".into(),
            source,
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Other(
            "the worker or the benchmark does not build".into(),
        ))
    }
}
