//! A Python environment with the clients that judge our formats: Confluent's and Tink's.

use std::path::PathBuf;
use std::process::Command;

use super::once;
use crate::{Result, process, tools};

/// Pinned where a test depends on the behaviour of one version.
const REQUIREMENTS: &[&str] = &[
    "confluent-kafka==2.13.0",
    "tink==1.16.1",
    "fastavro",
    "pyyaml",
    // What the Confluent client imports for its schema registry rules and field encryption.
    "attrs",
    "authlib",
    "cachetools",
    "cel-python",
    "google-re2",
    "hkdf",
    "httpx",
    "jsonata-python",
    "jsonschema",
    "orjson",
];

/// Returns the environment's interpreter.
///
/// # Errors
/// When Python or its venv module is missing, or pip fails.
pub fn environment() -> Result<PathBuf> {
    let dir = once("python", &REQUIREMENTS.join("\n"), |dir| {
        let python = tools::PYTHON.require()?;
        let log = dir.with_extension("log");
        let mut venv = Command::new(python);
        venv.args(["-m", "venv"]).arg(dir);
        process::run(
            "making a Python environment (Debian: is python3-venv installed?)",
            venv,
            &log,
        )?;
        let mut pip = Command::new(dir.join("bin/python"));
        pip.args(["-m", "pip", "install", "--disable-pip-version-check"])
            .args(REQUIREMENTS);
        process::run("installing the Python clients", pip, &log)
    })?;
    Ok(dir.join("bin/python"))
}
