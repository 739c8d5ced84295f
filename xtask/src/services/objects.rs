//! Object stores: MinIO, which is a real S3 server, and fake-gcs-server, which answers as Google Cloud
//! Storage's JSON interface does.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::probe::answers;
use super::{
    GCS_VARIABLE, READY_LIMIT, S3_KEY_ID_VARIABLE, S3_SECRET_VARIABLE, S3_VARIABLE, Variables,
};
use crate::process::Process;
use crate::{Error, Result, fetch, ports};

type Spawn = fn(&str, Command, &Path) -> Result<Process>;

/// An S3 server with one user, whose buckets lie in its folder; it runs until it is dropped.
#[derive(Debug)]
pub struct Minio {
    port: u16,
    process: Process,
}

impl Minio {
    /// The user's access key id.
    pub const ACCESS_KEY_ID: &str = "penstock-tests";
    /// The user's secret access key.
    pub const SECRET_ACCESS_KEY: &str = "not-much-of-a-secret";
    /// The only region that it answers for.
    pub const REGION: &str = "us-east-1";

    /// The role that those have for whom an OpenID provider vouches: they may do everything with all
    /// buckets. MinIO's name for it follows from [`Minio::AUDIENCE`].
    pub const ROLE: &str = "arn:minio:iam:us-east-1::role/_17uOGps7DMFfiAuSUZmCYRWuE8";
    /// Whom the provider's tokens have to be for.
    pub const AUDIENCE: &str = "penstock-tests";

    /// Starts a server whose log and data lie in `dir` and waits until it takes requests.
    ///
    /// # Errors
    /// When it cannot be built or does not become ready.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::launch(dir, &[], Process::spawn)
    }

    /// As [`Minio::start`]; those for whom an OpenID provider vouches, whose description is at this
    /// address, have [`Minio::ROLE`].
    ///
    /// # Errors
    /// As [`Minio::start`].
    pub fn start_with_openid(dir: &Path, discovery: &str) -> Result<Self> {
        let variables = [
            ("MINIO_IDENTITY_OPENID_CONFIG_URL", discovery),
            ("MINIO_IDENTITY_OPENID_CLIENT_ID", Self::AUDIENCE),
            ("MINIO_IDENTITY_OPENID_ROLE_POLICY", "readwrite"),
        ];
        Self::launch(dir, &variables, Process::spawn)
    }

    /// As [`Minio::start`], for a server that may outlive this process.
    ///
    /// # Errors
    /// As [`Minio::start`].
    pub(super) fn start_detached(dir: &Path) -> Result<Self> {
        Self::launch(dir, &[], Process::spawn_detached)
    }

    fn launch(dir: &Path, variables: &[(&str, &str)], spawn: Spawn) -> Result<Self> {
        let program = fetch::go::minio()?;
        let data = dir.join("data");
        fs::create_dir_all(&data).map_err(Error::io("make the folder", &data))?;
        let [port, console] = ports::free()?;
        let mut command = Command::new(program);
        command
            .args(["server", "--quiet", "--address"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("--console-address")
            .arg(format!("127.0.0.1:{console}"))
            .arg("--config-dir")
            .arg(dir.join("config"))
            .arg(&data)
            .env("MINIO_ROOT_USER", Self::ACCESS_KEY_ID)
            .env("MINIO_ROOT_PASSWORD", Self::SECRET_ACCESS_KEY)
            .env("MINIO_REGION", Self::REGION)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            // It refuses a disk that it shares with the system otherwise.
            .env("MINIO_CI_CD", "1")
            .env("GOMEMLIMIT", "512MiB")
            .envs(variables.iter().copied())
            .current_dir(dir);
        let mut process = spawn("MinIO", command, &dir.join("minio.log"))?;
        // Its `ready` says yes before buckets can be made.
        process.wait_ready(READY_LIMIT, || answers(port, "/minio/health/cluster"))?;
        Ok(Self { port, process })
    }

    /// Base address of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn variables(&self) -> Variables {
        vec![
            (S3_VARIABLE, self.url()),
            (S3_KEY_ID_VARIABLE, Self::ACCESS_KEY_ID.into()),
            (S3_SECRET_VARIABLE, Self::SECRET_ACCESS_KEY.into()),
        ]
    }

    /// Lets the server outlive this process; returns its process group.
    pub(super) fn detach(self) -> (u32, Variables) {
        let variables = self.variables();
        (self.process.detach(), variables)
    }
}

/// A server that keeps its buckets in memory and runs until it is dropped.
#[derive(Debug)]
pub struct FakeGcs {
    port: u16,
    process: Process,
}

impl FakeGcs {
    /// Starts a server whose log lies in `dir` and waits until it takes requests.
    ///
    /// # Errors
    /// When it cannot be built or does not become ready.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::launch(dir, Process::spawn)
    }

    /// As [`FakeGcs::start`], for a server that may outlive this process.
    ///
    /// # Errors
    /// As [`FakeGcs::start`].
    pub(super) fn start_detached(dir: &Path) -> Result<Self> {
        Self::launch(dir, Process::spawn_detached)
    }

    fn launch(dir: &Path, spawn: Spawn) -> Result<Self> {
        let program = fetch::go::fake_gcs()?;
        fs::create_dir_all(dir).map_err(Error::io("make the folder", dir))?;
        let [port] = ports::free()?;
        let mut command = Command::new(program);
        command
            .args([
                "-scheme",
                "http",
                "-host",
                "127.0.0.1",
                "-backend",
                "memory",
            ])
            .args(["-log-level", "warn", "-port"])
            .arg(port.to_string())
            .current_dir(dir);
        let mut process = spawn("fake-gcs-server", command, &dir.join("fake-gcs.log"))?;
        process.wait_ready(READY_LIMIT, || answers(port, "/_internal/healthcheck"))?;
        Ok(Self { port, process })
    }

    /// Base address of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn variables(&self) -> Variables {
        vec![(GCS_VARIABLE, self.url())]
    }

    /// Lets the server outlive this process; returns its process group.
    pub(super) fn detach(self) -> (u32, Variables) {
        let variables = self.variables();
        (self.process.detach(), variables)
    }
}
