//! `penstock quickstart`: the demo in one command. Visitors send events; the terminal shows side by
//! side what was sent, what lies in `demo`, and what comes out in `demo-2`.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use futures::StreamExt;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::simulate::{Sender, Shop, duration};
use super::{CliError, CliResult, output};
use crate::config;
use crate::plugins::Plugins;
use crate::worker::Worker;

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
pub(super) struct Quickstart {
    /// How long; until interrupted by default.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Where the demo's files go.
    #[arg(long, default_value = "penstock-quickstart")]
    dir: PathBuf,
    /// Events per second.
    #[arg(long, default_value_t = 5.0)]
    rate: f64,
}

/// The demo's files, by their path in its directory.
const FILES: &[(&str, &str)] = &[
    (
        "worker.properties",
        include_str!("../../../tests/acceptance/demo/worker.properties"),
    ),
    (
        "gateway.properties",
        include_str!("../../../tests/acceptance/demo/gateway.properties"),
    ),
    (
        "demo-2.properties",
        include_str!("../../../tests/acceptance/demo/demo-2.properties"),
    ),
    (
        "files.properties",
        include_str!("../../../tests/acceptance/demo/files.properties"),
    ),
    (
        "egress.properties",
        include_str!("../../../tests/acceptance/demo/egress.properties"),
    ),
    (
        "schemas/streammachine/demo/1.0.2.avsc",
        include_str!("../../../tests/acceptance/demo/schemas/streammachine/demo/1.0.2.avsc"),
    ),
    (
        "contracts/streammachine/example/1.3.0.json",
        include_str!("../../../tests/acceptance/demo/contracts/streammachine/example/1.3.0.json"),
    ),
];

/// The addresses in those files, and what listens there.
const GATEWAY: &str = "127.0.0.1:8080";
const REGISTRY: &str = "127.0.0.1:8081";
const EGRESS: &str = "127.0.0.1:8082";
const WORKER: &str = "127.0.0.1:8083";

impl Quickstart {
    pub(super) async fn run(self, plugins: Plugins) -> CliResult {
        crate::logging::start("warn");
        let addresses = lay_out(&self.dir)?;
        let dir = std::fs::canonicalize(&self.dir)?;
        // The files name their folders relative to where they are.
        std::env::set_current_dir(&dir)?;
        let files: Vec<String> = FILES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .filter(|name| name.ends_with(".properties"))
            .collect();
        let loaded = config::load(&files, &plugins).map_err(super::validate::report)?;
        let worker = Worker::start(loaded, plugins)
            .await
            .map_err(|error| CliError(error.to_string()))?;
        let shown = watch_and_send(&addresses, self.rate, self.time).await;
        worker.stop().await;
        let shown = shown?;
        output::line(&format!("\n{}", shown.summary()));
        output::line(&format!(
            "Everything is in {}: files in out/, keys and topics in data/.",
            self.dir.display()
        ));
        output::line(&format!(
            "Go on with: cd {} && penstock run worker.properties *.properties",
            self.dir.display()
        ));
        Ok(())
    }
}

