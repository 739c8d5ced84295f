//! Object stores written in Go, built by the machine's Go toolchain with its own settings.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{lock, once};
use crate::{Result, paths, process, tools};

/// The module's last release; it has no version numbers that Go knows.
const MINIO: &str = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c";
const FAKE_GCS: &str = "github.com/fsouza/fake-gcs-server@v1.56.1";

/// MinIO, an S3 server; returns its program. Building takes some six minutes of processor time.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn minio() -> Result<PathBuf> {
    program("minio", MINIO)
}

/// fake-gcs-server, which answers as Google Cloud Storage does; returns its program. Building takes
/// over two minutes of processor time.
///
/// # Errors
/// As [`minio`].
pub fn fake_gcs() -> Result<PathBuf> {
    program("fake-gcs-server", FAKE_GCS)
}

fn program(name: &str, module: &str) -> Result<PathBuf> {
    let dir = once(name, module, |dir| install(name, module, dir))?;
    Ok(dir.join(name))
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
