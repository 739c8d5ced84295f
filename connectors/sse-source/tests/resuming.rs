//! No event is lost and none comes twice, however connections and workers end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use futures::FutureExt;
use penstock_connect::{Retry, Source};
use serde_json::json;
use support::{Script, Server, event, events, id};

#[tokio::test]
async fn a_closed_connection_is_resumed_at_the_last_id() {
    let first = format!(":ok\n\n{}", events(1..4));
    // The server seeks by time: what has the last timestamp comes again.
    let second = format!(":ok\n\n{}{}{}", event(3, 3), event(3, 4), event(5, 5));
    let server = Server::start([Script::send(first).then_close(), Script::send(second)]).await;
    let mut source = server.source("since=2024-05-01").await;
    assert_eq!(source.pages(5).await, [1, 2, 3, 4, 5]);
    assert_eq!(server.last_event_ids(), [None, Some(id(3))]);
    let asked = server.asked();
    assert_eq!(asked[0].uri, "/v2/stream/page_change?since=2024-05-01");
    assert_eq!(asked[1].uri, "/v2/stream/page_change");
    assert_eq!(source.reconnects("closed"), 1.0);
    assert_eq!(source.dropped("sent again"), 1.0);
    assert_eq!(source.position["last_event_id"], id(5));
}

#[tokio::test]
async fn a_restarted_source_goes_on_from_its_stored_position() {
    let burst: String = (0..1000).map(|page| event(7, page)).collect();
    let server = Server::start([Script::send(burst.clone())]).await;
    let mut source = server.source("since=0").await;
    source.pages(1000).await;
    let stored = source.position.clone();
    drop(source);

    let server = Server::start([Script::send(format!("{burst}{}", events(1000..1003)))]).await;
    let mut source = server.resume("since=0", Some(stored)).await.unwrap();
    assert_eq!(source.pages(3).await, [1000, 1001, 1002]);
    assert_eq!(server.last_event_ids(), [Some(id(7))]);
    assert_eq!(server.asked()[0].uri, "/v2/stream/page_change");
    assert_eq!(source.dropped("sent again"), 1000.0);
}

