//! The time from a worker's start to its first record.

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;
use penstock_bench::{Events, Format};
use rdkafka::Offset;
use rdkafka::error::KafkaError;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite;

use crate::PATIENCE;
use crate::topics::reader;

/// How soon a listener that does not answer yet is tried again.
const RETRY: Duration = Duration::from_millis(2);

/// A worker that is stopped in good order at the end.
struct Worker(Child);

impl Worker {
    fn start(command: &[String]) -> Result<Self, Box<dyn Error>> {
        let (program, arguments) = command.split_first().ok_or("no command")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    fn check(&mut self, start: Instant) -> Result<(), Box<dyn Error>> {
        if let Some(status) = self.0.try_wait()? {
            return Err(format!("the worker ended: {status}").into());
        }
        if start.elapsed() > PATIENCE {
            return Err("no record came".into());
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

#[derive(Args)]
pub(crate) struct Kafka {
    #[arg(long)]
    bootstrap: String,
    /// The topic where a new record has to come.
    #[arg(long)]
    topic: String,
    /// What starts the worker.
    #[arg(last = true)]
    command: Vec<String>,
}

impl Kafka {
    pub(crate) fn run(self) -> Result<Duration, Box<dyn Error>> {
        let consumer = reader(&self.bootstrap, &self.topic, Offset::End)?;
        // The reader has to stand at the end before the worker writes.
        while !matches!(
            consumer.poll(PATIENCE),
            Some(Err(KafkaError::PartitionEOF(_)))
        ) {}
        let start = Instant::now();
        let mut worker = Worker::start(&self.command)?;
        loop {
            if let Some(Ok(_)) = consumer.poll(Duration::from_millis(20)) {
                return Ok(start.elapsed());
            }
            worker.check(start)?;
        }
    }
}

#[derive(Args)]
pub(crate) struct Embedded {
    /// The gateway, `host:port`.
    #[arg(long)]
    gateway: String,
    /// Address of the stream's viewers, `ws://…`.
    #[arg(long)]
    egress: String,
    /// What starts the worker.
    #[arg(last = true)]
    command: Vec<String>,
}

impl Embedded {
    /// A viewer sees what comes after it joined, so that events are sent until one is there.
    pub(crate) async fn run(self) -> Result<Duration, Box<dyn Error>> {
        let mut event = Vec::new();
        if let Some(first) = Events::new(Format::Avro, 1).next() {
            first.write(Format::Avro, &mut event);
        }
        let http = reqwest::Client::new();
        let request = http
            .post(format!("http://{}/event", self.gateway))
            .header("Strm-Schema-Ref", "streammachine/demo/1.0.2")
            .header("Content-Type", "application/octet-stream")
            .body(event)
            .build()?;
        let start = Instant::now();
        let mut worker = Worker::start(&self.command)?;
        let mut viewer = loop {
            match tokio_tungstenite::connect_async(&self.egress).await {
                Ok((viewer, _)) => break viewer,
                Err(_) => sleep(RETRY).await,
            }
            worker.check(start)?;
        };
        loop {
            let request = request
                .try_clone()
                .ok_or("the event cannot be sent twice")?;
            // A gateway that is not there yet refuses.
            let _ = http.execute(request).await;
            if let Ok(Some(Ok(tungstenite::Message::Text(_)))) =
                tokio::time::timeout(RETRY, viewer.next()).await
            {
                return Ok(start.elapsed());
            }
            worker.check(start)?;
        }
    }
}
