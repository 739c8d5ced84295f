//! Apicurio Registry: a schema registry that is not ours, with the Confluent REST interface.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::probe::answers;
use super::{READY_LIMIT, REGISTRY_VARIABLE, SMALL_JVM, Variables};
use crate::process::Process;
use crate::{Error, Result, fetch, ports, tools};

const API: &str = "/apis/ccompat/v7";
const SUBJECTS: &str = "/apis/ccompat/v7/subjects";

/// A registry that keeps its schemas in memory and runs until it is dropped.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    process: Process,
}

impl Registry {
    /// Starts a registry whose log lies in `dir` and waits until it answers.
    ///
    /// # Errors
    /// When Java is missing, the registry cannot be fetched, or it does not become ready.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::launch(dir, Process::spawn)
    }

    /// As [`Registry::start`], for a registry that may outlive this process.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub(super) fn start_detached(dir: &Path) -> Result<Self> {
        Self::launch(dir, Process::spawn_detached)
    }

    fn launch(dir: &Path, spawn: fn(&str, Command, &Path) -> Result<Process>) -> Result<Self> {
        let jar = fetch::maven::apicurio()?;
        fs::create_dir_all(dir).map_err(Error::io("make the folder", dir))?;
        let [port] = ports::free()?;
        let mut command = Command::new(tools::JAVA.require()?);
        command
            .args(SMALL_JVM)
            .arg("-Xmx320m")
            .arg("-Dquarkus.http.host=127.0.0.1")
            .arg(format!("-Dquarkus.http.port={port}"))
            .arg("-Dquarkus.http.access-log.enabled=false")
            .arg("-jar")
            .arg(jar)
            .current_dir(dir);
        let mut process = spawn("the schema registry", command, &dir.join("registry.log"))?;
        process.wait_ready(READY_LIMIT, || answers(port, SUBJECTS))?;
        Ok(Self { port, process })
    }

    /// Base address for `schema.registry.url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{API}", self.port)
    }

    /// Kills the registry at once; its schemas are gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub(super) fn variables(&self) -> Variables {
        vec![(REGISTRY_VARIABLE, self.url())]
    }

    /// Lets the server outlive this process; returns its process group.
    pub(super) fn detach(self) -> (u32, Variables) {
        let variables = self.variables();
        (self.process.detach(), variables)
    }
}
