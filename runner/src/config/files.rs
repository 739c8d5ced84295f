//! Loading the files that the command line names: the worker's first, then the connectors'. Every
//! problem in every file is reported at once.

use std::collections::BTreeSet;
use std::path::Path;

use penstock_broker::kafka::ClientSettings;
use penstock_connect::{Config, Problem, Settings};

use super::worker::{ACCEPTED, ACCEPTED_PREFIXES};
use super::{ConnectorConfig, ConnectorSpec, WorkerConfig, client_settings, json_file};
use crate::converters::{Converter, Converters};
use crate::memory::Shares;
use crate::plugins::Plugins;
use crate::status::State;

/// What the files say.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) worker: WorkerConfig,
    /// The worker's converters for keys and values.
    pub(crate) converters: Converters,
    /// Settings for Kafka clients, as the Java client names them.
    pub(crate) client: ClientSettings,
    pub(crate) connectors: Vec<ConnectorSpec>,
    /// Accepted keys that mean nothing here.
    pub(crate) notes: Vec<Problem>,
}

/// Reads and checks the files. The first is the worker's; a file named twice counts once.
pub(crate) fn load(files: &[String], plugins: &Plugins) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    let mut seen = BTreeSet::new();
    let mut parsed = Vec::new();
    for file in files {
        let identity = std::fs::canonicalize(file).unwrap_or_else(|_| Path::new(file).to_owned());
        if !seen.insert(identity) {
            continue;
        }
        match read(file) {
            Ok((mut settings, initial)) => {
                problems.extend(settings.resolve());
                parsed.push((settings, initial));
            }
            Err(found) => problems.extend(found),
        }
    }
    let mut parsed = parsed.into_iter();
    let worker = parsed
        .next()
        .and_then(|(settings, _)| read_worker(settings, &mut notes, &mut problems));
    let config = worker.as_ref().map(|(config, ..)| config);
    let mut connectors: Vec<ConnectorSpec> = Vec::new();
    for (settings, initial) in parsed {
        match ConnectorSpec::parse(settings, config, plugins, &mut notes) {
            Ok(mut spec) => {
                spec.initial = initial.unwrap_or(State::Running);
                if let Some(other) = connectors
                    .iter()
                    .find(|other| other.common.name == spec.common.name)
                {
                    let message = format!("{} has this name already", other.settings.file());
                    problems.push(spec.settings.problem("name", message));
                } else {
                    connectors.push(spec);
                }
            }
            Err(found) => problems.extend(found),
        }
    }
    if let Some((worker, ..)) = &worker
        && problems.is_empty()
        && let Err(message) = Shares::of(worker, plugins, connectors.iter())
        && let Some(file) = files.first()
    {
        problems.push(Problem {
            file: file.as_str().into(),
            line: 0,
            key: Some("memory.budget".to_owned()),
            message,
        });
    }
    match worker {
        Some((worker, converters, client)) if problems.is_empty() => Ok(Loaded {
            worker,
            converters,
            client,
            connectors,
            notes,
        }),
        _ => Err(in_order(problems, files)),
    }
}

/// Problems by file, in the order of the command line, and line; of several at one key the first,
/// since the others follow from it.
fn in_order(mut problems: Vec<Problem>, files: &[String]) -> Vec<Problem> {
    let place = |problem: &Problem| {
        files
            .iter()
            .position(|file| **file == *problem.file)
            .unwrap_or(files.len())
    };
    problems.sort_by_key(|problem| (place(problem), problem.line));
    problems.dedup_by(|second, first| {
        second.key.is_some() && second.key == first.key && second.file == first.file
    });
    problems
}

/// The worker's configuration alone, if the first file has a usable one.
pub(crate) fn worker_alone(files: &[String]) -> Option<WorkerConfig> {
    let (mut settings, _) = read(files.first()?).ok()?;
    settings.resolve();
    WorkerConfig::read(&mut settings, &mut Vec::new())
}

