//! Metrics: the names that dashboards use, and numbers that are right.

use std::collections::BTreeMap;

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Estate, Worker, eventually, on_both_brokers};
use reqwest::Method;
use serde_json::json;

use crate::offsets::call;

/// Samples by name and labels as they are written, e.g. `name{connector="a"task="0"}`.
fn samples(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            (sample.to_owned(), value)
        })
        .collect()
}

/// A metric of the first task of a connector.
pub(crate) async fn of_task(worker: &Worker, name: &str, connector: &str) -> Option<f64> {
    let sample = format!("{name}{{connector=\"{connector}\",task=\"0\"}}");
    samples(&worker.metrics().await).get(&sample).copied()
}

/// Waits until a sink or pipeline has committed `read` records, and checks what it says of them.
pub(crate) async fn settle(worker: &Worker, connector: &str, read: usize, rejected: usize) {
    const GROUP: &str = "kafka_connect_sink_task_metrics_sink_record";
    const ERRORS: &str = "kafka_connect_task_error_metrics";
    let number = |samples: &BTreeMap<String, f64>, name: &str| {
        let sample = format!("{name}{{connector=\"{connector}\",task=\"0\"}}");
        samples.get(&sample).copied()
    };
    let samples = eventually(&format!("{connector} has come to the end"), async || {
        // The numbers of one answer are not of one moment: all is read before the second is asked for.
        let before = samples(&worker.metrics().await);
        let after = samples(&worker.metrics().await);
        let seen = number(&before, &format!("{GROUP}_read_total"));
        let active = number(&after, &format!("{GROUP}_active_count"));
        (active == Some(0.0) && seen == Some(read as f64)).then_some(after)
    })
    .await;
    for (name, expected) in [
        (format!("{ERRORS}_total_record_errors"), rejected),
        (
            format!("{ERRORS}_deadletterqueue_produce_requests"),
            rejected,
        ),
        (format!("{ERRORS}_total_records_skipped"), 0),
    ] {
        let found = number(&samples, &name);
        assert_eq!(found, Some(expected as f64), "{connector} {name}");
    }
    let last = number(&samples, &format!("{ERRORS}_last_error_timestamp"));
    assert_eq!(last.unwrap_or(0.0) > 0.0, rejected > 0, "{connector}");
}

/// What a Kafka Connect dashboard asks for, for tasks that read topics and for those that do not.
const SINK: &[&str] = &[
    "sink_task_metrics_sink_record_read_total",
    "sink_task_metrics_sink_record_read_rate",
    "sink_task_metrics_sink_record_send_total",
    "sink_task_metrics_offset_commit_skip_total",
    "sink_task_metrics_offset_commit_skip_rate",
    "sink_task_metrics_sink_record_send_rate",
    "sink_task_metrics_sink_record_active_count",
    "sink_task_metrics_partition_count",
    "sink_task_metrics_offset_commit_completion_total",
    "sink_task_metrics_offset_commit_completion_rate",
    "sink_task_metrics_put_batch_max_time_ms",
    "sink_task_metrics_put_batch_avg_time_ms",
    "sink_task_metrics_sink_record_lag_max",
];
const SOURCE: &[&str] = &[
    "source_task_metrics_source_record_poll_total",
    "source_task_metrics_source_record_poll_rate",
    "source_task_metrics_source_record_write_total",
    "source_task_metrics_source_record_write_rate",
    "source_task_metrics_source_record_active_count",
    "source_task_metrics_poll_batch_max_time_ms",
    "source_task_metrics_poll_batch_avg_time_ms",
    "source_task_metrics_transaction_size_min",
    "source_task_metrics_transaction_size_max",
    "source_task_metrics_transaction_size_avg",
];
const TASK: &[&str] = &[
    "connector_task_metrics_running_ratio",
    "connector_task_metrics_pause_ratio",
    "connector_task_metrics_batch_size_max",
    "connector_task_metrics_batch_size_avg",
    "connector_task_metrics_offset_commit_max_time_ms",
    "connector_task_metrics_offset_commit_avg_time_ms",
    "connector_task_metrics_offset_commit_success_percentage",
    "connector_task_metrics_offset_commit_failure_percentage",
    "task_error_metrics_total_record_failures",
    "task_error_metrics_total_record_errors",
    "task_error_metrics_total_records_skipped",
    "task_error_metrics_total_retries",
    "task_error_metrics_total_errors_logged",
    "task_error_metrics_deadletterqueue_produce_requests",
    "task_error_metrics_deadletterqueue_produce_failures",
    "task_error_metrics_last_error_timestamp",
];
const WORKER: &[&str] = &[
    "connector_count",
    "task_count",
    "connector_startup_attempts_total",
    "connector_startup_success_total",
    "connector_startup_failure_total",
    "task_startup_attempts_total",
    "task_startup_success_total",
    "task_startup_failure_total",
];
/// The group `connect-worker-metrics`.
const WORKER_GROUP: &str = "kafka_connect_connect_worker_metrics";
const TASKS_OF_A_CONNECTOR: &[&str] = &[
    "total",
    "running",
    "paused",
    "failed",
    "unassigned",
    "restarting",
];

