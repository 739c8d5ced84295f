//! Programs from Debian's packages that check what we write: unpacked into the cache, never installed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::once;
use crate::{Error, Result, process, tools};

/// `promtool`, which checks Prometheus' configuration, rules and metrics: the machine's own, or
/// from Debian's `prometheus` package.
///
/// # Errors
/// When there is neither.
pub fn promtool() -> Result<PathBuf> {
    match tools::find("promtool") {
        Some(path) => Ok(path),
        None => Ok(unpacked("prometheus", &["prometheus"])?.join("usr/bin/promtool")),
    }
}

/// The shell `zsh`, to be given arguments: the machine's own, or Debian's.
///
/// # Errors
/// When there is neither.
pub fn zsh() -> Result<Command> {
    match tools::find("zsh") {
        Some(path) => Ok(Command::new(path)),
        None => Ok(Command::new(unpacked("zsh", &["zsh"])?.join("bin/zsh"))),
    }
}

/// The shell `fish`, to be given arguments: the machine's own, or Debian's.
///
/// # Errors
/// When there is neither.
pub fn fish() -> Result<Command> {
    if let Some(path) = tools::find("fish") {
        return Ok(Command::new(path));
    }
    let dir = unpacked("fish", &["fish", "libpcre2-32-0"])?;
    let mut command = Command::new(dir.join("usr/bin/fish"));
    command.env("LD_LIBRARY_PATH", libraries(&dir)?);
    Ok(command)
}

/// The folders of libraries, which are named after the machine's architecture.
fn libraries(dir: &Path) -> Result<OsString> {
    let lib = dir.join("usr/lib");
    let folders = fs::read_dir(&lib).map_err(Error::io("list", &lib))?;
    std::env::join_paths(folders.flatten().map(|entry| entry.path()))
        .map_err(|error| Error::Other(format!("{}: {error}", lib.display())))
}

/// The folder `name` of the cache with the files of these packages.
fn unpacked(name: &str, packages: &[&str]) -> Result<PathBuf> {
    if tools::find("apt-get").is_none() {
        return Err(Error::Other(format!(
            "{name} was not found, and neither was apt-get to fetch it: install {name}"
        )));
    }
    once(name, &packages.join(" "), |dir| {
        let log = dir.join("apt.log");
        let download = || {
            let mut command = Command::new("apt-get");
            command.arg("download").args(packages).current_dir(dir);
            process::run(&format!("downloading {name}"), command, &log)
        };
        if download().is_err() {
            let mut update = Command::new("apt-get");
            update.arg("update");
            process::run("updating the package lists (as root)", update, &log)?;
            download()?;
        }
        let entries = fs::read_dir(dir).map_err(Error::io("list", dir))?;
        for package in entries.flatten().map(|entry| entry.path()) {
            if package.extension().is_some_and(|ending| ending == "deb") {
                let mut unpack = Command::new("dpkg");
                unpack.arg("-x").arg(package).arg(dir);
                process::run(&format!("unpacking {name}"), unpack, &log)?;
            }
        }
        Ok(())
    })
}
