//! Object stores and a checker written in Go, built by the machine's Go toolchain with its own settings.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{lock, once};
use crate::{Result, paths, process, tools};

/// The module's last release; it has no version numbers that Go knows.
const MINIO: &str = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c";
const FAKE_GCS: &str = "github.com/fsouza/fake-gcs-server@v1.56.1";
const COMPOSE_SPEC: &str = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2";

/// MinIO, an S3 server; returns its program. Building takes some six minutes of processor time.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn minio() -> Result<PathBuf> {
    let dir = program("minio", MINIO)?;
    Ok(dir.join("minio"))
}

/// fake-gcs-server, which answers as Google Cloud Storage does; returns its program. Building takes
/// over two minutes of processor time.
///
/// # Errors
/// As [`minio`].
pub fn fake_gcs() -> Result<PathBuf> {
    let dir = program("fake-gcs-server", FAKE_GCS)?;
    Ok(dir.join("fake-gcs-server"))
}

/// What `docker compose` loads and checks its files with, as a program of its own; returns it.
///
/// # Errors
/// As [`minio`].
pub fn compose_spec() -> Result<PathBuf> {
    let dir = program("compose-spec", COMPOSE_SPEC)?;
    Ok(dir.join("cmd"))
}

/// The folder with the module's program.
fn program(name: &str, module: &str) -> Result<PathBuf> {
    once(name, module, |dir| install(name, module, dir))
}

/// One build at a time, of two steps at once: the tests are being compiled beside it.
fn install(name: &str, module: &str, dir: &Path) -> Result<()> {
    let mut command = Command::new(tools::GO.require()?);
    command
        .args(["install", "-p=2", "-trimpath", "-ldflags=-s -w", module])
        .env("GOBIN", dir)
        .env("GOMAXPROCS", "2")
        .env("CGO_ENABLED", "0")
        .current_dir(dir);
    let _turn = lock(&paths::cache().join("go.lock"))?;
    process::run(&format!("building {name}"), command, &dir.join("go.log"))
}
