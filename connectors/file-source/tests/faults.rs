//! Rows and files that are at fault, and what is said of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use penstock_connect::{RecordErrorKind, Retry, Source};
use support::{Files, gzip, shown};

#[tokio::test]
async fn a_row_at_fault_has_file_line_and_column_and_keeps_its_bytes() {
    let files = Files::new();
    let mut bytes = b"id,note\n1,\n\nsecret,x\n\"sec\nret\",x,x\n2,se".to_vec();
    bytes.extend_from_slice(b"\xFFcret\n3,ok\n");
    files.write("a.csv", bytes);
    files.write(
        "b.jsonl",
        "{\"id\":\"secret\"}\n{\"id\":4}\n{\"id\":secret}\n",
    );
    let mut reading = files.source("row.max.bytes=30").await;
    let rows = reading.rest().await;
    let said: Vec<String> = rows.iter().map(|row| files.shorten(&shown(row))).collect();
    assert_eq!(
        said,
        [
            "1",
            "! a.csv:4: column 'id' is not a whole number",
            "! a.csv:5: the row has 3 values, and there are 2 columns",
            "! a.csv:7: column 'note' is not UTF-8",
            "3 ok",
            "! b.jsonl:1: the row does not fit a/row/1.0.0: field 'id': expected int, got a string",
            "4",
            "! b.jsonl:3: malformed JSON at byte 6: a value expected",
        ]
    );
    let raw = |index: usize| rows[index].record.value.as_ref().unwrap().bytes().to_vec();
    assert_eq!(raw(1), b"secret,x");
    assert_eq!(raw(2), b"\"sec\nret\",x,x");
    assert_eq!(raw(3), b"2,se\xFFcret");
    assert_eq!(raw(7), b"{\"id\":secret}");
    assert_eq!(
        rows[2].fault.as_ref().unwrap().kind,
        RecordErrorKind::Malformed
    );
    assert_eq!(
        rows[1].fault.as_ref().unwrap().kind,
        RecordErrorKind::Schema
    );
    assert_eq!(reading.metric("rows_rejected_total"), 5.0);
}

#[tokio::test]
async fn messages_of_others_can_name_the_place_of_a_record() {
    let files = Files::new();
    files.write("a.csv", "id\n1\n\n2\n");
    files.write("b.jsonl", "{\"id\":3}\n");
    let mut reading = files.source("").await;
    assert_eq!(reading.next(3).await.len(), 3);
    let place = |index| Some(files.shorten(&reading.source.place(index)?));
    assert_eq!(place(0).unwrap(), "a.csv:2");
    assert_eq!(place(1).unwrap(), "a.csv:4");
    assert_eq!(place(2).unwrap(), "b.jsonl:1");
    assert_eq!(place(3), None);
}

#[tokio::test]
async fn a_row_that_is_too_large_or_not_closed_is_told_without_its_data() {
    let files = Files::new();
    files.write("a.csv", "id,note\n1,0123456789\n2,x\n3,\"open\n4,xx\n");
    let mut reading = files.source("row.max.bytes=9").await;
    let rows = reading.rest().await;
    let said: Vec<String> = rows.iter().map(|row| files.shorten(&shown(row))).collect();
    assert_eq!(
        said,
        [
            "! a.csv:2: the row is larger than 9 bytes (row.max.bytes), perhaps since a quote is not closed; its data was not kept",
            "2 x",
            "! a.csv:4: the row is larger than 9 bytes (row.max.bytes), perhaps since a quote is not closed; its data was not kept",
        ]
    );
    assert!(rows[0].record.value.is_none());
    assert_eq!(
        rows[0].fault.as_ref().unwrap().kind,
        RecordErrorKind::TooLarge
    );
    let said = files.source("").await.rows().await;
    assert_eq!(
        files.shorten(said.last().unwrap()),
        "! a.csv:4: the row has an opening quote and no closing one before the end of the file"
    );
}

