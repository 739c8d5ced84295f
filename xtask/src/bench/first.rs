//! The time from a worker's start to its first record: on an empty data directory, and started again.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Options;
use super::estate::{Estate, output, program, seconds, write};
use super::figures::median;
use super::jobs::{Format, Job};
use crate::{Error, Result, paths, ports};

/// Medians in seconds; `None` where not measured.
#[derive(Debug, Default)]
pub(super) struct First {
    pub(super) embedded: Option<Pair>,
    pub(super) kafka: Option<Pair>,
}

/// What a start takes on nothing, and what a start takes on what an earlier one left.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) fresh: f64,
    pub(super) again: f64,
}

pub(super) fn measure(estate: &Estate, options: &Options) -> Result<First> {
    let mut first = First::default();
    if options.takes("first-embedded") {
        first.embedded = Some(pair(options.rounds, |round| embedded(estate, round))?);
    }
    if options.takes("first-kafka") {
        first.kafka = Some(pair(options.rounds, |round| kafka(estate, round))?);
    }
    Ok(first)
}

fn pair(rounds: usize, once: impl Fn(usize) -> Result<[f64; 2]>) -> Result<Pair> {
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let [first, second] = once(round)?;
        eprintln!("first record: {first:.3} s, started again {second:.3} s");
        fresh.push(first);
        again.push(second);
    }
    Ok(Pair {
        fresh: median(fresh),
        again: median(again),
    })
}

/// The demo as users run it: in at the gateway, through `demo`, out of `demo-2`.
fn embedded(estate: &Estate, round: usize) -> Result<[f64; 2]> {
    let dir = estate.dir(&format!("embedded-{round}"))?;
    let ports: [u16; 4] = ports::free()?;
    let demo = paths::workspace().join("tests/acceptance/demo");
    copy(&demo, &dir, &ports)?;
    let [gateway, _, egress, _] = ports;
    let once = || {
        let mut probe = Command::new(program("probe"));
        probe
            .current_dir(&dir)
            .args(["first", "embedded"])
            .args(["--gateway", &format!("127.0.0.1:{gateway}")])
            .args(["--egress", &format!("ws://127.0.0.1:{egress}/ws/demo-2")])
            .arg("--")
            .arg(program("penstock"))
            .args(["run", "worker.properties", "gateway.properties"])
            .args(["demo-2.properties", "files.properties", "egress.properties"]);
        seconds(&output("the probe", probe)?)
    };
    Ok([once()?, once()?])
}

/// A pipeline that finds one record in its topic.
fn kafka(estate: &Estate, round: usize) -> Result<[f64; 2]> {
    let name = format!("first-{round}");
    let topic = format!("first-{round}-in");
    let dir = estate.dir(&name)?;
    estate.probe(&["create", &name, &topic])?;
    let keys = format!("keys.topic=_penstock.keys-{round}\n");
    let worker = dir.join("worker.properties");
    estate.worker(&worker, &format!("{name}/data"), &keys)?;
    let connector = dir.join("connector.properties");
    let text = Job::CheckEncrypt(Format::Avro).connector(&name, &dir);
    write(
        &connector,
        &text.replace("topics=avro", &format!("topics={topic}")),
    )?;
    let once = || {
        estate.generate(Format::Avro, &topic, 1)?;
        let mut probe = Command::new(program("probe"));
        probe
            .args(["first", "kafka", "--topic", &name])
            .args(["--bootstrap", &estate.bootstrap()])
            .arg("--")
            .arg(program("penstock"))
            .arg("run")
            .args([&worker, &connector]);
        seconds(&output("the probe", probe)?)
    };
    Ok([once()?, once()?])
}

/// Copies a folder with the demo's ports (8080 to 8083) replaced.
fn copy(from: &Path, to: &Path, ports: &[u16; 4]) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::io("make the folder", to))?;
    for entry in fs::read_dir(from)
        .map_err(Error::io("list", from))?
        .flatten()
    {
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied, ports)?;
            continue;
        }
        let mut text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        for (given, free) in (8080..).zip(ports) {
            text = text.replace(&format!("127.0.0.1:{given}"), &format!("127.0.0.1:{free}"));
        }
        write(&copied, &text)?;
    }
    Ok(())
}
