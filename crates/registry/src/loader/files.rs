//! Finding and checking schema files, without a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use penstock_formats::{Schema, SchemaKind};
use serde_json::Value;

use super::Problem;
use crate::schema_ref::SchemaRef;

/// A deeper tree than this is a link in a circle.
const MAX_DEPTH: usize = 16;
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A sound schema file.
#[derive(Debug, Clone)]
pub struct SchemaFile {
    /// The reference that its path spells.
    pub reference: SchemaRef,
    /// Where it is.
    pub path: PathBuf,
    /// `.avsc` or `.json`.
    pub kind: SchemaKind,
    /// Its content.
    pub text: String,
    /// The other files it refers to: the `$ref` without its fragment, and what it names.
    pub references: Vec<(String, SchemaRef)>,
}

/// Reads and checks every schema file below `dir`, without a registry. Files come in the order in
/// which they can be registered: those that others refer to first. All problems are reported at
/// once, in the order of files.
pub fn check_dir(dir: &Path) -> Result<Vec<SchemaFile>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    find(dir, 0, &mut paths, &mut problems);
    paths.sort();
    let mut files: BTreeMap<SchemaRef, Loaded> = BTreeMap::new();
    for path in paths {
        match read(dir, &path) {
            Ok(loaded) => {
                if let Some(other) = files.get(&loaded.file.reference) {
                    problems.push(Problem::new(
                        &path,
                        format!(
                            "{} stands for {} already: keep one of them",
                            other.file.path.display(),
                            other.file.reference
                        ),
                    ));
                    continue;
                }
                files.insert(loaded.file.reference.clone(), loaded);
            }
            Err(problem) => problems.push(problem),
        }
    }
    link(&mut files);
    let order = in_order(&files, &mut problems);
    build(&files, &order, &mut problems);
    problems.sort();
    problems.dedup();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(order
        .iter()
        .filter_map(|reference| files.remove(reference))
        .map(|loaded| loaded.file)
        .collect())
}

struct Loaded {
    file: SchemaFile,
    json: Value,
}

fn find(dir: &Path, depth: usize, paths: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    if depth > MAX_DEPTH {
        let message = format!("it lies more than {MAX_DEPTH} directories deep");
        problems.push(Problem::new(dir, message));
        return;
    }
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("the directory cannot be read: {error}");
            problems.push(Problem::new(dir, message));
            return;
        }
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                problems.push(Problem::new(dir, error.to_string()));
                continue;
            }
        };
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            find(&path, depth + 1, paths, problems);
        } else if kind_of(&path).is_some() {
            paths.push(path);
        }
    }
}

fn kind_of(path: &Path) -> Option<SchemaKind> {
    match path.extension()?.to_str()? {
        "avsc" => Some(SchemaKind::Avro),
        "json" => Some(SchemaKind::Json),
        _ => None,
    }
}

fn read(dir: &Path, path: &Path) -> Result<Loaded, Problem> {
    let problem = |message: String| Problem::new(path, message);
    let kind = kind_of(path).unwrap_or(SchemaKind::Json);
    let spelled = path
        .strip_prefix(dir)
        .ok()
        .and_then(|relative| relative.with_extension("").to_str().map(str::to_owned))
        .ok_or_else(|| problem("its path is not UTF-8".into()))?;
    let spelled = spelled.replace(std::path::MAIN_SEPARATOR, "/");
    let reference = SchemaRef::parse(&spelled).map_err(|e| problem(e.to_string()))?;
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    if size > MAX_FILE {
        return Err(problem(format!("it is longer than {MAX_FILE} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|e| problem(format!("it cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        let start = valid.iter().rposition(|byte| *byte == b'\n');
        Problem {
            line: Some(line),
            column: Some(valid.len() - start.map_or(0, |at| at + 1) + 1),
            ..problem("it is not UTF-8".into())
        }
    })?;
    // A byte order mark is no JSON, but editors write it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    let json = serde_json::from_str(&text).map_err(|e| Problem {
        line: Some(e.line()),
        column: Some(e.column()),
        ..problem(format!("it is not JSON: {}", without_place(&e)))
    })?;
    Ok(Loaded {
        file: SchemaFile {
            reference,
            path: path.to_owned(),
            kind,
            text,
            references: Vec::new(),
        },
        json,
    })
}