#[tokio::test]
async fn several_streams_over_one_connection_are_resumed_each_where_it_was() {
    let id = |a: Option<u64>, b: Option<u64>| {
        let entry = |stream: &str, timestamp: Option<u64>| match timestamp {
            Some(timestamp) => json!({"topic": stream, "partition": 0, "timestamp": timestamp}),
            None => json!({"topic": stream, "partition": 0, "offset": -1}),
        };
        json!([entry("eqiad.a", a), entry("eqiad.b", b)]).to_string()
    };
    let event = |id: &str, page: u64, stream: &str| {
        let meta = json!({"id": format!("id-{page}"), "topic": stream});
        let data = json!({"page": page, "meta": meta});
        format!("event: message\nid: {id}\ndata: {data}\n\n")
    };
    let first = [
        event(&id(Some(5), None), 1, "eqiad.a"),
        event(&id(Some(5), Some(3)), 2, "eqiad.b"),
        event(&id(Some(5), Some(4)), 3, "eqiad.b"),
        event(&id(Some(5), Some(4)), 4, "eqiad.a"),
    ];
    // Each stream is sought by its own timestamp, and they mix in another way than before.
    let second = [
        event(&id(Some(5), Some(4)), 3, "eqiad.b"),
        event(&id(Some(5), Some(4)), 5, "eqiad.b"),
        event(&id(Some(5), Some(4)), 1, "eqiad.a"),
        event(&id(Some(5), Some(4)), 4, "eqiad.a"),
        event(&id(Some(6), Some(4)), 6, "eqiad.a"),
    ];
    let server = Server::start([
        Script::send(first.concat()).then_close(),
        Script::send(second.concat()),
    ])
    .await;
    let mut source = server.streams("a,b", None).await;
    assert_eq!(source.pages(6).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(server.asked()[0].uri, "/v2/stream/a,b");
    assert_eq!(server.last_event_ids(), [None, Some(id(Some(5), Some(4)))]);
    assert_eq!(source.dropped("sent again"), 3.0);
    let stored = source.position.clone();
    drop(source);

    // A worker that starts anew knows what it had of each.
    let third = [
        event(&id(Some(6), Some(4)), 3, "eqiad.b"),
        event(&id(Some(6), Some(4)), 6, "eqiad.a"),
        event(&id(Some(6), Some(4)), 5, "eqiad.b"),
        event(&id(Some(6), Some(7)), 7, "eqiad.b"),
    ];
    let server = Server::start([Script::send(third.concat())]).await;
    let mut source = server.streams("a,b", Some(stored)).await;
    assert_eq!(source.pages(1).await, [7]);
    assert_eq!(server.last_event_ids(), [Some(id(Some(6), Some(4)))]);
}

#[tokio::test]
async fn equal_events_are_not_taken_for_one_that_was_sent_again() {
    // Without ids; beyond the limit; and with the id that they share, after a resume.
    let same = "data: {\"page\": 1}\n\n";
    let shared = format!("id: 7\n{same}");
    let large = format!("data: {}\n\n", "x".repeat(100));
    let server = Server::start([
        Script::send(format!("{same}{same}{large}{large}{shared}{shared}")).then_close(),
        Script::send(format!("{shared}{shared}{shared}{same}")),
    ])
    .await;
    let mut source = server.source("sse.max.event=60").await;
    let records = source.records(8).await;
    let large = records
        .iter()
        .filter(|record| record.fault.is_some())
        .count();
    assert_eq!(large, 2);
    assert_eq!(source.dropped("sent again"), 2.0);
}

#[tokio::test]
async fn every_batch_carries_the_position_after_its_last_event() {
    let server = Server::start([Script::send(events(1..6))]).await;
    let mut source = server
        .source("batch.max.events=2\nbatch.interval.ms=0")
        .await;
    let mut seen = 0;
    while seen < 5 {
        let records = source.poll().await.unwrap();
        assert!((1..=2).contains(&records.len()));
        seen += records.len() as u64;
        assert_eq!(source.position["last_event_id"], id(seen));
    }
}

#[tokio::test]
async fn an_event_that_broke_off_comes_again_as_a_whole() {
    let (start, end) = (events(1..3), events(2..4));
    let cut = &start[..start.len() - 10];
    let server = Server::start([Script::send(cut).then_break(), Script::send(end)]).await;
    let mut source = server.source("").await;
    assert_eq!(source.pages(3).await, [1, 2, 3]);
    assert_eq!(server.last_event_ids(), [None, Some(id(1))]);
    assert_eq!(source.reconnects("broken"), 1.0);
}

#[tokio::test]
async fn a_silent_connection_is_noticed() {
    let server = Server::start([Script::send(events(1..2)), Script::send(events(2..3))]).await;
    let mut source = server.source("sse.idle.timeout.ms=50").await;
    assert_eq!(source.pages(2).await, [1, 2]);
    assert!(source.reconnects("silent") >= 1.0);
}

#[tokio::test]
async fn an_error_event_is_no_record_and_ends_the_connection() {
    let text = format!(
        "{}event: error\ndata: secret\n\n{}",
        events(1..2),
        events(9..10)
    );
    let server = Server::start([Script::send(text), Script::send(events(2..3))]).await;
    let mut source = server.source("").await;
    assert_eq!(source.pages(2).await, [1, 2]);
    assert_eq!(server.last_event_ids(), [None, Some(id(1))]);
    assert_eq!(source.reconnects("server error"), 1.0);
}

#[tokio::test]
async fn the_server_says_how_long_to_wait() {
    // Without regard to it, the test would take an hour.
    let text = format!("retry: 1\n\n{}", events(1..2));
    let server = Server::start([Script::send(text).then_close(), Script::send(events(2..3))]).await;
    let hour = "sse.reconnect.backoff.ms=3600000\nsse.reconnect.backoff.max.ms=3600000";
    assert_eq!(server.source(hour).await.pages(2).await, [1, 2]);
}

#[tokio::test]
async fn what_came_is_handed_over_before_the_server_refuses() {
    let server = Server::start([
        Script::send(events(1..3)).then_close(),
        Script::status(503, "busy"),
    ])
    .await;
    // Nothing but the failure ends the wait for the second batch.
    let mut source = server
        .source("batch.interval.ms=3600000\nbatch.max.events=1")
        .await;
    assert_eq!(source.pages(1).await, [1]);
    assert_eq!(source.pages(1).await, [2]);
    let error = source.poll().await.unwrap_err();
    assert_eq!(error.retry, Retry::Reconnect);
}

#[tokio::test]
async fn a_server_that_only_hangs_up_is_told_of() {
    let server = Server::start([Script::send(":ok\n\n").then_close()]).await;
    let mut source = server.source("").await;
    let error = source.poll().await.unwrap_err();
    assert_eq!(error.retry, Retry::Reconnect);
    insta::assert_snapshot!(error.message, @"the server ends each connection before an event comes");
}

#[tokio::test]
async fn a_poll_that_is_given_up_loses_nothing() {
    let server = Server::start([
        Script::send(events(1..50)).gzip().then_close(),
        Script::send(events(50..100)).gzip(),
    ])
    .await;
    let mut source = server.source("batch.interval.ms=0").await;
    let mut pages = 0;
    while pages < 99 {
        match source.source.poll().now_or_never() {
            Some(batch) => pages += batch.unwrap().records.len(),
            None => tokio::task::yield_now().await,
        }
    }
    assert_eq!(pages, 99);
    assert_eq!(server.last_event_ids().len(), 2);
}

#[tokio::test]
async fn a_position_that_cannot_be_used_is_said_to_be_so() {
    let server = Server::start([Script::send("")]).await;
    let position = Some(json!({"last_event_id": "1", "recent": "?"}));
    let error = server.resume("", position).await.err().unwrap();
    assert_eq!(error.retry, Retry::Never);
    insta::assert_snapshot!(error.message, @r#"the stored position cannot be used (recent is not base64 of ids); delete it to begin anew, or set {"last_event_id": "…"}"#);
}

#[tokio::test]
async fn a_server_without_ids_is_read_from_now_on() {
    let text = "data: {\"page\": 1}\n\ndata: {\"page\": 2}\n\n";
    let server = Server::start([
        Script::send(text).then_close(),
        Script::send("data: {\"page\": 3}\n\n"),
    ])
    .await;
    let mut source = server.source("").await;
    assert_eq!(source.pages(3).await, [1, 2, 3]);
    assert_eq!(server.last_event_ids(), [None, None]);
    source.source.close().await;
}
