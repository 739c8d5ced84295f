//! What becomes of events: records, faults, and those that are dropped on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use penstock_connect::RecordErrorKind;
use serde_json::json;
use support::{Script, Server, event, events, id};

#[tokio::test]
async fn events_that_fit_the_pinned_schema_are_records_of_it() {
    let data = json!({"page": 1, "meta": {"dt": "2024-05-01T00:00:00.5Z"}}).to_string();
    let server = Server::start([Script::send(format!("id: 1\ndata: {data}\n\n"))]).await;
    let mut source = server.source("schema=page/1.0.0").await;
    let record = source.records(1).await.remove(0).record;
    assert_eq!(&*record.topic, "t");
    assert_eq!(record.timestamp, Some(1_714_521_600_500));
    let value = record.value.unwrap();
    assert_eq!(value.bytes(), data.as_bytes());
    assert!(value.schema().unwrap().id().is_some());
}

#[tokio::test]
async fn an_avro_schema_may_be_pinned_too() {
    let server = Server::start([Script::send("data: {\"page\":1}\n\n")]).await;
    let mut source = server.source("schema=page/avro/1.0.0").await;
    let record = source.records(1).await.remove(0).record;
    assert_eq!(record.value.unwrap().bytes(), &b"\x02"[..]);
}

#[tokio::test]
async fn what_is_unfit_is_a_fault_as_it_came_and_the_rest_flows_on() {
    let long = "x".repeat(2000);
    let mut text = Vec::new();
    for data in [
        &b"{\"page\":\"secret\"}"[..],
        b"{\"truncated\":",
        b"{\"page\":\"\xff\"}",
        b"{\"page\":1}{",
        long.as_bytes(),
        b"{\"page\":1}",
    ] {
        text.extend_from_slice(b"id: 1\ndata: ");
        text.extend_from_slice(data);
        text.extend_from_slice(b"\n\n");
    }
    let server = Server::start([Script::send(text)]).await;
    let mut source = server.source("schema=page/1.0.0\nsse.max.event=1kb").await;
    let records = source.records(6).await;
    let mut said = String::new();
    for record in &records {
        let value = record
            .record
            .value
            .as_ref()
            .map(|value| value.bytes().as_ref());
        let value = value.map(String::from_utf8_lossy);
        let fault = record.fault.as_ref().map(ToString::to_string);
        assert!(!fault.as_ref().is_some_and(|fault| fault.contains("secret")));
        said += &format!(
            "{} <- {}\n",
            fault.as_deref().unwrap_or("good"),
            value.as_deref().unwrap_or("nothing")
        );
    }
    insta::assert_snapshot!(said);
    assert_eq!(
        records[4].fault.as_ref().unwrap().kind,
        RecordErrorKind::TooLarge
    );
}

#[tokio::test]
async fn canaries_are_dropped_and_counted_and_move_the_position() {
    let canary = json!({"page": 1, "meta": {"domain": "canary", "id": "c"}});
    let text = format!("id: {}\ndata: {canary}\n\n", id(9));
    let server = Server::start([Script::send(text)]).await;
    let mut source = server.source("").await;
    assert!(source.poll().await.unwrap().is_empty());
    assert_eq!(source.position["last_event_id"], id(9));
    assert_eq!(source.dropped("canary"), 1.0);
    let mut source = server.source("canary.drop=false").await;
    assert_eq!(source.pages(1).await, [1]);
}

#[tokio::test]
async fn compressed_streams_are_read_as_they_come() {
    let server = Server::start([Script::send(events(1..4)).gzip()]).await;
    assert_eq!(server.source("").await.pages(3).await, [1, 2, 3]);
    let accepts = server.asked()[0]
        .header("accept-encoding")
        .unwrap()
        .to_owned();
    assert!(accepts.contains("gzip"), "{accepts}");
}

#[tokio::test]
async fn an_event_is_taken_once_however_often_it_comes() {
    let text = [
        event(1, 1),
        event(2, 2),
        event(2, 1),
        event(3, 2),
        event(3, 3),
    ]
    .concat();
    let server = Server::start([Script::send(text)]).await;
    let mut source = server.source("").await;
    assert_eq!(source.pages(3).await, [1, 2, 3]);
    assert_eq!(source.dropped("sent again"), 2.0);
}

#[tokio::test]
async fn a_position_stays_small_on_a_busy_stream() {
    let server = Server::start([Script::send(events(0..20_000))]).await;
    let mut source = server.source("").await;
    source.pages(20_000).await;
    let size = source.position.to_string().len();
    assert!(size < 4000, "{size} bytes");
}
