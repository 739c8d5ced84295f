//! The servers and files of a benchmark, and the run of one job on them.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bucket::{Bucket, Transfer};
use super::figures::Figures;
use super::jobs::{Format, Job, Output};
use crate::paths::{self, RunDir};
use crate::process::Process;
use crate::services::{Kafka, KafkaOptions};
use crate::{Error, Result, fetch, ports, tools};

/// The key-encryption key of the benchmark: 32 bytes in base64.
const KEY_ENCRYPTION_KEY: &str = "cGVuc3RvY2sgdGVzdCBrZXkgZW5jcnlwdGlvbiBrZXk=";
const STOP_LIMIT: Duration = Duration::from_secs(30);
const READY_LIMIT: Duration = Duration::from_secs(60);

/// How often a topic is read before anything is measured.
const WARM_UP: usize = 12;

/// What `bin/connect-standalone.sh` of the Kafka distribution gives its JVM.
const CONNECT_JVM: &[&str] = &[
    "-Xms256M",
    "-Xmx2G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];

/// One broker, one registry, one topic for each format, and a bucket if there are exports.
pub(super) struct Estate {
    dir: RunDir,
    kafka: Kafka,
    bucket: Option<Bucket>,
    /// A worker without connectors, whose registry the measured ones use.
    _registry: Process,
    registry_url: String,
    events: usize,
}

/// What a run of a job has cost, and what it has brought to the bucket.
pub(super) struct Run {
    pub(super) figures: Figures,
    pub(super) transfer: Option<Transfer>,
}

/// How a job is started and followed.
struct Start {
    command: Command,
    /// The consumer group that it reads in.
    group: String,
    /// Where the worker tells of an export.
    metrics: Option<String>,
}

impl Estate {
    /// Starts the servers and fills the topics that the jobs read.
    pub(super) fn start(jobs: &[Job], events: usize) -> Result<Self> {
        let dir = RunDir::create()?;
        let options = KafkaOptions {
            properties: [("log.segment.delete.delay.ms", "1000")]
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
            jvm: ["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC"]
                .map(Into::into)
                .into(),
            security: None,
        };
        let kafka = Kafka::start_with(&dir.path().join("kafka"), options)?;
        let (registry, registry_url) = start_registry(&dir.path().join("registry"))?;
        let exports = jobs
            .iter()
            .any(|job| matches!(job.output(), Output::Bucket(_)));
        let bucket = exports.then(|| Bucket::start(&dir.path().join("minio")));
        let estate = Self {
            bucket: bucket.transpose()?,
            dir,
            kafka,
            _registry: registry,
            registry_url,
            events,
        };
        for format in formats(jobs) {
            estate.probe(&["create", format.name()])?;
            eprint!("{}", estate.generate(format, format.name(), events)?);
        }
        Ok(estate)
    }

    /// A folder of the run.
    pub(super) fn dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir).map_err(Error::io("make the folder", &dir))?;
        Ok(dir)
    }

    /// `host:port` of the broker.
    pub(super) fn bootstrap(&self) -> String {
        self.kafka.bootstrap_servers()
    }

    /// Writes events to a topic.
    pub(super) fn generate(&self, format: Format, topic: &str, events: usize) -> Result<String> {
        let mut command = Command::new(program("generate"));
        command
            .args(["--bootstrap", &self.bootstrap(), "--topic", topic])
            .args(["--format", format.name(), "--events", &events.to_string()]);
        if format != Format::Plain {
            command.args(["--registry", &self.registry_url]);
        }
        output("the generator", command)
    }

    /// Runs the probe with its subcommand first; returns what it prints.
    pub(super) fn probe(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program("probe"));
        command
            .arg(arguments[0])
            .args(["--bootstrap", &self.bootstrap()])
            .args(&arguments[1..]);
        output("the probe", command)
    }

    /// Has the topics of the jobs read some times over. The compilers of the broker's JVM are at work
    /// while it begins to send, on the processors that are to be measured, and a broker in use is past that.
    pub(super) fn warm_up(&self, jobs: &[Job]) -> Result<()> {
        for format in formats(jobs) {
            for time in 1..=WARM_UP {
                self.run(&Job::ExportFloor(format), format_args!("warm-{time}"))?;
            }
        }
        Ok(())
    }

    /// Runs a job over its whole topic; checks what it wrote.
    pub(super) fn run(&self, job: &Job, round: impl Display) -> Result<Run> {
        let name = format!("{}-{round}", job.name());
        let dir = self.dir("jobs")?;
        let log = dir.join(format!("{name}.log"));
        // Where a FileSink with the template of its job writes.
        let file = dir.join(format!("{name}-plain-0.out"));
        if job.output() == Output::Topic {
            self.probe(&["create", &name])?;
        }
        let started = self.command(*job, &name, &dir, &file)?;
        let start = Instant::now();
        let mut process = Process::spawn(&name, started.command, &log)?;
        let reader = [
            ["--group", &started.group],
            ["--topic", job.format().name()],
            ["--offset", &self.events.to_string()],
            ["--process", &process.id().to_string()],
        ];
        let (mut first, mut export) = (None, None);
        match (job.output(), &started.metrics) {
            (Output::File, _) => first = Some(self.lines(&file, process.id())?),
            (_, Some(metrics)) => {
                let wait = [&["export", "--metrics", metrics], reader.as_flattened()];
                export = Some(seconds(&self.probe(&wait.concat())?)?);
            }
            _ => {
                self.probe(&[&["wait"], reader.as_flattened()].concat())?;
            }
        }
        let figures = Figures::of(process.id(), start.elapsed(), self.events, first)?;
        process.stop(STOP_LIMIT)?;
        let transfer = self.check(*job, &name, &file, export)?;
        Ok(Run { figures, transfer })
    }

    /// Waits until a file has a line for each event; returns the seconds until the first was there.
    fn lines(&self, file: &Path, process: u32) -> Result<f64> {
        let mut lines = Command::new(program("probe"));
        lines
            .args(["lines", "--lines", &self.events.to_string()])
            .args(["--process", &process.to_string()])
            .arg(file);
        seconds(&output("the probe", lines)?)
    }

    fn command(&self, job: Job, name: &str, dir: &Path, file: &Path) -> Result<Start> {
        match job {
            Job::Copy | Job::Floor(_) | Job::ExportFloor(_) => {
                let format = job.format().name();
                let mut floor = Command::new(program("floor"));
                floor
                    .args(["--bootstrap", &self.bootstrap(), "--group", name])
                    .args(["--from", format, "--format", format])
                    .args(["--job", if job == Job::Copy { "copy" } else { "encrypt" }]);
                if job.output() == Output::Topic {
                    floor.args(["--to", name]);
                }
                Ok(Start {
                    command: floor,
                    group: name.to_owned(),
                    metrics: None,
                })
            }
            Job::ConnectMask | Job::ExportConnect => {
                let worker = dir.join("connect.properties");
                let [port] = ports::free()?;
                let text = format!(
                    "bootstrap.servers={}\n\
                     listeners=http://127.0.0.1:{port}\n\
                     key.converter=org.apache.kafka.connect.storage.StringConverter\n\
                     value.converter=org.apache.kafka.connect.json.JsonConverter\n\
                     value.converter.schemas.enable=false\n\
                     offset.flush.interval.ms=1000\n\
                     offset.storage.file.filename={}\n",
                    self.bootstrap(),
                    dir.join("connect.offsets").display()
                );
                write(&worker, &text)?;
                let connector = dir.join(format!("{name}.properties"));
                write(&connector, &job.connect_connector(name, file))?;
                let mut java = Command::new(tools::JAVA.require()?);
                java.args(CONNECT_JVM)
                    .arg("-cp")
                    .arg(fetch::maven::connect()?.join("*"))
                    .arg("org.apache.kafka.connect.cli.ConnectStandalone")
                    .args([&worker, &connector]);
                Ok(Start {
                    command: java,
                    group: format!("connect-{name}"),
                    metrics: None,
                })
            }
            Job::Encrypt(_) | Job::CheckEncrypt(_) | Job::Mask | Job::Export(..) => {
                let worker = dir.join("worker.properties");
                let port = self.worker(&worker, "data", "")?;
                let connector = dir.join(format!("{name}.properties"));
                write(&connector, &job.connector(name, file))?;
                let mut penstock = Command::new(program("penstock"));
                penstock.arg("run").args([&worker, &connector]);
                let bucket = self
                    .bucket
                    .as_ref()
                    .filter(|_| matches!(job, Job::Export(..)));
                if let Some(bucket) = bucket {
                    penstock.envs(bucket.environment());
                }
                Ok(Start {
                    command: penstock,
                    group: format!("connect-{name}"),
                    metrics: bucket.map(|_| format!("http://127.0.0.1:{port}/metrics")),
                })
            }
        }
    }

    /// Writes the file of a worker on this estate's broker and registry; returns the port of its REST API.
    pub(super) fn worker(&self, file: &Path, data: &str, more: &str) -> Result<u16> {
        let [port] = ports::free()?;
        let contracts = paths::workspace().join("benches/estate/contracts");
        let text = format!(
            "bootstrap.servers={}\n\
             schema.registry.url={}\n\
             listeners=http://127.0.0.1:{port}\n\
             data.dir={}\n\
             contracts.dir={}\n\
             keys.kek={KEY_ENCRYPTION_KEY}\n\
             {more}",
            self.bootstrap(),
            self.registry_url,
            self.dir.path().join(data).display(),
            contracts.display(),
        );
        write(file, &text)?;
        Ok(port)
    }

    /// Checks a job's output and removes it.
    fn check(
        &self,
        job: Job,
        name: &str,
        file: &Path,
        export: Option<f64>,
    ) -> Result<Option<Transfer>> {
        match (job.output(), &self.bucket, export) {
            (Output::File, ..) => fs::remove_file(file).map_err(Error::io("remove", file))?,
            (Output::Bucket(files), Some(bucket), Some(export)) => {
                return bucket.measure(name, files, self.events, export).map(Some);
            }
            (Output::Topic, ..) => {
                let events = self.events.to_string();
                let mut check = vec!["check", "--topic", name, "--records", &events];
                if job.encrypts() {
                    check.push("--encrypted");
                }
                self.probe(&check)?;
                self.probe(&["delete", name])?;
            }
            _ => {}
        }
        Ok(None)
    }
}

