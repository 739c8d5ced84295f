//! Where the programs under test, and those that judge them, are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use xtask::services::PYTHON_VARIABLE;
use xtask::{fetch, paths};

/// The `penstock` program: `$PENSTOCK_BIN`, or what cargo has built beside this test.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn penstock() -> PathBuf {
    let path = std::env::var_os("PENSTOCK_BIN").map_or_else(built, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there: build it with `cargo build -p penstock-runner`",
        path.display()
    );
    path
}

/// Beside the folder of test binaries: `target/<profile>/penstock`.
fn built() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|test| Some(test.parent()?.parent()?.join("penstock")))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| paths::target().join("debug/penstock"))
}

/// Runs a Python script with the Confluent and Tink clients, in the folder `dir`.
///
/// # Panics
/// When the script fails; with what it printed.
#[must_use]
pub fn python(script: &str, arguments: &[&str], dir: &Path) -> String {
    let interpreter = std::env::var_os(PYTHON_VARIABLE).map_or_else(
        || fetch::python::environment().unwrap_or_else(|error| panic!("{error}")),
        PathBuf::from,
    );
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(interpreter)
        .args(["-c", script])
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect("the interpreter runs");
    assert!(
        status.success(),
        "the script failed ({status}):\n{}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).expect("the script prints text")
}
