//! A directory of contracts: `handle/name/x.y.z.json`.

use std::path::{Path, PathBuf};

use crate::contract::Contract;
use crate::document::Problem;

/// Reads every contract below `dir`, in the order of their paths. All problems of all files are
/// reported; files that are not `.json` and hidden ones are left alone.
pub fn read_dir(dir: &Path) -> Result<Vec<Contract>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    collect(dir, &mut files, &mut problems);
    files.sort();
    let mut contracts = Vec::new();
    for file in files {
        match read_file(dir, &file) {
            Ok(contract) => contracts.push(contract),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(contracts)
    } else {
        Err(problems)
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    let entries = match std::fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(Problem::of_file(
                &dir.display().to_string(),
                format!("cannot read the directory: {error}"),
            ));
            return;
        }
    };
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            collect(&path, files, problems);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
}

fn read_file(dir: &Path, file: &Path) -> Result<Contract, Vec<Problem>> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        vec![Problem::of_file(
            &name,
            format!("cannot read the file: {error}"),
        )]
    })?;
    let contract = Contract::parse(&name, &text)?;
    let place = file
        .strip_prefix(dir)
        .unwrap_or(file)
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join("/");
    if place != contract.reference.as_str() {
        return Err(vec![Problem {
            path: "$.ref".into(),
            ..Problem::of_file(
                &name,
                format!(
                    "is {}, but the file lies where {place} belongs; it should be {}.json",
                    contract.reference,
                    dir.join(contract.reference.as_str()).display()
                ),
            )
        }]);
    }
    Ok(contract)
}
