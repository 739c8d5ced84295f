//! Apicurio Registry: a schema registry that is not ours, with the Confluent REST interface.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{READY_LIMIT, SMALL_JVM};
use crate::process::Process;
use crate::{Error, Result, fetch, ports, tools};

const API: &str = "/apis/ccompat/v7";

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
        process.wait_ready(READY_LIMIT, || answers(port))?;
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

    pub(super) fn detach(self) -> u32 {
        self.process.detach()
    }
}

/// Whether the list of subjects is answered with 200.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "GET {API}/subjects HTTP/1.0\r\nHost: localhost\r\n\r\n"
        )?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
