//! The demo's files: laid out once, and from then on the user's own.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::super::{CliError, CliResult};

/// The demo's files, by their path in its directory.
const FILES: &[(&str, &str)] = &[
    (
        "worker.properties",
        include_str!("../../../../tests/acceptance/demo/worker.properties"),
    ),
    (
        "gateway.properties",
        include_str!("../../../../tests/acceptance/demo/gateway.properties"),
    ),
    (
        "demo-2.properties",
        include_str!("../../../../tests/acceptance/demo/demo-2.properties"),
    ),
    (
        "files.properties",
        include_str!("../../../../tests/acceptance/demo/files.properties"),
    ),
    (
        "egress.properties",
        include_str!("../../../../tests/acceptance/demo/egress.properties"),
    ),
    (
        "schemas/streammachine/demo/1.0.2.avsc",
        include_str!("../../../../tests/acceptance/demo/schemas/streammachine/demo/1.0.2.avsc"),
    ),
    (
        "contracts/streammachine/example/1.3.0.json",
        include_str!(
            "../../../../tests/acceptance/demo/contracts/streammachine/example/1.3.0.json"
        ),
    ),
];

/// The addresses in those files.
const ADDRESSES: &[&str] = &[
    "127.0.0.1:8080",
    "127.0.0.1:8081",
    "127.0.0.1:8082",
    "127.0.0.1:8083",
];

/// The properties files, the worker's first.
pub(super) fn properties() -> Vec<String> {
    let names = FILES.iter().map(|(name, _)| (*name).to_owned());
    names.filter(|name| name.ends_with(".properties")).collect()
}

/// Writes the files that are missing; a port that is taken is replaced by a free one. A folder that
/// holds all of them is left as it is, whatever was changed there; one that holds other files by
/// these names is refused.
pub(super) fn lay_out(dir: &Path) -> CliResult {
    let mut missing = Vec::new();
    let mut changed = Vec::new();
    for (name, text) in FILES {
        let path = dir.join(name);
        match fs::read(&path) {
            Ok(held) if held == text.as_bytes() => {}
            Ok(_) => changed.push(path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                missing.push((path, *text));
            }
            Err(error) => return Err(failed("read", &path, &error)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !changed.is_empty() {
        return Err(refusal(dir, &changed));
    }
    let addresses = addresses()?;
    for (path, text) in missing {
        let mut text = text.to_owned();
        for (given, chosen) in ADDRESSES.iter().zip(&addresses) {
            text = text.replace(given, chosen);
        }
        write(&path, &text)?;
    }
    Ok(())
}

fn refusal(dir: &Path, changed: &[PathBuf]) -> CliError {
    let mut lines: Vec<String> = changed
        .iter()
        .map(|path| format!("{} is there already, and is not the demo's", path.display()))
        .collect();
    lines.push(format!(
        "nothing in {} was touched; name another folder with --dir",
        dir.display()
    ));
    CliError(lines.join("\n"))
}

/// Free addresses in place of those that are taken.
fn addresses() -> Result<Vec<String>, CliError> {
    // Held until all are chosen, so that no two are the same.
    let mut held = Vec::new();
    for address in ADDRESSES {
        held.push(TcpListener::bind(address).or_else(|_| TcpListener::bind("127.0.0.1:0"))?);
    }
    let chosen = held
        .iter()
        .map(|listener| Ok(listener.local_addr()?.to_string()));
    chosen.collect()
}

/// Never over a file that has come since.
fn write(path: &Path, text: &str) -> CliResult {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| failed("make", parent, &error))?;
    }
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failed("write", path, &error))
}

fn failed(doing: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError(format!("cannot {doing} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_user_has_changed_stays() {
        let dir = tempfile::tempdir().unwrap();
        lay_out(dir.path()).unwrap();
        let file = dir.path().join("demo-2.properties");
        fs::write(&file, "name=mine\n").unwrap();
        lay_out(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "name=mine\n");
    }

    #[test]
    fn a_folder_with_somebody_else_s_files_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("worker.properties");
        fs::write(&file, "bootstrap.servers=kafka:9092\n").unwrap();
        let refused = lay_out(dir.path()).unwrap_err().0;
        assert!(refused.starts_with(&format!("{} is there", file.display())));
        assert!(refused.contains("--dir"), "{refused}");
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert_eq!(
            fs::read_to_string(file).unwrap(),
            "bootstrap.servers=kafka:9092\n"
        );
    }

    #[test]
    fn a_file_of_the_demo_that_is_missing_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (name, text) = FILES[0];
        fs::write(dir.path().join(name), text).unwrap();
        lay_out(dir.path()).unwrap();
        for (name, _) in FILES {
            assert!(dir.path().join(name).is_file(), "{name}");
        }
    }
}
