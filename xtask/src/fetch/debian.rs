//! Prometheus' checker on Debian: unpacked into the cache, never installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::once;
use crate::{Error, Result, process, tools};

/// `promtool`, which checks Prometheus' configuration, rules and metrics: the machine's own, or
/// from Debian's `prometheus` package.
///
/// # Errors
/// When there is neither.
pub fn promtool() -> Result<PathBuf> {
    if let Some(path) = tools::find("promtool") {
        return Ok(path);
    }
    if tools::find("apt-get").is_none() {
        return Err(Error::Other(
            "`promtool` was not found: install Prometheus, which brings it".into(),
        ));
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
    Ok(dir.join("usr/bin/promtool"))
}
