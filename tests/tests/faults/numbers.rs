//! Metrics: the names that dashboards use, and numbers that are right.

use std::collections::BTreeMap;

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Estate, Worker, eventually, on_both_brokers};

/// Samples by name and labels as they are written, e.g. `name{connector="a",task="0"}`.
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
    "worker_metrics_connector_count",
    "worker_metrics_task_count",
    "worker_metrics_connector_startup_attempts_total",
    "worker_metrics_connector_startup_success_total",
    "worker_metrics_connector_startup_failure_total",
    "worker_metrics_task_startup_attempts_total",
    "worker_metrics_task_startup_success_total",
    "worker_metrics_task_startup_failure_total",
];

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
            assert!(samples.contains_key(&format!("kafka_connect_{name}")), "{name}");
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
        assert_eq!(samples["kafka_connect_worker_metrics_connector_count"], 4.0);
        let status = "kafka_connect_connector_task_metrics_status{connector=\"files\",status=\"running\",task=\"0\"}";
        assert_eq!(samples[status], 1.0);
        assert!(worker.stop().success());
    }
}