/// The names that the page on metrics promises.
fn documented() -> Vec<&'static str> {
    let page = include_str!("../../../docs/metrics.md");
    let table = page.lines().filter(|line| line.starts_with("| `"));
    let names: Vec<_> = table
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.starts_with("kafka_connect_") || name.starts_with("penstock_"))
        .collect();
    assert!(names.len() > 40, "{names:?}");
    names
}

/// The text format: each metric has HELP and TYPE before its samples, and comes once.
fn check_format(text: &str) {
    let mut described = Vec::new();
    let mut current = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().unwrap().to_owned();
            assert!(!described.contains(&name), "{name} comes twice");
            let kind = lines.next().unwrap_or_default();
            assert!(kind.starts_with(&format!("# TYPE {name} ")), "{kind}");
            described.push(name.clone());
            current = name;
        } else {
            assert!(line.starts_with(&current), "{line} below {current}");
        }
    }
    assert!(described.len() > 30);
}

/// How many tasks of a connector are in a state.
fn tasks(samples: &BTreeMap<String, f64>, connector: &str, state: &str) -> Option<f64> {
    let name = format!("{WORKER_GROUP}_connector_{state}_task_count");
    samples
        .get(&format!("{name}{{connector=\"{connector}\"}}"))
        .copied()
}