/// Writes the demo's files; a port that is taken is replaced by a free one.
fn lay_out(dir: &Path) -> Result<HashMap<&'static str, String>, CliError> {
    let mut addresses = HashMap::new();
    // Held until all are chosen, so that no two are the same.
    let mut held = Vec::new();
    for address in [GATEWAY, REGISTRY, EGRESS, WORKER] {
        let listener = TcpListener::bind(address).or_else(|_| TcpListener::bind("127.0.0.1:0"))?;
        addresses.insert(address, listener.local_addr()?.to_string());
        held.push(listener);
    }
    for (name, text) in FILES {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| CliError(format!("cannot make {}: {error}", parent.display())))?;
        }
        let mut text = (*text).to_owned();
        for (given, chosen) in &addresses {
            text = text.replace(given, chosen);
        }
        std::fs::write(&path, text)
            .map_err(|error| CliError(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(addresses)
}

/// What was sent and what came out, by the events' nonces.
#[derive(Debug, Default)]
struct Shown {
    sent_by_nonce: HashMap<i64, Value>,
    demo: HashMap<i64, Value>,
    derived: HashMap<i64, Value>,
    counts: [u64; 3],
}

const KEPT: usize = 2000;

impl Shown {
    fn summary(&self) -> String {
        let [sent, demo, derived] = self.counts;
        format!(
            "{sent} events sent, {demo} in demo (encrypted), {derived} in demo-2 (consent level 2 or higher)"
        )
    }

    fn note(map: &mut HashMap<i64, Value>, event: Value) {
        if map.len() >= KEPT {
            map.clear();
        }
        if let Some(nonce) = event["strmMeta"]["nonce"].as_i64() {
            map.insert(nonce, event);
        }
    }

    /// One event with enough consent and one without, each as it was sent and as it came out.
    fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_preset(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if !std::io::stdout().is_terminal() {
            table.set_width(150);
        }
        let [sent, demo, derived] = self.counts;
        table.set_header([
            "field".to_owned(),
            format!("sent: {sent}"),
            format!("in demo: {demo}"),
            format!("in demo-2: {derived}"),
        ]);
        let example = |consents: bool| {
            self.sent_by_nonce.iter().find(|(nonce, event)| {
                let highest = event["strmMeta"]["consentLevels"]
                    .as_array()
                    .and_then(|l| l.last()?.as_i64());
                let out = self.derived.contains_key(nonce);
                self.demo.contains_key(nonce) && out == consents && (highest >= Some(2)) == consents
            })
        };
        for consents in [true, false] {
            let Some((nonce, event)) = example(consents) else {
                continue;
            };
            let levels = |event: &Value| event["strmMeta"]["consentLevels"].to_string();
            let row = |field: &str, get: &dyn Fn(&Value) -> String| {
                let out = self.derived.get(nonce).map_or_else(
                    || {
                        if field == "consentLevels" {
                            "(no consent: not here)".to_owned()
                        } else {
                            String::new()
                        }
                    },
                    get,
                );
                [
                    field.to_owned(),
                    get(event),
                    self.demo.get(nonce).map(get).unwrap_or_default(),
                    out,
                ]
            };
            if !consents {
                table.add_row([""; 4]);
            }
            table.add_row(row("consentLevels", &levels));
            for field in [
                "uniqueIdentifier",
                "consistentValue",
                "someSensitiveValue",
                "notSensitiveValue",
            ] {
                table.add_row(row(field, &|event| {
                    event[field].as_str().unwrap_or("null").to_owned()
                }));
            }
        }
        table.trim_fmt()
    }
}

async fn watch_and_send(
    addresses: &HashMap<&'static str, String>,
    rate: f64,
    time: Option<Duration>,
) -> Result<Shown, CliError> {
    let at = |address: &str| {
        addresses
            .get(address)
            .cloned()
            .unwrap_or_else(|| address.to_owned())
    };
    let shown = Arc::new(Mutex::new(Shown::default()));
    let lock = || shown.lock().unwrap_or_else(PoisonError::into_inner);
    wait_for(&at(EGRESS)).await?;
    wait_for(&at(GATEWAY)).await?;
    let mut watchers = Vec::new();
    for (index, topic) in [(1, "demo"), (2, "demo-2")] {
        let url = format!("ws://{}/ws/{topic}", at(EGRESS));
        let (mut socket, _) = tokio_tungstenite::connect_async(&url)
            .await
            .map_err(|error| CliError(format!("cannot look at {url}: {error}")))?;
        let shown = shown.clone();
        watchers.push(tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else {
                    continue;
                };
                let Ok(event) = serde_json::from_str::<Value>(text.as_str()) else {
                    continue;
                };
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.counts[index] += 1;
                let map = if index == 1 {
                    &mut shown.demo
                } else {
                    &mut shown.derived
                };
                Shown::note(map, event);
            }
        }));
    }
    let sender = Sender::new(
        &format!("http://{}", at(GATEWAY)),
        "streammachine/demo/1.0.2",
        None,
    );
    let mut shop = Shop::new(12, "streammachine/example/1.3.0");
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate.clamp(0.1, 1000.0)));
    let mut draw = tokio::time::interval(Duration::from_secs(if std::io::stdout().is_terminal() {
        1
    } else {
        5
    }));
    draw.tick().await;
    let end = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut screen = Screen::default();
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = tokio::signal::ctrl_c() => break,
            _ = ticks.tick() => {
                let event = shop.click();
                sender.send(&event).await;
                let mut shown = lock();
                shown.counts[0] = sender.counts().0;
                Shown::note(&mut shown.sent_by_nonce, event);
            }
            _ = draw.tick() => screen.draw(&lock().table()),
        }
    }
    // What was sent last is still on its way.
    tokio::time::sleep(Duration::from_millis(700)).await;
    screen.draw(&lock().table());
    for watcher in watchers {
        watcher.abort();
    }
    if let (0, Some(refusal)) = (sender.counts().0, sender.first_refusal()) {
        return Err(CliError(format!("the gateway took no event: {refusal}")));
    }
    Ok(std::mem::take(&mut *lock()))
}

/// Waits until something listens there.
async fn wait_for(address: &str) -> CliResult {
    let address: SocketAddr = address.parse()?;
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err(CliError(format!("nothing listens on {address} after 5 s")))
}

/// The table in its place: on a terminal each drawing replaces the one before.
#[derive(Debug, Default)]
struct Screen {
    lines: usize,
}

impl Screen {
    fn draw(&mut self, table: &str) {
        let mut out = std::io::stdout().lock();
        if out.is_terminal() && self.lines > 0 {
            // Up, and clear to the end of the screen.
            let _ = write!(out, "\x1b[{}A\x1b[J", self.lines);
        }
        self.lines = table.lines().count();
        let _ = writeln!(out, "{table}");
    }
}
