//! A running `penstock run`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use xtask::process::Process;

use crate::{Deployment, penstock};

const READY_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A worker that runs until it is stopped, killed or dropped.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    rest: String,
    http: reqwest::Client,
}

impl Worker {
    /// Runs `penstock` with these arguments, of which the first is `run`, in the folder.
    ///
    /// # Panics
    /// When the program is not there.
    #[must_use]
    pub fn spawn(
        deployment: &Deployment,
        arguments: &[String],
        variables: &[(&str, &str)],
    ) -> Self {
        Self::spawn_program(&penstock(), deployment, arguments, variables)
    }

    /// As [`Worker::spawn`], for a program that holds other plugins.
    ///
    /// # Panics
    /// When the program is not there.
    #[must_use]
    pub fn spawn_program(
        program: &Path,
        deployment: &Deployment,
        arguments: &[String],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(deployment.path())
            .envs(variables.iter().copied());
        let process = Process::spawn("the worker", command, &log(deployment))
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            process,
            rest: deployment.rest(),
            http: reqwest::Client::new(),
        }
    }

    /// Waits until `GET /health` answers 200.
    ///
    /// # Panics
    /// When the worker ends or does not become healthy in time; with its output.
    pub async fn healthy(&mut self) {
        let start = Instant::now();
        loop {
            let answer = self.http.get(format!("{}/health", self.rest)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(
                self.process.is_running(),
                "the worker ended:\n{}",
                self.output()
            );
            assert!(
                start.elapsed() < READY_LIMIT,
                "the worker is not healthy:\n{}",
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process, for signals.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything that workers of this folder have printed.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Whether the worker still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Gets a path of the worker's REST listener, such as `/metrics`.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http
            .get(format!("{}{path}", self.rest))
            .send()
            .await
            .expect("the worker answers")
    }

    /// The text of `/metrics`.
    ///
    /// # Panics
    /// When it does not answer with 200.
    pub async fn metrics(&self) -> String {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status(), 200);
        answer.text().await.expect("metrics are text")
    }

    /// Stops the worker as an operator does, with SIGTERM.
    ///
    /// # Panics
    /// When it does not stop in time.
    pub fn stop(mut self) -> ExitStatus {
        self.process
            .stop(STOP_LIMIT)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Stops the worker as a terminal does at Ctrl-C, with SIGINT.
    ///
    /// # Panics
    /// When it does not stop in time.
    pub fn interrupt(mut self) -> ExitStatus {
        self.process
            .interrupt(STOP_LIMIT)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Kills the worker with SIGKILL.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The folder is about to go; libtest shows this with the failed test.
            eprintln!("output of the worker:\n{}", self.output());
        }
    }
}

fn log(deployment: &Deployment) -> PathBuf {
    let dir = deployment.path().join("logs");
    fs::create_dir_all(&dir).expect("the folder is writable");
    dir.join("worker.log")
}
