//! How the one memory budget of a worker is split among all that hold bytes: what the files ask for by
//! name first, then what reads, writes and takes in, and the rest for the buffers of sinks.

use penstock_connect::ConfigValue;
use penstock_connect::config::ByteSize;

use crate::config::{ConnectorSpec, WorkerConfig};
use crate::plugins::{Kind, Plugins};

/// Key of an intake's queue.
pub(crate) const QUEUE: &str = "http.queue.bytes";

/// Key of the largest body that an intake takes.
const BODY: &str = "http.max.body";

/// Key of a producer's send buffer, by the Java client's name.
pub(crate) const SEND_BUFFER: &str = "buffer.memory";

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;

/// Least and most of each kind.
const READING: (u64, u64) = (MB, 16 * MB);
const READING_EMBEDDED: (u64, u64) = (256 * KB, 16 * MB);
const WRITING: (u64, u64) = (2 * MB, 32 * MB);
const INTAKE: (u64, u64) = (4 * MB, 32 * MB);

/// Send buffer of a sink's task for its dead letters, and as much for its journal.
const ASIDE: u64 = 2 * MB;

/// Who holds bytes in a worker.
#[derive(Debug, Default)]
struct Claims {
    /// Tasks that read topics.
    readers: u64,
    /// Producers of sources and pipelines.
    writers: u64,
    /// Producers of sinks, for dead letters and journals.
    aside: u64,
    /// Intakes, and the largest body that one of them takes.
    intakes: u64,
    body: u64,
    /// What was asked for by name: connector, key, bytes in all.
    asked: Vec<(String, &'static str, u64)>,
}

/// The split: bytes of each holder of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Records that a task reads ahead, and those of an open transaction.
    pub(crate) reading: u64,
    /// Records of a producer that wait to be sent.
    pub(crate) writing: u64,
    /// Bodies in the queue of an intake.
    pub(crate) intake: u64,
    /// Buffers of all sinks and file sources together.
    pub(crate) buffers: u64,
}

/// What the embedded log caches of its files.
pub(crate) fn log_cache(worker: &WorkerConfig) -> u64 {
    worker.memory_budget.0 / 8
}

impl Shares {
    /// The shares of these connectors.
    ///
    /// # Errors
    /// When less than a quarter would be left for the buffers of sinks; says what takes how much.
    pub(crate) fn of<'s>(
        worker: &WorkerConfig,
        plugins: &Plugins,
        specs: impl Iterator<Item = &'s ConnectorSpec>,
    ) -> Result<Self, String> {
        let mut claims = Claims::default();
        for spec in specs {
            claims.add(worker, plugins, spec);
        }
        claims.share(worker.memory_budget.0, worker.bootstrap_servers.is_some())
    }
}

impl Claims {
    fn add(&mut self, worker: &WorkerConfig, plugins: &Plugins, spec: &ConnectorSpec) {
        let tasks = spec.tasks as u64;
        let name = &spec.common.name;
        if spec.kind != Kind::Source {
            self.readers += tasks;
        }
        let asked = spec
            .producer_overrides
            .get(SEND_BUFFER)
            .and_then(|bytes| bytes.trim().parse::<u64>().ok());
        let rejects = u64::from(spec.reject_topics().next().is_some());
        match (spec.kind, asked) {
            (Kind::Sink, None) => self.aside += tasks * (1 + rejects),
            (Kind::Sink, Some(bytes)) => {
                let all = bytes.saturating_mul(tasks * (1 + rejects));
                self.asked
                    .push((name.clone(), "producer.override.buffer.memory", all));
            }
            (_, Some(bytes)) => {
                self.asked.push((
                    name.clone(),
                    "producer.override.buffer.memory",
                    bytes.saturating_mul(tasks),
                ));
            }
            (_, None) => match &worker.send_buffer {
                Some(bytes) => {
                    self.asked.push((
                        name.clone(),
                        "producer.buffer.memory",
                        bytes.0.saturating_mul(tasks),
                    ));
                }
                None => self.writers += tasks,
            },
        }
        let size = |key: &str| {
            let setting = spec.plugin.get(key)?;
            ByteSize::parse(setting.value()).ok().map(|size| size.0)
        };
        if plugins.has_key(&spec.common.class, QUEUE) {
            match size(QUEUE) {
                Some(bytes) => {
                    let all = bytes.saturating_mul(tasks);
                    self.asked.push((name.clone(), QUEUE, all));
                }
                None => {
                    self.intakes += tasks;
                    self.body = self.body.max(size(BODY).unwrap_or(0));
                }
            }
        }
    }