/// Reads a properties file or a JSON one, which may name the state that its connector begins in.
/// References are not resolved.
pub(crate) fn read(file: &str) -> Result<(Settings, Option<State>), Vec<Problem>> {
    let problem = |line, message: String| {
        vec![Problem {
            file: file.into(),
            line,
            key: None,
            message,
        }]
    };
    let bytes =
        std::fs::read(file).map_err(|error| problem(0, format!("cannot read it: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        problem(line, "is not UTF-8".to_owned())
    })?;
    if file.ends_with(".json") {
        return json_file::parse(file, &text);
    }
    Settings::parse(file, &text).map(|settings| (settings, None))
}

fn read_worker(
    mut settings: Settings,
    notes: &mut Vec<Problem>,
    problems: &mut Vec<Problem>,
) -> Option<(WorkerConfig, Converters, ClientSettings)> {
    if let (Some(class), None) = (settings.get("connector.class"), settings.get("data.dir")) {
        let message = "the first file is the worker's, and this one has a connector".to_owned();
        problems.push(settings.problem_at(class.line, Some("connector.class".to_owned()), message));
        return None;
    }
    check_providers(&settings, problems);
    accept(&mut settings, ACCEPTED, ACCEPTED_PREFIXES, notes);
    note_loopback(&settings, notes);
    // Known also where other settings have problems.
    let servers = settings.get("bootstrap.servers");
    let servers = servers.map(|servers| servers.value().trim().to_owned());
    let written = settings.clone();
    let config = WorkerConfig::read(&mut settings, problems);
    let mut converter = |key: &str| {
        let below = settings.take_prefix(&format!("{key}."));
        // Also where other settings have problems.
        let class = written.get(key);
        let class = class.map(|class| (class.value().trim(), class.line));
        Converter::parse(class, below, config.as_ref(), notes, problems)
    };
    let converters = (converter("key.converter"), converter("value.converter"));
    let client = match servers {
        Some(servers) => client_settings::take(&servers, &mut settings, problems),
        None => {
            client_settings::refuse(&mut settings, problems);
            ClientSettings::default()
        }
    };
    client_settings::report_unknown(settings, problems);
    config.map(|config| (config, converters, client))
}

/// References of other providers would be taken for values.
fn check_providers(settings: &Settings, problems: &mut Vec<Problem>) {
    const KEY: &str = "config.providers";
    let Some(given) = settings.get(KEY) else {
        return;
    };
    let names = given.value().split(',').map(str::trim);
    for name in names.filter(|name| !matches!(*name, "" | "env" | "file" | "directory")) {
        let message = format!(
            "there is no provider {name}: references are ${{env:VAR}}, ${{file:path:key}} and ${{directory:dir:file}}"
        );
        problems.push(settings.problem(KEY, message));
    }
}

/// Kafka Connect takes an address without a host for every interface.
fn note_loopback(settings: &Settings, notes: &mut Vec<Problem>) {
    const KEY: &str = "listeners";
    if let Some(given) = settings.get(KEY) {
        let address = given.value().trim().trim_end_matches('/');
        if let Some((before, port)) = address.rsplit_once(':')
            && matches!(before.to_ascii_lowercase().as_str(), "" | "http://")
        {
            let message = format!(
                "listens on this machine alone, since it names no address; http://0.0.0.0:{port} is reached from others"
            );
            notes.push(settings.problem(KEY, message));
        }
    }
}

/// Takes out keys that mean nothing here, with a note for each.
pub(crate) fn accept(
    settings: &mut Settings,
    keys: &[(&str, &str)],
    prefixes: &[(&str, &str)],
    notes: &mut Vec<Problem>,
) {
    let given: Vec<String> = settings.keys().map(str::to_owned).collect();
    for key in given {
        let why = keys
            .iter()
            .find(|(known, _)| *known == key)
            .or_else(|| prefixes.iter().find(|(prefix, _)| key.starts_with(prefix)));
        if let Some((_, why)) = why {
            notes.push(settings.problem(&key, format!("has no effect: {why}")));
            settings.take(&key);
        }
    }
}

/// The names of all keys that every connector understands.
pub(super) fn common_keys() -> Vec<String> {
    ConnectorConfig::keys()
        .into_iter()
        .map(|key| key.name)
        .collect()
}