on_both_brokers! {
    async fn numbers_are_right_after_so_many_records(estate: Estate) {
        const EVENTS: usize = 37;
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let gateway = deployment.gateway();
        for number in 0..EVENTS {
            // Every other event may be seen with level 2.
            let levels: &[i32] = if number % 2 == 0 { &[2] } else { &[1] };
            let answer = gateway.send_json(DEMO_SCHEMA, &demo("a session", levels)).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
        let consented = EVENTS.div_ceil(2);
        settle(&worker, "demo-2", EVENTS, 0).await;
        settle(&worker, "files", EVENTS + consented, 0).await;

        // Lag is looked at a moment after partitions have come.
        let text = eventually("the lags", async || {
            let text = worker.metrics().await;
            let lags = text.lines().filter(|line| line.contains("sink_record_lag_max{")).count();
            (lags == 2).then_some(text)
        }).await;
        check_format(&text);
        for name in documented() {
            let shown = text.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
            assert!(shown, "{name} is documented");
        }
        let samples = samples(&text);
        let value = |connector: &str, name: &str| {
            let sample = format!("kafka_connect_{name}{{connector=\"{connector}\",task=\"0\"}}");
            *samples.get(&sample).unwrap_or_else(|| panic!("{sample} in\n{text}"))
        };
        let both = SINK.iter().chain(TASK);
        for (connector, name) in both.flat_map(|name| [("files", name), ("demo-2", name)]) {
            value(connector, name);
        }
        for name in SOURCE.iter().chain(TASK) {
            value("gateway", name);
        }
        for name in WORKER {
            assert!(samples.contains_key(&format!("{WORKER_GROUP}_{name}")), "{name}");
        }
        for state in TASKS_OF_A_CONNECTOR {
            let expected = f64::from(u8::from(matches!(*state, "total" | "running")));
            assert_eq!(tasks(&samples, "files", state), Some(expected), "{state}");
        }
        for (connector, name, expected) in [
            ("gateway", "source_task_metrics_source_record_poll_total", EVENTS),
            ("gateway", "source_task_metrics_source_record_write_total", EVENTS),
            ("gateway", "source_task_metrics_source_record_active_count", 0),
            ("demo-2", "sink_task_metrics_sink_record_send_total", consented),
            ("files", "sink_task_metrics_sink_record_send_total", EVENTS + consented),
            ("files", "task_error_metrics_total_record_errors", 0),
        ] {
            assert_eq!(value(connector, name), expected as f64, "{connector} {name}");
        }
        let filtered: f64 = samples
            .iter()
            .filter(|(sample, _)| sample.starts_with("penstock_records_filtered_total{connector=\"demo-2\""))
            .map(|(_, value)| value)
            .sum();
        assert_eq!(filtered, (EVENTS - consented) as f64);
        let running = value("files", "connector_task_metrics_running_ratio");
        assert!(running > 0.0 && running <= 1.0, "{running}");
        assert_eq!(samples[&format!("{WORKER_GROUP}_connector_count")], 4.0);
        let status = "kafka_connect_connector_task_metrics_status{connector=\"files\",status=\"running\",task=\"0\"}";
        assert_eq!(samples[status], 1.0);
        assert!(worker.stop().success());
    }

    async fn what_rests_is_shown_to_rest_and_what_is_gone_is_not_shown(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("files.properties", "tasks.max", "2");
        let worker = deployment.start().await;
        let answer = deployment.gateway().send_json(DEMO_SCHEMA, &demo("a session", &[2])).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        let read = "kafka_connect_sink_task_metrics_sink_record_read_total";
        let number = |samples: &BTreeMap<String, f64>, name: &str, task: usize| {
            let sample = format!("{name}{{connector=\"files\",task=\"{task}\"}}");
            samples.get(&sample).copied()
        };
        let both = |samples: &BTreeMap<String, f64>| {
            Some(number(samples, read, 0)? + number(samples, read, 1)?)
        };
        let look = async || samples(&worker.metrics().await);
        eventually("both records", async || (both(&look().await) == Some(2.0)).then_some(())).await;

        let connector = "/connectors/files";
        let paused = call(&deployment, Method::PUT, &format!("{connector}/pause"), None).await;
        assert_eq!(paused.0, 202);
        let samples = look().await;
        let task = "kafka_connect_connector_task_metrics";
        let sink = "kafka_connect_sink_task_metrics";
        for number_of_task in 0..2 {
            for (name, expected) in [
                (format!("{task}_pause_ratio"), Some(1.0)),
                (format!("{task}_running_ratio"), Some(0.0)),
                (format!("{sink}_partition_count"), Some(0.0)),
                (format!("{sink}_sink_record_lag_max"), None),
            ] {
                assert_eq!(number(&samples, &name, number_of_task), expected, "{name}");
            }
        }
        assert_eq!(both(&samples), Some(2.0), "what it has done stays");
        assert_eq!(tasks(&samples, "files", "paused"), Some(2.0));
        let resumed = call(&deployment, Method::PUT, &format!("{connector}/resume"), None).await;
        assert_eq!(resumed.0, 202);
        let ratio = format!("{task}_pause_ratio");
        assert_eq!(number(&look().await, &ratio, 0), Some(0.0));

        // A task that it has no more, and tasks of a connector that has none.
        let fewer = json!({"tasks.max": "1"});
        let patched = call(&deployment, Method::PATCH, &format!("{connector}/config"), Some(fewer)).await;
        assert_eq!(patched.0, 200, "{}", patched.1);
        let text = worker.metrics().await;
        let named = |text: &str, task: &str| {
            let of_it = |line: &&str| line.contains("connector=\"files\"") && line.contains(task);
            text.lines().filter(of_it).count()
        };
        assert!(named(&text, "task=\"0\"") > 20, "{text}");
        assert_eq!(named(&text, "task=\"1\""), 0, "{text}");
        let stopped = call(&deployment, Method::PUT, &format!("{connector}/stop"), None).await;
        assert_eq!(stopped.0, 204);
        let text = worker.metrics().await;
        assert_eq!(named(&text, "task="), 0, "{text}");
        assert_eq!(tasks(&look().await, "files", "total"), Some(0.0));
        let deleted = call(&deployment, Method::DELETE, connector, None).await;
        assert_eq!(deleted.0, 204);
        let text = worker.metrics().await;
        assert_eq!(named(&text, ""), 0, "{text}");
        assert!(worker.stop().success());
    }

    async fn a_start_counts_as_a_success_once_the_task_runs(estate: Estate) {
        let deployment = estate.deploy("demo");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let worker = deployment.start().await;
        let starts = async |outcome: &str| {
            let name = format!("{WORKER_GROUP}_task_startup_{outcome}_total");
            samples(&worker.metrics().await)[&name]
        };
        assert_eq!((starts("attempts").await, starts("success").await), (4.0, 4.0));
        let listen = json!({"ws.listen": address});
        let patched = call(&deployment, Method::PATCH, "/connectors/egress/config", Some(listen)).await;
        assert_eq!(patched.0, 200, "{}", patched.1);
        eventually("the failure", async || (starts("failure").await == 1.0).then_some(())).await;
        assert_eq!((starts("attempts").await, starts("success").await), (5.0, 4.0));
        assert!(worker.stop().success());
    }
}
