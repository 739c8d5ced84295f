//! Waits for an export: from the worker's first record until its group has committed the last.

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Args;

use crate::topics::Wait;

const POLL: Duration = Duration::from_millis(20);

/// What the worker has read, by its connector and task.
const READ: &str = "kafka_connect_sink_task_metrics_sink_record_read_total{";

#[derive(Args)]
pub(crate) struct Export {
    /// Address of the worker's metrics.
    #[arg(long)]
    metrics: String,
    #[command(flatten)]
    wait: Wait,
}

impl Export {
    /// Returns the time from the last look that saw no record read.
    pub(crate) async fn run(self) -> Result<Duration, Box<dyn Error>> {
        let client = reqwest::Client::new();
        let mut before = Instant::now();
        loop {
            let look = Instant::now();
            if has_read(&client, &self.metrics).await {
                break;
            }
            before = look;
            self.wait.check_process()?;
            tokio::time::sleep(POLL).await;
        }
        self.wait.run()?;
        Ok(before.elapsed())
    }
}

/// Whether a task has read a record; none has while the worker does not answer.
async fn has_read(client: &reqwest::Client, metrics: &str) -> bool {
    let Ok(answer) = client.get(metrics).send().await else {
        return false;
    };
    let text = answer.text().await.unwrap_or_default();
    let mut tasks = text.lines().filter(|line| line.starts_with(READ));
    tasks.any(|line| !line.ends_with(" 0"))
}
