//! Formatting, lints and licences; advisories where `cargo-deny` is installed.

use std::process::Command;

use crate::suite::cargo;
use crate::{Error, Result, licences, tools};

/// Checks the whole workspace.
///
/// # Errors
/// The first check that fails; it has printed what it found.
pub fn lint() -> Result<()> {
    check("formatting", cargo().args(["fmt", "--all", "--check"]))?;
    check(
        "clippy",
        cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    licences::check()?;
    if tools::find("cargo-deny").is_some() {
        check("cargo deny", cargo().args(["deny", "check"]))?;
    }
    Ok(())
}

fn check(what: &str, command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|source| Error::Io {
        action: format!("cannot run {what}"),
        source,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Other(format!("{what} found something to change")))
    }
}
