//! `penstock quickstart`: the demo in one command. Visitors send events; the terminal shows side by
//! side what was sent, what lies in `demo`, and what comes out in `demo-2`.

mod files;
mod shown;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use self::shown::{Events, Screen, Shown};
use super::client::Client;
use super::egress::{Seen, View};
use super::listeners::{EGRESS, GATEWAY, Listener};
use super::sender::Sender;
use super::shop::Shop;
use super::signals::Ending;
use super::simulate::{duration, elapsed, rate};
use super::{CliError, CliResult, output};
use crate::config::{self, Loaded};
use crate::plugins::Plugins;
use crate::worker::Worker;

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
pub(super) struct Quickstart {
    /// How long, such as 20s or 5m; until interrupted by default.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Where the demo's files go. A folder that has them already is gone on with as it is.
    #[arg(long, default_value = "penstock-quickstart")]
    dir: PathBuf,
    /// Events per second.
    #[arg(long, default_value_t = 5.0, value_parser = rate)]
    rate: f64,
}

/// Longest wait for the worker's connectors, and for the last events.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing more is expected after such a silence.
const SILENCE: Duration = Duration::from_secs(1);

impl Quickstart {
    pub(super) async fn run(self, plugins: Plugins) -> CliResult {
        crate::logging::start("warn");
        let mut ending = Ending::listen()?;
        files::lay_out(&self.dir)?;
        let dir = std::fs::canonicalize(&self.dir)?;
        // The files name their folders relative to where they are.
        std::env::set_current_dir(&dir)?;
        let loaded =
            config::load(&files::properties(), &plugins).map_err(super::validate::report)?;
        let (gateway, egress) = (place(&loaded, &GATEWAY)?, place(&loaded, &EGRESS)?);
        let shown_dir = quoted(&self.dir);
        output::line(&format!(
            "The demo's files are in {shown_dir}. Visitors of a web shop send events{}\n",
            match self.time {
                Some(_) => ".",
                None => " until you press Ctrl-C.",
            }
        ));
        let worker = tokio::select! {
            started = Worker::start(loaded, plugins) => started.map_err(|error| CliError(error.to_string()))?,
            () = ending.wait() => return Ok(()),
        };
        let client = Client::new(&format!("http://{}", worker.address()));
        let shown = async {
            all_running(&client).await?;
            let mut demo = Demo::open(&gateway, &egress).await?;
            demo.run(self.rate, self.time, &mut ending).await?;
            Ok(demo.shown)
        };
        let shown: Result<Shown, CliError> = shown.await;
        worker.stop().await;
        output::line(&format!("\n{}", shown?.summary()));
        output::line(&format!(
            "Everything is in {shown_dir}: files in out/, keys and topics in data/.",
        ));
        output::line(&format!(
            "Go on with: cd {shown_dir} && {} run worker.properties *.properties",
            program()
        ));
        Ok(())
    }
}

/// URL of the connector of this kind in the files.
fn place(loaded: &Loaded, listener: &Listener) -> Result<String, CliError> {
    let found = loaded.connectors.iter().find_map(|connector| {
        let setting = |key: &str| Some(connector.settings.get(key)?.value());
        listener.url(setting, "http://127.0.0.1")
    });
    found.unwrap_or_else(|| {
        Err(CliError(format!(
            "the demo has no {} any more: remove the file that was changed, and it is made anew",
            listener.class()
        )))
    })
}

