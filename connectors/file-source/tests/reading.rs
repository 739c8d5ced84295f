//! What is read of which files, in which order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use penstock_formats::Encoding;
use support::{Files, gzip, shown, zstd};

#[tokio::test]
async fn files_are_read_in_the_order_of_their_names_whatever_they_hold() {
    let files = Files::new();
    files.write("b.jsonl", "{\"id\":3}\n\n{\"id\":4,\"note\":\"x\"}");
    files.write("a.csv", "id,note\n1,one\n2,\n");
    files.write("c/d.tsv", "note\tid\nfive\t5\n");
    files.write("e.csv.gz", [gzip("id\n6\n"), gzip("7\n")].concat());
    files.write(
        "f.ndjson.zst",
        [zstd("{\"id\":8}\n"), zstd("{\"id\":9}\n")].concat(),
    );
    files.write("g.csv", "\u{feff}id,note\r\n10,\"a \"\"b\"\"\r\nc\"\r\n");
    files.write("h.csv", "");
    files.write("i.csv", "id\n");
    files.write("j.jsonl.gz", "");
    files.write("_SUCCESS", "no rows");
    files.write(".hidden.csv", "no,rows\n");
    let mut reading = files.source("").await;
    let rows = reading.rows().await;
    assert_eq!(
        rows,
        [
            "1 one",
            "2",
            "3",
            "4 x",
            "5 five",
            "6",
            "7",
            "8",
            "9",
            "10 a \"b\"\r\nc"
        ]
    );
    assert_eq!(reading.metric("files_total"), 9.0);
    assert_eq!(reading.metric("rows_total"), 10.0);
    assert_eq!(reading.metric("rows_rejected_total"), 0.0);
    assert_eq!(reading.metric("waiting_files"), 0.0);
    assert_eq!(reading.metric("waiting_bytes"), 0.0);
    assert!(reading.metric("bytes_total") > 100.0);
}

#[tokio::test]
async fn a_pattern_or_a_single_file_is_read_alone() {
    let files = Files::new();
    files.write("a.csv", "id\n1\n");
    files.write("b.csv", "id\n2\n");
    files.write("c/b.csv", "id\n3\n");
    for (place, rows) in [
        ("*.csv", vec!["1", "2"]),
        ("b.csv", vec!["2"]),
        ("**/b.csv", vec!["2", "3"]),
        ("c", vec!["3"]),
        ("x*.csv", vec![]),
    ] {
        let text = format!(
            "file={}/{place}\ntopic=t\nschema=a/row/1.0.0\n",
            files.place()
        );
        assert_eq!(
            files.open(&text, None).await.unwrap().rows().await,
            rows,
            "{place}"
        );
    }
}

#[tokio::test]
async fn files_without_a_header_line_have_the_columns_that_the_configuration_names() {
    let files = Files::new();
    files.write("a.csv", "1;one\n2;NA\n");
    let lines = "csv.columns=id,note\ncsv.delimiter=;\ncsv.null=NA\n";
    assert_eq!(files.source(lines).await.rows().await, ["1 one", "2"]);
}

#[tokio::test]
async fn the_format_may_be_told_where_endings_do_not_tell_it() {
    let files = Files::new();
    files.write("a.txt", "id\n1\n");
    assert_eq!(files.source("format=csv").await.rows().await, ["1"]);
    let error = files.source("").await.error().await;
    assert_eq!(
        files.shorten(&error.message),
        "a.txt: its ending does not say what it holds (.csv, .tsv, .jsonl, .ndjson, .json, and .gz or .zst after \
         that): set format, or give a pattern that leaves it out"
    );
}

#[tokio::test]
async fn files_larger_than_any_block_are_read_in_pieces() {
    let files = Files::new();
    let note = "x".repeat(999);
    let text: String = (0..6_000).map(|id| format!("{id},{note}\n")).collect();
    files.write("a.csv", format!("id,note\n{text}"));
    files.write("b.csv.gz", gzip(format!("id,note\n{text}")));
    let mut reading = files.source("batch.max.bytes=1mb").await;
    let mut ids = Vec::new();
    while !reading.is_finished() {
        let batch = reading.poll().await.unwrap();
        let bytes: usize = batch.iter().map(|row| row.record.size()).sum();
        assert!(bytes < 2 << 20, "{bytes}");
        ids.extend(
            batch
                .iter()
                .map(|row| shown(row).split(' ').next().unwrap().to_owned()),
        );
    }
    let expected: Vec<String> = (0..12_000).map(|id| (id % 6_000).to_string()).collect();
    assert!(ids == expected);
}

#[tokio::test]
async fn records_have_the_time_of_their_row_only_if_asked_for() {
    let files = Files::new();
    files.write("a.csv", "id,at\n1,2024-05-01T12:00:00Z\n");
    for (lines, timestamp) in [
        ("", None),
        ("timestamp.record=true", Some(1_714_564_800_000)),
    ] {
        // No place in the event for it: the schema has no meta fields.
        let lines = match timestamp {
            None => "columns.ignore=at".to_owned(),
            Some(_) => format!("timestamp.column=at\n{lines}"),
        };
        let rows = files.source(&lines).await.rest().await;
        assert_eq!(rows[0].record.timestamp, timestamp, "{lines}");
    }
    let error = files
        .resume("timestamp.column=at", None)
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.message,
        "timestamp.column: the schema a/row/1.0.0 has no field strmMeta.timestamp (meta.timestamp) for it"
    );
}

#[tokio::test]
async fn without_a_schema_events_are_json() {
    let files = Files::new();
    files.write("a.csv", "id,a.b\n1,\n");
    let mut reading = files
        .open(&format!("file={}\ntopic=t\n", files.place()), None)
        .await
        .unwrap();
    let rows = reading.rest().await;
    let value = rows[0].record.value.as_ref().unwrap();
    assert!(matches!(value.encoding(), Encoding::Json));
    assert_eq!(&value.bytes()[..], br#"{"id":"1","a.b":null}"#);
}

#[tokio::test]
async fn a_place_that_is_not_there_is_refused_at_once_or_waited_for() {
    let files = Files::new();
    let text = format!("file={}/in\ntopic=t\n", files.place());
    let error = files.open(&text, None).await.err().unwrap();
    assert_eq!(files.shorten(&error.message), "in: cannot read in");
    assert_eq!(error.retry, penstock_connect::Retry::Never);
    let text = format!("{text}poll.interval.ms=5\n");
    let error = files.open(&text, None).await.err().unwrap();
    assert_eq!(error.retry, penstock_connect::Retry::Reconnect);
}
