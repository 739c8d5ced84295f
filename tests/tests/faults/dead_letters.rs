//! Dead letters of an export, whose position stays behind what it has rejected.

use penstock_tests::{Estate, eventually, on_both_brokers};

use crate::{answers, log, numbers, without_contracts};

const RECORDS: usize = 40;

/// Every fourth record is none.
fn records() -> Vec<log::Out> {
    let value = |number: usize| match number % 4 {
        3 => b"{\"cut\":".to_vec(),
        _ => format!("{{\"number\":{number}}}").into_bytes(),
    };
    (0..RECORDS)
        .map(|number| (0, None, Some(value(number))))
        .collect()
}

on_both_brokers! {
    async fn an_export_that_is_killed_writes_each_dead_letter_once(estate: Estate) {
        let deployment = without_contracts(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "numbers", 1, &records());
        }
        let lake = tempfile::tempdir().unwrap();
        // Its one file stays open: nothing is durable, and each start begins with the first record.
        deployment.write(
            "lake.properties",
            &format!(
                "name=lake\nconnector.class=ObjectSink\ntopics=numbers\nurl=file://{}\nrotate.records=1000\n\
                 value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n\
                 consumer.override.session.timeout.ms=6000\nerrors.tolerance=all\n\
                 errors.deadletterqueue.topic.name=dlq\nerrors.deadletterqueue.topic.replication.factor=1\n\
                 errors.deadletterqueue.context.headers.enable=true\n",
                lake.path().display()
            ),
        );
        let rejected = RECORDS / 4;
        for start in 0..3 {
            let worker = deployment.spawn(&[]);
            answers(&deployment).await;
            let expected = if start == 0 { rejected } else { 0 };
            eventually("all records are read and settled", async || {
                let count = async |name: &str| numbers::of_task(&worker, name, "lake").await;
                let read = count("kafka_connect_sink_task_metrics_sink_record_read_total").await;
                let letters =
                    count("kafka_connect_task_error_metrics_deadletterqueue_produce_requests").await;
                // The journal is written behind them, and holds the same afterwards.
                let commits =
                    count("kafka_connect_sink_task_metrics_offset_commit_completion_total").await;
                let there = (start > 0 || commits > Some(0.0))
                    && read == Some(RECORDS as f64)
                    && letters == Some(expected as f64);
                there.then_some(())
            })
            .await;
            if start < 2 {
                worker.kill();
            } else {
                assert!(worker.stop().success());
            }
        }
        let broker = log::open(&estate, &deployment);
        let letters = log::read(&*broker, "dlq");
        let mut offsets: Vec<usize> = letters
            .iter()
            .map(|letter| {
                let header = letter
                    .headers
                    .iter()
                    .find(|header| &*header.name == "__connect.errors.offset");
                let value = header.and_then(|header| header.value.as_deref()).unwrap();
                std::str::from_utf8(value).unwrap().parse().unwrap()
            })
            .collect();
        offsets.sort_unstable();
        let expected: Vec<usize> = (0..RECORDS).filter(|number| number % 4 == 3).collect();
        assert_eq!(offsets, expected);
        assert!(log::committed(&*broker, "lake", "numbers").unwrap_or(0) == 0);
    }
}
