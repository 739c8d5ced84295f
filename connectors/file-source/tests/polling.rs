//! Files that come while the source runs, and between its runs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use penstock_connect::Source;
use support::Files;

const OFTEN: &str = "poll.interval.ms=1";

#[tokio::test]
async fn new_files_are_read_as_they_come_whatever_their_names() {
    let files = Files::new();
    files.write("m.csv", "id\n1\n");
    let mut reading = files.source(OFTEN).await;
    assert_eq!(reading.next(1).await, ["1"]);
    for (name, id) in [("n.csv", "2"), ("a.csv", "3"), ("sub/x.csv", "4")] {
        files.write(name, format!("id\n{id}\n"));
        assert_eq!(reading.next(1).await, [id], "{name}");
        assert!(!reading.is_finished());
    }
    // The same after a restart.
    files.write("b.csv", "id\n5\n");
    let mut again = files.resume(OFTEN, reading.position).await.unwrap();
    assert_eq!(again.next(1).await, ["5"]);
}

#[tokio::test]
async fn a_file_is_read_once_though_it_grows_afterwards() {
    let files = Files::new();
    files.write("a.csv", "id\n1\n");
    let mut reading = files.source(OFTEN).await;
    assert_eq!(reading.next(1).await, ["1"]);
    files.write("a.csv", "id\n1\n2\n");
    files.write("b.csv", "id\n3\n");
    assert_eq!(reading.next(1).await, ["3"]);
    assert_eq!(reading.metric("files_changed_total"), 1.0, "said once");
    files.write("c.csv", "id\n4\n");
    assert_eq!(reading.next(1).await, ["4"]);
    assert_eq!(reading.metric("files_changed_total"), 1.0, "said once");
}

#[tokio::test]
async fn a_source_without_an_interval_reads_at_each_start_what_is_new() {
    let files = Files::new();
    files.write("a.csv", "id\n1\n");
    let mut reading = files.source("").await;
    assert_eq!(reading.rows().await, ["1"]);
    assert!(reading.is_finished());
    files.write("b.csv", "id\n2\n");
    files.remove("a.csv");
    let mut again = files.resume("", reading.position).await.unwrap();
    assert_eq!(again.rows().await, ["2"]);
}

#[tokio::test]
async fn a_poll_that_is_given_up_loses_nothing() {
    let files = Files::new();
    let rows: String = (0..2_000).map(|id| format!("{id}\n")).collect();
    for name in ["a.csv", "b.csv"] {
        files.write(name, format!("id\n{rows}"));
    }
    let mut reading = files.source("batch.max.rows=100").await;
    let mut ids: Vec<String> = Vec::new();
    while !reading.is_finished() {
        tokio::select! {
            biased;
            polled = reading.source.poll() => {
                ids.extend(polled.unwrap().records.iter().map(support::shown));
            }
            () = tokio::task::yield_now() => {}
        }
    }
    let expected: Vec<String> = (0..4_000).map(|id| (id % 2_000).to_string()).collect();
    assert!(ids == expected);
}