/// The message alone; the place has fields of its own.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Finds which `$ref`s of JSON Schemas lead to other files: by `$id`, by reference, or by path
/// relative to the file.
fn link(files: &mut BTreeMap<SchemaRef, Loaded>) {
    let by_id: BTreeMap<String, SchemaRef> = files
        .values()
        .filter(|loaded| loaded.file.kind == SchemaKind::Json)
        .filter_map(|loaded| {
            let id = loaded.json.get("$id")?.as_str()?;
            Some((bare(id).to_owned(), loaded.file.reference.clone()))
        })
        .collect();
    let known: Vec<SchemaRef> = files.keys().cloned().collect();
    for loaded in files.values_mut() {
        if loaded.file.kind != SchemaKind::Json {
            continue;
        }
        let own = &loaded.file.reference;
        let found = refs(&loaded.json).into_iter().filter_map(|uri| {
            let target = by_id
                .get(&uri)
                .cloned()
                .or_else(|| by_path(own, &uri))
                .filter(|target| target != own && known.contains(target))?;
            Some((uri, target))
        });
        loaded.file.references = found.collect();
    }
}

/// What the `$ref`s of one JSON Schema name, by reference or by a path relative to its own.
pub(super) fn named_by(own: &SchemaRef, json: &Value) -> Vec<(String, SchemaRef)> {
    let named = refs(json).into_iter().filter_map(|uri| {
        let target = by_path(own, &uri).filter(|target| target != own)?;
        Some((uri, target))
    });
    named.collect()
}

/// The `$ref`s without their fragments, each once.
fn refs(json: &Value) -> Vec<String> {
    let mut uris = Vec::new();
    collect_refs(json, &mut uris);
    uris.sort();
    uris.dedup();
    uris
}

fn bare(uri: &str) -> &str {
    uri.split('#').next().unwrap_or_default()
}

/// `/handle/name/1.0.0`, `../name/1.0.0.json`, `1.0.0.json#/definitions/x`.
fn by_path(from: &SchemaRef, uri: &str) -> Option<SchemaRef> {
    let path = uri.strip_suffix(".json").unwrap_or(uri);
    if let Ok(absolute) = SchemaRef::parse(path) {
        return Some(absolute);
    }
    let mut segments: Vec<&str> = from.as_str().split('/').collect();
    segments.pop();
    for segment in path.split('/') {
        match segment {
            "." | "" => {}
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name),
        }
    }
    SchemaRef::parse(&segments.join("/")).ok()
}

fn collect_refs(json: &Value, into: &mut Vec<String>) {
    match json {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(target) if key == "$ref" && !bare(target).is_empty() => {
                        into.push(bare(target).to_owned());
                    }
                    // Values, not schemas.
                    _ if matches!(key.as_str(), "enum" | "const" | "default" | "examples") => {}
                    inner => collect_refs(inner, into),
                }
            }
        }
        Value::Array(items) => {
            for inner in items {
                collect_refs(inner, into);
            }
        }
        _ => {}
    }
}

/// References before those who use them; what lies on a circle is a problem.
fn in_order(files: &BTreeMap<SchemaRef, Loaded>, problems: &mut Vec<Problem>) -> Vec<SchemaRef> {
    let mut order: Vec<SchemaRef> = Vec::with_capacity(files.len());
    let mut waiting: Vec<&Loaded> = files.values().collect();
    loop {
        let (ready, blocked): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|loaded| {
            let mut targets = loaded.file.references.iter();
            targets.all(|(_, target)| order.contains(target))
        });
        if ready.is_empty() {
            for loaded in blocked {
                problems.push(Problem::new(
                    &loaded.file.path,
                    "its $refs lead back to itself through other files, or to files that do",
                ));
            }
            return order;
        }
        order.extend(ready.iter().map(|loaded| loaded.file.reference.clone()));
        waiting = blocked;
    }
}

/// Parses every schema with its references.
fn build(files: &BTreeMap<SchemaRef, Loaded>, order: &[SchemaRef], problems: &mut Vec<Problem>) {
    let mut built: BTreeMap<&SchemaRef, Arc<Schema>> = BTreeMap::new();
    for reference in order {
        let Some(Loaded { file, .. }) = files.get(reference) else {
            continue;
        };
        let named: Option<Vec<_>> = file
            .references
            .iter()
            .map(|(name, target)| Some((name.clone(), Arc::clone(built.get(target)?))))
            .collect();
        // What it refers to has a problem of its own.
        let Some(named) = named else { continue };
        let parsed = match file.kind {
            SchemaKind::Avro => Schema::avro(&file.text, &named),
            SchemaKind::Json => Schema::json(&file.text, &named),
        };
        match parsed {
            Ok(schema) => {
                built.insert(reference, Arc::new(schema));
            }
            Err(error) => problems.push(Problem::new(&file.path, error.to_string())),
        }
    }
}
