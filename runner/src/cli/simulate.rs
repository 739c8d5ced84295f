//! `penstock simulate`: visitors of a made-up web shop click around, and their events go through the
//! gateway at a given rate.

use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::MissedTickBehavior;

use super::client::Client;
use super::sender::Sender;
use super::shop::Shop;
use super::signals::Ending;
use super::{CliError, CliResult, listeners, output};

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Events per second.
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    rate: f64,
    /// How long, such as 20s or 5m; until interrupted by default.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// End after this many events.
    #[arg(short = 'n', long)]
    count: Option<u64>,
    /// Visitors in the shop at the same time.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    visitors: u16,
    /// The gateway (http://host:port); found through the worker by default.
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// Schema ref of the events.
    #[arg(long, default_value = "streammachine/demo/1.0.2")]
    schema: String,
    /// Contract ref of the events.
    #[arg(long, default_value = "streammachine/example/1.3.0")]
    contract: String,
    /// Bearer token of the gateway.
    #[arg(long, env = "PENSTOCK_GATEWAY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Longest wait for answers once no more is sent.
const LAST: Duration = Duration::from_secs(5);

/// Events per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 100_000.0 => Ok(rate),
        _ => Err("must be a number above 0 and at most 100000".to_owned()),
    }
}

/// `20s`, `500ms`, `2m`, `1h`, or seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is not a time such as 20s or 5m"))?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        other => return Err(format!("{other:?} is not a unit of time: ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("{text:?} is not a time such as 20s or 5m"))
}

/// Returns after this time; never without one.
pub(super) async fn elapsed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

impl Simulate {
    pub(super) async fn run(self, client: &Client, worker: &str) -> CliResult {
        let gateway = match self.gateway {
            Some(gateway) => gateway,
            None => listeners::GATEWAY.find(client, worker).await?,
        };
        let mut ending = Ending::listen()?;
        let mut sender = Sender::new(&gateway, &self.schema, self.token);
        let mut shop = Shop::new(self.visitors.into(), &self.contract);
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / self.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let end = elapsed(self.time);
        tokio::pin!(end);
        let progress = progress();
        let mut left = self.count.unwrap_or(u64::MAX);
        // A gateway that refuses the first of them refuses all.
        while left > 0 && sender.hopeless().is_none() {
            tokio::select! {
                () = &mut end => break,
                () = ending.wait() => break,
                Some(_) = sender.answered() => progress.set_message(counts(&sender)),
                _ = ticks.tick(), if sender.has_room() => {
                    sender.send(shop.click());
                    left -= 1;
                }
            }
        }
        // What is on its way is waited for, unless whoever waits has enough of it.
        tokio::select! {
            () = ending.wait() => {}
            () = tokio::time::sleep(LAST) => {}
            () = async { while sender.answered().await.is_some() {} } => {}
        }
        progress.finish_and_clear();
        output::line(&counts(&sender));
        if let Some(refusal) = sender.hopeless() {
            return Err(CliError(refusal.to_owned()));
        }
        if let Some(refusal) = sender.first_refusal() {
            output::note(&format!("the first that was refused: {refusal}"));
        }
        match sender.on_the_way() {
            0 => Ok(()),
            events => Err(CliError(format!(
                "{gateway} has not answered {events} events yet; they may be in the stream or not"
            ))),
        }
    }
}

fn counts(sender: &Sender) -> String {
    let (accepted, refused) = sender.counts();
    format!("{accepted} events accepted, {refused} refused")
}

/// A line that counts on terminals; nothing is drawn elsewhere.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}, {elapsed}; Ctrl-C ends it");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("20s", 20_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1.5", 1_500),
        ] {
            assert_eq!(
                duration(text).unwrap(),
                Duration::from_millis(expected),
                "{text}"
            );
        }
        for text in ["", "s", "-1s", "3 days", "1e999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