#[tokio::test]
async fn a_header_that_does_not_fit_stops_the_source_behind_the_rows_before() {
    let files = Files::new();
    files.write("a.csv", "id\n1\n");
    files.write("b.csv", "\nid,ntoe\n2,x\n");
    let mut reading = files.source("").await;
    assert_eq!(reading.next(1).await, ["1"]);
    let error = reading.error().await;
    assert_eq!(error.retry, Retry::Never);
    assert_eq!(
        files.shorten(&error.message),
        "b.csv:2: the schema a/row/1.0.0 has no field for column 'ntoe' (did you mean 'note'?); give each its field \
         with columns.<field>=<column>, or leave it out with columns.ignore"
    );
    // With another configuration it goes on there.
    let mut mended = files
        .resume("columns.note=ntoe", reading.position)
        .await
        .unwrap();
    assert_eq!(mended.rows().await, ["2 x"]);
}

#[tokio::test]
async fn text_of_another_encoding_and_damaged_files_are_rejected_and_the_next_is_read() {
    let files = Files::new();
    files.write("a.csv", b"\xFF\xFEi\0d\0");
    files.write("b.csv.gz", &gzip("id\n1\n2\n")[..24]);
    files.write("c.jsonl.zst", "not compressed");
    files.write("d.csv", "id\n3\n");
    let mut reading = files.source("").await;
    let rows = reading.rest().await;
    let said: Vec<String> = rows.iter().map(|row| files.shorten(&shown(row))).collect();
    assert_eq!(
        said,
        [
            "! a.csv:1: the file is UTF-16, and only UTF-8 is read",
            "1",
            "2",
            "! b.csv.gz:4: the compressed file is damaged, and is read no further: unexpected end of file",
            "! c.jsonl.zst:1: the compressed file is damaged, and is read no further: Unknown frame descriptor",
            "3",
        ]
    );
    assert_eq!(reading.metric("files_total"), 4.0);
}

#[tokio::test]
async fn a_file_that_changes_or_goes_while_it_is_read_stops_the_source() {
    let files = Files::new();
    files.write("a.csv", "id\n1\n2\n3\n");
    let mut reading = files.source("batch.max.rows=2").await;
    assert_eq!(reading.next(2).await, ["1", "2"]);
    let left = reading.position;
    files.write("a.csv", "id\n1\n2\n3\n4\n");
    let mut again = files.resume("", left.clone()).await.unwrap();
    let error = again.error().await;
    assert_eq!(error.retry, Retry::Never);
    assert_eq!(
        files.shorten(&error.message),
        "a.csv changed after 2 of its rows were read, and nobody can tell which of the others are new: put back what \
         was there, or delete the stored position to begin anew (files have to be complete when they appear: write \
         them elsewhere and rename them)"
    );
    files.remove("a.csv");
    let mut again = files.resume("", left).await.unwrap();
    let error = again.error().await;
    assert_eq!(error.retry, Retry::Never);
    assert_eq!(
        files.shorten(&error.message),
        "a.csv is gone, and only 2 of its rows were read: put it back, or delete the stored position to begin anew"
    );
}

#[tokio::test]
async fn a_change_in_the_middle_of_a_large_file_is_noticed_at_the_next_block() {
    let files = Files::new();
    let rows: String = (0..800_000).map(|id| format!("{id:011}\n")).collect();
    files.write("a.csv", format!("id\n{rows}"));
    let mut reading = files.source("batch.max.rows=10").await;
    reading.next(10).await;
    files.write("a.csv", format!("id\n{rows}1\n"));
    let error = reading.error().await;
    assert!(
        files
            .shorten(&error.message)
            .starts_with("a.csv changed after "),
        "{error}"
    );
}

#[tokio::test]
async fn a_position_of_another_place_or_kind_is_not_used() {
    let files = Files::new();
    files.write("a.csv", "id\n1\n2\n");
    let mut reading = files.source("batch.max.rows=1").await;
    reading.next(1).await;
    let others = Files::new();
    let error = others
        .resume("", reading.position)
        .await
        .unwrap()
        .error()
        .await;
    assert!(
        error.message.contains("was being read, and is not in"),
        "{error}"
    );
    let sse = serde_json::json!({"last_event_id": "1"});
    let error = others.resume("", Some(sse)).await.err().unwrap();
    assert!(
        error
            .message
            .starts_with("the stored position cannot be used"),
        "{error}"
    );
}
