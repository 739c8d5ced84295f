//! A single Kafka broker in KRaft mode. It can be killed and restarted on the same data, so that
//! a test can take the broker away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{KAFKA_VARIABLE, KafkaSecurity, READY_LIMIT, SMALL_JVM, Variables};
use crate::process::{self, Process};
use crate::{Error, Result, fetch, ports, tools};

/// Any valid cluster id will do, since no broker meets another.
const CLUSTER_ID: &str = "cGVuc3RvY2stdGVzdHMtMQ";
const STOP_LIMIT: Duration = Duration::from_secs(30);
const PORT_ATTEMPTS: usize = 3;
const STARTED: &str = "Kafka Server started";

/// What a test may want otherwise than usual.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Broker settings, added to the usual ones; a later one wins.
    pub properties: Vec<(String, String)>,
    /// Options of the Java virtual machine.
    pub jvm: Vec<String>,
    /// Listeners for clients that must say who they are, beside the plain one.
    pub security: Option<KafkaSecurity>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        let mut jvm: Vec<_> = SMALL_JVM.iter().map(|option| (*option).into()).collect();
        jvm.push("-Xmx320m".into());
        Self {
            properties: Vec::new(),
            jvm,
            security: None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    sasl_ssl: u16,
    ssl: u16,
    controller: u16,
}

/// A broker that runs until it is dropped.
#[derive(Debug)]
pub struct Kafka {
    dir: PathBuf,
    jars: PathBuf,
    options: KafkaOptions,
    ports: Ports,
    process: Process,
    detached: bool,
}

impl Kafka {
    /// Starts a broker whose configuration, log and data lie in `dir`, and waits until it takes
    /// requests.
    ///
    /// # Errors
    /// When Java is missing, the jars cannot be fetched, or the broker does not become ready.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::start_with(dir, KafkaOptions::default())
    }

    /// As [`Kafka::start`], with other settings.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn start_with(dir: &Path, options: KafkaOptions) -> Result<Self> {
        Self::launch(dir, options, false)
    }

    /// As [`Kafka::start`], for a broker that may outlive this process.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub(super) fn start_detached(dir: &Path) -> Result<Self> {
        Self::launch(dir, KafkaOptions::default(), true)
    }

    fn launch(dir: &Path, options: KafkaOptions, detached: bool) -> Result<Self> {
        let jars = fetch::maven::kafka()?;
        fs::create_dir_all(dir).map_err(Error::io("make the folder", dir))?;
        let mut attempt = 1;
        loop {
            let [plain, sasl_ssl, ssl, controller] = ports::free()?;
            let ports = Ports {
                plain,
                sasl_ssl,
                ssl,
                controller,
            };
            configure(dir, ports, &options)?;
            format_storage(dir, &jars, &options)?;
            match start_process(dir, &jars, &options, detached) {
                Ok(process) => {
                    return Ok(Self {
                        dir: dir.into(),
                        jars,
                        options,
                        ports,
                        process,
                        detached,
                    });
                }
                // Somebody else took the port in between.
                Err(Error::EndedEarly { tail, .. })
                    if attempt < PORT_ATTEMPTS && tail.contains("Address already in use") =>
                {
                    attempt += 1;
                    let data = dir.join("data");
                    fs::remove_dir_all(&data).map_err(Error::io("remove", &data))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// `host:port` for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// Port of the listener for users with a password, with [`KafkaOptions::security`].
    #[must_use]
    pub fn sasl_ssl_port(&self) -> u16 {
        self.ports.sasl_ssl
    }

    /// Port of the listener for clients with a certificate, with [`KafkaOptions::security`].
    #[must_use]
    pub fn ssl_port(&self) -> u16 {
        self.ports.ssl
    }

    /// Kills the broker at once. Clients see refused connections until [`Kafka::restart`].
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Makes the broker stand still: clients stay connected and get no answers until [`Kafka::thaw`].
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets the broker go on, beginning with what was sent to it meanwhile.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// Stops the broker in good order.
    ///
    /// # Errors
    /// When it does not stop in time; it is killed then.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop(STOP_LIMIT).map(|_| ())
    }

    /// Starts the broker again on the same ports and data, after [`Kafka::kill`] or
    /// [`Kafka::stop`].
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = start_process(&self.dir, &self.jars, &self.options, self.detached)?;
        Ok(())
    }

    pub(super) fn variables(&self) -> Variables {
        vec![(KAFKA_VARIABLE, self.bootstrap_servers())]
    }

    /// Lets the server outlive this process; returns its process group.
    pub(super) fn detach(self) -> (u32, Variables) {
        let variables = self.variables();
        (self.process.detach(), variables)
    }
}

/// The short session is for restarts: a killed broker is let in again once its session has ended.
fn configure(dir: &Path, ports: Ports, options: &KafkaOptions) -> Result<()> {
    let data = dir.join("data");
    let Ports {
        plain,
        sasl_ssl,
        ssl,
        controller,
    } = ports;
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{plain}");
    if options.security.is_some() {
        listeners += &format!(",SASL_SSL://127.0.0.1:{sasl_ssl},SSL://127.0.0.1:{ssl}");
    }
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners={listeners}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         log.cleaner.backoff.ms=500\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n\
         auto.create.topics.enable=false\n\
         log.cleaner.dedupe.buffer.size=4194304\n",
        data.display()
    );
    if let Some(security) = &options.security {
        text += &security.properties(dir)?;
    }
    for (key, value) in &options.properties {
        text += &format!("{key}={value}\n");
    }
    let file = dir.join("server.properties");
    fs::write(&file, text).map_err(Error::io("write", &file))?;
    let file = dir.join("log4j2.properties");
    fs::write(&file, LOGGING).map_err(Error::io("write", &file))
}

const LOGGING: &str = "\
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.stdout.ref=stdout
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
";

fn java(dir: &Path, jars: &Path, options: &KafkaOptions) -> Result<Command> {
    let mut command = Command::new(tools::JAVA.require()?);
    command
        .args(&options.jvm)
        .arg(format!(
            "-Dlog4j2.configurationFile={}",
            dir.join("log4j2.properties").display()
        ))
        .arg("-cp")
        .arg(jars.join("*"));
    Ok(command)
}

fn format_storage(dir: &Path, jars: &Path, options: &KafkaOptions) -> Result<()> {
    let mut command = java(dir, jars, options)?;
    command
        .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(dir.join("server.properties"))
        .args(
            options
                .security
                .iter()
                .flat_map(KafkaSecurity::format_arguments),
        );
    process::run(
        "formatting Kafka's storage",
        command,
        &dir.join("format.log"),
    )
}

fn start_process(
    dir: &Path,
    jars: &Path,
    options: &KafkaOptions,
    detached: bool,
) -> Result<Process> {
    let log = dir.join("kafka.log");
    // An earlier start left its own "started" line there.
    if log.exists() {
        fs::rename(&log, dir.join("kafka.log.1")).map_err(Error::io("rename", &log))?;
    }
    let mut command = java(dir, jars, options)?;
    command
        .arg("kafka.Kafka")
        .arg(dir.join("server.properties"));
    let mut process = if detached {
        Process::spawn_detached("Kafka", command, &log)?
    } else {
        Process::spawn("Kafka", command, &log)?
    };
    process.wait_ready(READY_LIMIT, || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains(STARTED))
    })?;
    Ok(process)
}
