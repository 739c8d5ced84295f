//! Serves made-up page changes as server-sent events, to try the `wiki` folder by hand.
#![allow(clippy::print_stdout)] // A command line program prints.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use penstock_tests::events::{canary, page_change};
use penstock_tests::sse::SseServer;

const STREAM: &str = "mediawiki.page_change.v1";
const PAGES: u64 = 50;
/// One canary among this many events.
const CANARY_EVERY: u64 = 100;

/// Serve made-up page changes at `/v2/stream/mediawiki.page_change.v1`.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Events per second.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let server = SseServer::start(arguments.listen, &[STREAM]).await;
    println!("http://{}/v2/stream/{STREAM}", server.address());
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / arguments.rate);
    for revision in 1.. {
        ticks.tick().await;
        let event = if revision % CANARY_EVERY == 0 {
            canary()
        } else {
            page_change(revision % PAGES, revision)
        };
        server.publish(STREAM, &event);
    }
}
