//! A copy of an acceptance folder with free ports: what a user has checked out and runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use xtask::ports;

use crate::{Gateway, Viewer, Worker, penstock};

/// The key-encryption key of the estates on Kafka: 32 bytes in base64.
const KEY_ENCRYPTION_KEY: &str = "cGVuc3RvY2sgdGVzdCBrZXkgZW5jcnlwdGlvbiBrZXk=";

/// A folder of properties files that a worker runs.
#[derive(Debug)]
pub struct Deployment {
    path: PathBuf,
    ports: Ports,
}

/// The ports that the acceptance files name, and what stands in their place.
#[derive(Debug)]
struct Ports {
    gateway: u16,
    registry: u16,
    websocket: u16,
    rest: u16,
    sse: u16,
}

impl Ports {
    fn pick() -> Self {
        let [gateway, registry, websocket, rest, sse] =
            ports::free().unwrap_or_else(|error| panic!("{error}"));
        Self {
            gateway,
            registry,
            websocket,
            rest,
            sse,
        }
    }

    fn rewrite(&self, text: &str) -> String {
        [
            (8080, self.gateway),
            (8081, self.registry),
            (8082, self.websocket),
            (8083, self.rest),
            (8090, self.sse),
        ]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| {
            text.replace(&format!("127.0.0.1:{from}"), &format!("127.0.0.1:{to}"))
        })
    }
}

impl Deployment {
    /// Copies the folder `source` into a new folder under `parent`.
    pub(crate) fn copy(source: &Path, parent: &Path) -> Self {
        let path = (1..)
            .map(|copy| parent.join(format!("deployment-{copy}")))
            .find(|path| !path.exists())
            .expect("one of infinitely many names is free");
        let ports = Ports::pick();
        copy_folder(source, &path, &ports);
        Self { path, ports }
    }

    /// Adds what stands in a worker file that runs on Kafka.
    pub(crate) fn connect(&self, bootstrap_servers: &str, registry_url: &str) {
        let kek = self.path.join("key-encryption-key");
        write_private(&kek, KEY_ENCRYPTION_KEY);
        self.set("worker.properties", "bootstrap.servers", bootstrap_servers);
        self.set("worker.properties", "schema.registry.url", registry_url);
        self.set("worker.properties", "keys.kek.file", "key-encryption-key");
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets a key in a properties file, in place of the line that sets it now.
    ///
    /// # Panics
    /// When the file cannot be read or written.
    pub fn set(&self, file: &str, key: &str, value: &str) {
        let path = self.path.join(file);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut lines: Vec<&str> = text
            .lines()
            .filter(|line| line.split('=').next() != Some(key))
            .collect();
        let line = format!("{key}={value}");
        lines.push(&line);
        fs::write(&path, lines.join("\n") + "\n").expect("the folder is writable");
    }

    /// Writes a file of the folder, with the acceptance files' ports replaced in its text.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().expect("a file in the folder"))
            .expect("the folder is writable");
        fs::write(path, self.ports.rewrite(text)).expect("the folder is writable");
    }

    /// Removes a file of the folder.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path.join(file)).expect("the file is there");
    }

    /// The command line's files: the worker's first, then all others, as `*.properties` lists
    /// them.
    ///
    /// # Panics
    /// When the folder cannot be listed.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let mut files: Vec<_> = fs::read_dir(&self.path)
            .expect("the folder is readable")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".properties"))
            .collect();
        files.sort();
        files.insert(0, "worker.properties".into());
        files
    }

    /// Starts a worker and waits until it is healthy and its gateway, if it has one, takes
    /// events.
    ///
    /// # Panics
    /// When it does not come to that; with its output.
    pub async fn start(&self) -> Worker {
        self.start_with(&[]).await
    }

    /// As [`Deployment::start`], with environment variables.
    ///
    /// # Panics
    /// As [`Deployment::start`].
    pub async fn start_with(&self, variables: &[(&str, &str)]) -> Worker {
        let mut worker = self.spawn(variables);
        worker.healthy().await;
        if self.path.join("gateway.properties").exists() {
            self.gateway().ready().await;
        }
        worker
    }

    /// Starts a worker with environment variables, without waiting for it.
    ///
    /// # Panics
    /// When the program is not there.
    #[must_use]
    pub fn spawn(&self, variables: &[(&str, &str)]) -> Worker {
        let mut arguments = self.files();
        arguments.insert(0, "run".into());
        Worker::spawn(self, &arguments, variables)
    }

    /// `penstock` with these arguments in the folder, to talk to its worker.
    ///
    /// # Panics
    /// When the program is not there.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(penstock());
        command
            .args(arguments)
            .env("PENSTOCK_WORKER", self.rest())
            .current_dir(&self.path);
        command
    }

    /// Runs [`Deployment::command`] to its end.
    ///
    /// # Panics
    /// When the program is not there.
    #[must_use]
    pub fn penstock(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// As [`Deployment::penstock`]; returns what it printed.
    ///
    /// # Panics
    /// When the program fails; with its error output.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let output = self.penstock(arguments);
        assert!(
            output.status.success(),
            "penstock {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("the program prints text")
    }

    /// Address of the worker's REST listener.
    #[must_use]
    pub fn rest(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.rest)
    }

    /// Address of the worker's embedded registry.
    #[must_use]
    pub fn registry(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.registry)
    }

    /// Address where the files expect the event stream server.
    #[must_use]
    pub fn sse_address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.ports.sse).into()
    }

    /// A client of the HTTP intake.
    #[must_use]
    pub fn gateway(&self) -> Gateway {
        Gateway::new(format!("http://127.0.0.1:{}", self.ports.gateway))
    }

    /// Where the HTTP intake listens.
    #[must_use]
    pub fn gateway_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.gateway)
    }

    /// A viewer of a stream, connected to the WebSocket egress.
    ///
    /// # Panics
    /// When the egress does not take the connection.
    pub async fn viewer(&self, stream: &str) -> Viewer {
        Viewer::connect(&format!(
            "ws://127.0.0.1:{}/ws/{stream}",
            self.ports.websocket
        ))
        .await
    }

    /// Everything that lies in the JSON lines files of a topic, in the order of the file names.
    /// The last line of a file that is being written does not count until it is complete.
    ///
    /// # Panics
    /// When a complete line is not JSON.
    #[must_use]
    pub fn output(&self, topic: &str) -> Vec<Value> {
        let mut files: Vec<_> = fs::read_dir(self.path.join("out"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_output_of(path, topic))
            .collect();
        files.sort();
        files.iter().flat_map(|file| json_lines(file)).collect()
    }
}

/// Whether a file is named `<topic>-<partition>.jsonl`.
fn is_output_of(path: &Path, topic: &str) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_prefix(topic)?.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(".jsonl"))
        .is_some_and(|partition| partition.parse::<u32>().is_ok())
}

fn json_lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", file.display()))
        })
        .collect()
}

fn copy_folder(from: &Path, to: &Path, ports: &Ports) {
    fs::create_dir_all(to).expect("the folder is writable");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let source = entry.expect("the folder is readable").path();
        let target = to.join(source.file_name().expect("an entry has a name"));
        if source.is_dir() {
            copy_folder(&source, &target, ports);
        } else {
            let text = fs::read_to_string(&source).expect("acceptance files are text");
            fs::write(&target, ports.rewrite(&text)).expect("the folder is writable");
        }
    }
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("the folder is writable");
}
