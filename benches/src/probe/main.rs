//! Looks at a job from outside: whether it is through its topic, whether its output is right, when
//! its first record is there.
#![allow(clippy::print_stdout)] // A command line program prints.

mod export;
mod first;
mod lines;
mod topics;

use std::error::Error;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Looks at a job from outside.
#[derive(Parser)]
enum Task {
    /// Makes topics with one partition.
    Create(Topics),
    /// Deletes topics.
    Delete(Topics),
    /// Waits until a group has committed an offset of partition 0.
    Wait(topics::Wait),
    /// Waits until a group has committed as above; prints the milliseconds since its worker's first record.
    Export(export::Export),
    /// Waits until a file has so many lines; prints the milliseconds until the first was there.
    Lines(lines::Lines),
    /// Reads the committed records of a topic and checks them.
    Check(topics::Check),
    /// Starts a worker and prints the milliseconds until its first record is out.
    #[command(subcommand)]
    First(First),
}

#[derive(Args)]
struct Topics {
    #[arg(long)]
    bootstrap: String,
    names: Vec<String>,
}

#[derive(Subcommand)]
enum First {
    /// Out: committed in a topic.
    Kafka(first::Kafka),
    /// Out: sent to a viewer of a stream, in at the gateway.
    Embedded(first::Embedded),
}

/// How long anything may take before the benchmark gives up on it.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match Task::parse() {
        Task::Create(Topics { bootstrap, names }) => topics::create(&bootstrap, &names).await,
        Task::Delete(Topics { bootstrap, names }) => topics::delete(&bootstrap, &names).await,
        Task::Wait(wait) => wait.run(),
        Task::Export(export) => print_millis(export.run().await?),
        Task::Lines(lines) => print_millis(lines.run()?),
        Task::Check(check) => check.run(),
        Task::First(First::Kafka(first)) => print_millis(first.run()?),
        Task::First(First::Embedded(first)) => print_millis(first.run().await?),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "ends `main`'s branches")]
fn print_millis(time: Duration) -> Result<(), Box<dyn Error>> {
    println!("{:.0}", time.as_secs_f64() * 1000.0);
    Ok(())
}
