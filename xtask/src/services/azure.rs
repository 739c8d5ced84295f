//! Azurite, which answers as Azure Blob Storage does.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use super::{AZURE_KEY_VARIABLE, AZURE_VARIABLE, READY_LIMIT, Variables};
use crate::process::Process;
use crate::{Error, Result, fetch, ports};

/// An Azure Blob server with one storage account, whose containers lie in memory; it runs until it is
/// dropped.
#[derive(Debug)]
pub struct Azurite {
    port: u16,
    process: Process,
}

impl Azurite {
    /// The storage account.
    pub const ACCOUNT: &str = "penstocktests";
    /// The account's key.
    pub const KEY: &str = "bm90LW11Y2gtb2YtYS1zZWNyZXQ=";

    /// Starts a server whose log lies in `dir` and waits until it takes requests.
    ///
    /// # Errors
    /// When it cannot be fetched or does not become ready.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::launch(dir, Process::spawn)
    }

    /// As [`Azurite::start`], for a server that may outlive this process.
    ///
    /// # Errors
    /// As [`Azurite::start`].
    pub(super) fn start_detached(dir: &Path) -> Result<Self> {
        Self::launch(dir, Process::spawn_detached)
    }

    fn launch(dir: &Path, spawn: fn(&str, Command, &Path) -> Result<Process>) -> Result<Self> {
        let script = fetch::node::azurite()?;
        fs::create_dir_all(dir).map_err(Error::io("make the folder", dir))?;
        let [port] = ports::free()?;
        let mut command = Command::new(script.node);
        command
            .arg(script.main)
            .args(["--inMemoryPersistence", "--extentMemoryLimit", "1024"])
            .args(["--disableTelemetry", "--silent", "--blobHost", "127.0.0.1"])
            .arg("--blobPort")
            .arg(port.to_string())
            .env(
                "AZURITE_ACCOUNTS",
                format!("{}:{}", Self::ACCOUNT, Self::KEY),
            )
            .current_dir(dir);
        let mut process = spawn("Azurite", command, &dir.join("azurite.log"))?;
        // Nobody is let in without a signature, so that it listens is all that can be seen.
        process.wait_ready(READY_LIMIT, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })?;
        Ok(Self { port, process })
    }

    /// Base address of the account.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, Self::ACCOUNT)
    }

    pub(super) fn variables(&self) -> Variables {
        vec![
            (AZURE_VARIABLE, self.url()),
            (AZURE_KEY_VARIABLE, Self::KEY.into()),
        ]
    }

    /// Lets the server outlive this process; returns its process group.
    pub(super) fn detach(self) -> (u32, Variables) {
        let variables = self.variables();
        (self.process.detach(), variables)
    }
}