/// Waits until all connectors run.
async fn all_running(client: &Client) -> CliResult {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = client.get("/connectors?expand=status").await?;
        let waiting = all
            .as_object()
            .into_iter()
            .flatten()
            .find_map(|(name, connector)| {
                let tasks = connector["status"]["tasks"].as_array()?;
                let task = tasks.iter().find(|task| task["state"] != "RUNNING")?;
                let state = task["state"].as_str().unwrap_or_default();
                let trace = task["trace"].as_str().unwrap_or("no reason is known");
                Some((
                    state == "FAILED",
                    format!("connector {name} is {state}: {trace}"),
                ))
            });
        match waiting {
            None => return Ok(()),
            Some((failed, why)) if failed || Instant::now() > deadline => {
                return Err(CliError(why));
            }
            Some(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The demo's stages, and what is known of them.
struct Demo {
    sender: Sender,
    demo: View,
    derived: View,
    shown: Shown,
}

impl Demo {
    async fn open(gateway: &str, egress: &str) -> Result<Self, CliError> {
        Ok(Self {
            demo: look(egress, "demo").await?,
            derived: look(egress, "demo-2").await?,
            sender: Sender::new(gateway, "streammachine/demo/1.0.2", None),
            shown: Shown::default(),
        })
    }

    /// Lets visitors click until the time is over or somebody ends it, and shows what comes of it.
    async fn run(&mut self, rate: f64, time: Option<Duration>, ending: &mut Ending) -> CliResult {
        let mut shop = Shop::new(12, "streammachine/example/1.3.0");
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        let pause = if std::io::stdout().is_terminal() {
            1
        } else {
            5
        };
        let mut draw = tokio::time::interval(Duration::from_secs(pause));
        draw.tick().await;
        let mut screen = Screen::default();
        let end = elapsed(time);
        tokio::pin!(end);
        loop {
            let has_room = self.sender.has_room();
            tokio::select! {
                () = &mut end => break,
                () = ending.wait() => break,
                _ = ticks.tick(), if has_room => self.sender.send(shop.click()),
                _ = draw.tick() => screen.draw(&self.shown.table()),
                news = self.news() => news?,
            }
        }
        tokio::select! {
            last = self.last() => last?,
            () = sleep(PATIENCE) => {}
            () = ending.wait() => {}
        }
        screen.draw(&self.shown.table());
        Ok(())
    }

    /// Waits for what is still on its way.
    async fn last(&mut self) -> CliResult {
        while !(self.sender.on_the_way() == 0 && self.shown.is_complete()) {
            tokio::select! {
                news = self.news() => news?,
                () = sleep(SILENCE) => {
                    // Whoever changed the files may have changed what comes out.
                    if self.sender.on_the_way() == 0 && self.shown.is_stored() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what happens next at any of the stages. Cancel-safe.
    async fn news(&mut self) -> CliResult {
        let shown = &mut self.shown;
        tokio::select! {
            Some(sent) = self.sender.answered() => {
                if sent.is_accepted() {
                    shown.sent(sent.event);
                }
            }
            seen = self.demo.next() => note(&mut shown.demo, seen?),
            seen = self.derived.next() => note(&mut shown.derived, seen?),
        }
        match self.sender.hopeless() {
            Some(refusal) => Err(CliError(format!("the gateway took no event: {refusal}"))),
            None => Ok(()),
        }
    }
}

/// A look at a topic that the egress may not have found yet.
async fn look(egress: &str, topic: &str) -> Result<View, CliError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match View::of(egress, topic).await {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(50)).await,
            opened => return opened,
        }
    }
}

fn note(events: &mut Events, seen: Seen) {
    match seen {
        Seen::Event(text) => events.add(serde_json::from_str(&text).unwrap_or(Value::Null)),
        Seen::Lost(count) => events.miss(count),
    }
}

/// This program as the user's shell finds it.
fn program() -> String {
    let Ok(this) = std::env::current_exe() else {
        return "penstock".to_owned();
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("penstock"))
        .find(|file| file.is_file())
        .and_then(|file| file.canonicalize().ok());
    if found.is_some() && found == this.canonicalize().ok() {
        return "penstock".to_owned();
    }
    quoted(&this)
}

/// A path as one word for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%:,".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_words_for_a_shell() {
        assert_eq!(quoted(Path::new("a/b-1.x")), "a/b-1.x");
        assert_eq!(quoted(Path::new("a b")), "'a b'");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }
}
