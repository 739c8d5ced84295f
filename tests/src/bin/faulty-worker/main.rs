//! A worker with plugins that misbehave on purpose, built as a third party builds one with its own.

mod ledger;

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use penstock_connect::{
    Error, FlushReason, Journal, Outputs, Position, Record, RecordError, Sink, TopicPartition,
    Transform, config,
};
use penstock_runner::{Plugins, no_topics};

use crate::ledger::{Ledger, LedgerConfig};

config! {
    /// Panics at records that hold the word `stumble`, and shouts out what they hold.
    pub struct StumblesConfig {
        /// How many times in the life of the worker; then it lets them pass.
        "times" => times: usize,
    }
}

/// Panics so far, by connector.
static STUMBLED: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

struct Stumbles {
    connector: String,
    times: usize,
}

impl Transform for Stumbles {
    fn apply(&mut self, _index: usize, record: Record, out: &mut Outputs) {
        let value = record.value.as_ref().map(|value| value.bytes().to_vec());
        let text = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
        if text.contains("stumble") {
            let mut stumbled = STUMBLED.lock().unwrap_or_else(PoisonError::into_inner);
            let count = stumbled.entry(self.connector.clone()).or_default();
            if *count < self.times {
                *count += 1;
                drop(stumbled);
                panic!("cannot handle {text}");
            }
        }
        out.pass(record);
    }
}

config! {
    /// Is not made before a file is there.
    pub struct HesitatesConfig {
        /// The file.
        "until" => until: String,
    }
}

struct Hesitates;

impl Hesitates {
    fn new(config: &HesitatesConfig) -> Self {
        while !Path::new(&config.until).exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self
    }
}

impl Transform for Hesitates {
    fn apply(&mut self, _index: usize, record: Record, out: &mut Outputs) {
        out.pass(record);
    }
}

config! {
    /// Takes everything, and is not done with its last flush before a file is there.
    pub struct ClingsConfig {
        /// The file.
        "until" => until: String,
    }
}

struct Clings {
    until: String,
    positions: HashMap<TopicPartition, i64>,
}

#[async_trait]
impl Sink for Clings {
    async fn open(
        &mut self,
        _partitions: &[TopicPartition],
        _journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        Ok(Vec::new())
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<(usize, RecordError)>, Error> {
        for record in records {
            let origin = record.origin();
            if let Some(partition) = &origin.partition {
                self.positions.insert(partition.clone(), origin.offset + 1);
            }
        }
        Ok(Vec::new())
    }

    async fn flush(
        &mut self,
        reason: FlushReason,
        _journal: &mut dyn Journal,
    ) -> Result<Vec<Position>, Error> {
        while reason == FlushReason::Close && !Path::new(&self.until).exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let positions = self.positions.iter();
        Ok(positions
            .map(|(partition, offset)| Position {
                partition: partition.clone(),
                offset: *offset,
            })
            .collect())
    }

    async fn close(&mut self, _partitions: &[TopicPartition]) -> Result<(), Error> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let plugins = Plugins::builtin()
        .transform(
            "Stumbles",
            &[],
            no_topics,
            |config: StumblesConfig, context, _services| {
                Ok(Box::new(Stumbles {
                    connector: context.connector.to_string(),
                    times: config.times,
                }))
            },
        )
        .transform(
            "Hesitates",
            &[],
            no_topics,
            |config: HesitatesConfig, _context, _services| Ok(Box::new(Hesitates::new(&config))),
        )
        .sink("Ledger", &[], |config: LedgerConfig, context, _services| {
            Ok(Box::new(Ledger::new(config, context)))
        })
        .sink(
            "Clings",
            &[],
            |config: ClingsConfig, _context, _services| {
                Ok(Box::new(Clings {
                    until: config.until,
                    positions: HashMap::new(),
                }))
            },
        );
    penstock_runner::main(plugins)
}
