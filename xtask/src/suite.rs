//! The whole test run: build once, start the servers meanwhile, run everything, count.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;

use crate::services::{Fetched, Services};
use crate::{Error, Result, paths, process};

/// The package whose tests run the worker's binary.
const END_TO_END: &str = "penstock-tests";

/// What to run.
#[derive(Debug, Default)]
pub struct Selection {
    /// Only tests whose name contains this.
    pub filter: Option<String>,
    /// Only these packages; all when empty.
    pub packages: Vec<String>,
}

/// Tests that passed and failed.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub struct Counts {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
}

/// Builds all tests and the worker, starts the servers, runs unit, integration and doc tests.
///
/// # Errors
/// When something does not build or a server does not start. Failing tests are no error here:
/// see [`Counts::failed`].
pub fn run(selection: &Selection) -> Result<Counts> {
    let services = thread::scope(|scope| {
        let services = scope.spawn(|| Fetched::all().and_then(|all| Services::start(&all)));
        let built = build(selection);
        let services = services
            .join()
            .map_err(|_| Error::Other("starting the servers panicked".into()))?;
        built.and(services)
    })?;
    test(selection, &services)
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::workspace());
    command
}

fn build(selection: &Selection) -> Result<()> {
    let mut tests = cargo();
    tests.args(["test", "--no-run"]);
    select(&mut tests, selection);
    build_with(tests)?;
    if selection.packages.is_empty() || selection.packages.iter().any(|name| name == END_TO_END) {
        let mut worker = cargo();
        worker.args(["build", "--package", "penstock-runner", "--bins"]);
        build_with(worker)?;
    }
    Ok(())
}

fn build_with(mut command: Command) -> Result<()> {
    let status = command.status().map_err(run_error)?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Other("the workspace does not build".into()))
    }
}

fn test(selection: &Selection, services: &Services) -> Result<Counts> {
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]);
    select(&mut command, selection);
    if let Some(filter) = &selection.filter {
        command.arg(filter);
    }
    let mut child = command
        .envs(services.variables())
        .env("PENSTOCK_BIN", paths::target().join("debug/penstock"))
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(run_error)?;
    let _watchdog = process::watch(child.id())?;
    let mut counts = Counts::default();
    if let Some(output) = child.stdout.take() {
        let mut terminal = std::io::stdout().lock();
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(run_error)?;
            counts.add(&String::from_utf8_lossy(&line));
            terminal.write_all(&line).map_err(run_error)?;
            terminal.write_all(b"\n").map_err(run_error)?;
        }
    }
    let status = child.wait().map_err(run_error)?;
    if !status.success() && counts.failed == 0 {
        // A test binary crashed before it could report, or a doc test did not build.
        counts.failed = 1;
    }
    Ok(counts)
}

fn select(command: &mut Command, selection: &Selection) {
    if selection.packages.is_empty() {
        command.arg("--workspace");
    }
    for package in &selection.packages {
        command.args(["--package", package]);
    }
}

fn run_error(source: std::io::Error) -> Error {
    Error::Io {
        action: "cannot run cargo".into(),
        source,
    }
}

impl Counts {
    /// Adds what one line of a test binary's output reports, if it is its summary:
    /// `test result: ok. 3 passed; 0 failed; …`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result: ") else {
            return;
        };
        for part in result.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((count, "passed")) => self.passed += count.parse::<usize>().unwrap_or(0),
                Some((count, "failed")) => self.failed += count.parse::<usize>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summaries_of_all_test_binaries_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.25s",
            "test a_test_result: ok. 9 passed ... ok",
            "test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 61.02s",
        ] {
            counts.add(line);
        }
        assert_eq!(
            counts,
            Counts {
                passed: 15,
                failed: 2
            }
        );
    }
}