    fn share(&self, total: u64, kafka: bool) -> Result<Shares, String> {
        let part = total / 8;
        let each = |part: u64, count: u64, (least, most): (u64, u64)| {
            (part / count.max(1)).clamp(least, most.max(least))
        };
        // The embedded log reads nothing ahead, and has its cache.
        let (reading, cache) = if kafka {
            (each(2 * part, self.readers, READING), 0)
        } else {
            (each(part, self.readers, READING_EMBEDDED), part)
        };
        let writing = each(part, self.writers, WRITING);
        let intake = each(part, self.intakes, (INTAKE.0.max(self.body), INTAKE.1));
        let mut taken = vec![
            (
                format!("tasks that read topics ({})", self.readers),
                reading * self.readers,
            ),
            (
                format!("producers ({})", self.writers),
                writing * self.writers,
            ),
            (
                format!("producers for dead letters and journals ({})", self.aside),
                ASIDE * self.aside,
            ),
            (format!("intakes ({})", self.intakes), intake * self.intakes),
            ("the embedded log's cache".to_owned(), cache),
        ];
        for (connector, key, bytes) in &self.asked {
            taken.push((format!("{key} of {connector}"), *bytes));
        }
        let all = taken
            .iter()
            .fold(0_u64, |all, (_, bytes)| all.saturating_add(*bytes));
        if all <= total - total / 4 {
            // What the allocator cannot give back, and what clients make of the bytes, has to fit, too.
            let left = total - all;
            let beside = (left / 8).min(left - total / 4);
            return Ok(Shares {
                reading,
                writing,
                intake,
                buffers: left - beside,
            });
        }
        taken.retain(|(_, bytes)| *bytes > 0);
        taken.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let list: Vec<String> = taken
            .iter()
            .map(|(what, bytes)| format!("{what} {}", in_mb(*bytes)))
            .collect();
        let asked: Vec<&str> = self.asked.iter().map(|(_, key, _)| *key).collect();
        let mut lower = asked;
        lower.push("tasks.max");
        lower.sort_unstable();
        lower.dedup();
        Err(format!(
            "{} cannot hold what connectors need ({}): a quarter has to be left for the buffers of sinks; set it to \
             at least {}, or lower {}",
            in_mb(total),
            list.join(", "),
            in_mb((all / 3).saturating_mul(4)),
            lower.join(", ")
        ))
    }
}

fn in_mb(bytes: u64) -> String {
    format!("{}mb", bytes.div_ceil(MB))
}

/// Bytes of a share as the size of a buffer.
pub(crate) fn bytes(share: u64) -> usize {
    usize::try_from(share).unwrap_or(usize::MAX)
}

/// The send buffer that a connector's producers have, unless it asks for one itself.
pub(crate) fn send_buffer(worker: &WorkerConfig, kind: Kind, shares: Shares) -> u64 {
    match kind {
        Kind::Sink => ASIDE,
        Kind::Source | Kind::Pipeline => worker
            .send_buffer
            .as_ref()
            .map_or(shares.writing, |bytes| bytes.0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The demo: a gateway, a pipeline, two sinks.
    fn demo() -> Claims {
        Claims {
            readers: 3,
            writers: 2,
            aside: 2,
            intakes: 1,
            ..Claims::default()
        }
    }

    #[test]
    fn the_parts_are_the_whole() {
        for (total, kafka) in [
            (256 * MB, true),
            (256 * MB, false),
            (64 * MB, true),
            (4096 * MB, true),
        ] {
            let claims = demo();
            let shares = claims.share(total, kafka).unwrap();
            let cache = if kafka { 0 } else { total / 8 };
            let sum = 3 * shares.reading + 2 * shares.writing + 2 * ASIDE + shares.intake + cache;
            let beside = (total - sum) / 8;
            assert_eq!(sum + shares.buffers + beside, total, "{total} {kafka}");
            assert!(shares.buffers >= total / 4);
        }
    }

    #[test]
    fn figures_of_the_default_budget() {
        let shares = demo().share(256 * MB, true).unwrap();
        let expected = Shares {
            reading: 16 * MB,
            writing: 16 * MB,
            intake: 32 * MB,
            buffers: 140 * MB - 140 * MB / 8,
        };
        assert_eq!(shares, expected);
        let many = Claims {
            readers: 64,
            ..Claims::default()
        };
        assert_eq!(many.share(256 * MB, true).unwrap().reading, MB);
    }

    #[test]
    fn sinks_keep_their_quarter_where_nothing_is_left_beside() {
        let mut claims = demo();
        claims.intakes = 0;
        claims.asked = vec![("gateway".to_owned(), QUEUE, 18 * MB)];
        let shares = claims.share(64 * MB, false).unwrap();
        // 8 to read, 8 to write, 4 aside, 8 of cache, and 18 asked for leave 18, of which an eighth is more than 2.
        assert_eq!(shares.buffers, 16 * MB);
    }

    #[test]
    fn what_cannot_fit_is_refused_by_name() {
        let mut claims = demo();
        claims.intakes = 0;
        claims.asked = vec![("gateway".to_owned(), QUEUE, 48 * MB)];
        let refused = claims.share(64 * MB, false).unwrap_err();
        assert_eq!(
            refused,
            "64mb cannot hold what connectors need (http.queue.bytes of gateway 48mb, producers (2) 8mb, the embedded \
             log's cache 8mb, tasks that read topics (3) 8mb, producers for dead letters and journals (2) 4mb): a \
             quarter has to be left for the buffers of sinks; set it to at least 102mb, or lower http.queue.bytes, \
             tasks.max"
        );
        // The shares of the others grow with it.
        assert!(claims.share(160 * MB, false).is_ok());
    }

    #[test]
    fn an_intake_has_room_for_the_largest_body() {
        let mut claims = demo();
        claims.body = 20 * MB;
        assert_eq!(claims.share(128 * MB, true).unwrap().intake, 20 * MB);
    }
}
