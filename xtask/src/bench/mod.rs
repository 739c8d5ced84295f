//! `cargo xtask bench`: the worker against a hand-written loop and against Kafka Connect, on one
//! broker, in one run, so that the ratios mean something on any machine.

mod estate;
mod figures;
mod first;
mod jobs;
mod report;

use std::collections::BTreeMap;

use crate::{Error, Result, suite};
use estate::Estate;
use figures::Figures;
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
    let mut measured: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
    // Keys are made once; from then on jobs find them.
    for job in jobs.iter().filter(|job| job.makes_keys()) {
        note(&mut measured, job.name_with_new_keys(), estate.run(job, 0)?);
    }
    for round in 1..=options.rounds {
        for job in &jobs {
            note(&mut measured, job.name(), estate.run(job, round)?);
        }
    }
    let first = first::measure(&estate, options)?;
    let medians = measured
        .into_iter()
        .map(|(name, runs)| (name, Figures::median(&runs)))
        .collect();
    Ok(report::markdown(options, &medians, &first))
}

fn note(measured: &mut BTreeMap<&'static str, Vec<Figures>>, name: &'static str, run: Figures) {
    eprintln!("{name}: {run}");
    measured.entry(name).or_default().push(run);
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
