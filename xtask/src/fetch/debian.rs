//! Prometheus' programs on Debian: unpacked into the cache, never installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::once;
use crate::{Error, Result, process, tools};

/// `promtool`, which checks Prometheus' configuration and rules: the machine's own, or from
/// Debian's `prometheus` package.
///
/// # Errors
/// When there is neither.
pub fn promtool() -> Result<PathBuf> {
    prometheus_program("promtool")
}

/// The Prometheus server; found as [`promtool`] is.
///
/// # Errors
/// As [`promtool`].
pub fn prometheus() -> Result<PathBuf> {
    prometheus_program("prometheus")
}

fn prometheus_program(name: &str) -> Result<PathBuf> {
    if let Some(path) = tools::find(name) {
        return Ok(path);
    }
    if tools::find("apt-get").is_none() {
        return Err(Error::Other(format!(
            "`{name}` was not found: install Prometheus (it brings promtool)"
        )));
    }
    let dir = once("prometheus", "prometheus", |dir| {
        let log = dir.join("apt.log");
        let download = || {
            let mut command = Command::new("apt-get");
            command.args(["download", "prometheus"]).current_dir(dir);
            process::run("downloading Prometheus", command, &log)
        };
        if download().is_err() {
            let mut update = Command::new("apt-get");
            update.arg("update");
            process::run("updating the package lists (as root)", update, &log)?;
            download()?;
        }
        let package = fs::read_dir(dir)
            .map_err(Error::io("list", dir))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
            .ok_or_else(|| Error::Other("apt-get left no package".into()))?;
        let mut unpack = Command::new("dpkg");
        unpack.arg("-x").arg(package).arg(dir);
        process::run("unpacking Prometheus", unpack, &log)
    })?;
    Ok(dir.join("usr/bin").join(name))
}