/// The formats that jobs read, each once.
fn formats(jobs: &[Job]) -> impl Iterator<Item = Format> {
    let all = [Format::Avro, Format::Json, Format::Plain].into_iter();
    all.filter(|format| jobs.iter().any(|job| job.format() == *format))
}

/// Starts a worker without connectors for its registry.
fn start_registry(dir: &Path) -> Result<(Process, String)> {
    fs::create_dir_all(dir).map_err(Error::io("make the folder", dir))?;
    let [rest, registry] = ports::free()?;
    let file = dir.join("worker.properties");
    let text = format!(
        "data.dir={}\nlisteners=http://127.0.0.1:{rest}\nregistry.listen=127.0.0.1:{registry}\n",
        dir.join("data").display()
    );
    write(&file, &text)?;
    let mut command = Command::new(program("penstock"));
    command.arg("run").arg(&file);
    let mut process = Process::spawn("the registry", command, &dir.join("log"))?;
    process.wait_ready(READY_LIMIT, || {
        std::net::TcpStream::connect(("127.0.0.1", rest)).is_ok()
    })?;
    Ok((process, format!("http://127.0.0.1:{registry}")))
}

/// A program of the release build.
pub(super) fn program(name: &str) -> PathBuf {
    paths::target().join("release").join(name)
}

/// Runs a program to its end; returns what it printed.
pub(super) fn output(what: &str, mut command: Command) -> Result<String> {
    let ended = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Io {
            action: format!("cannot run {what}"),
            source,
        })?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&ended.stderr);
    Err(Error::Other(format!(
        "{what} failed ({}): {}",
        ended.status,
        errors.trim()
    )))
}

/// The seconds of what a program printed in milliseconds.
pub(super) fn seconds(millis: &str) -> Result<f64> {
    let parsed = millis.trim().parse::<f64>().map(|millis| millis / 1000.0);
    parsed.map_err(|_| Error::Other(format!("{millis:?} was printed instead of a number")))
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io("write", path))
}
