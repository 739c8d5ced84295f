//! The stand-in for a public event stream server does what its clients are tested against.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use futures::FutureExt;
use penstock_tests::events::page_change;
use penstock_tests::eventually;
use penstock_tests::sse::SseServer;
use reqwest::Response;

const STREAM: &str = "mediawiki.page_change.v1";

async fn server() -> SseServer {
    SseServer::start(([127, 0, 0, 1], 0).into(), &[STREAM]).await
}

fn request(server: &SseServer) -> reqwest::RequestBuilder {
    request_since(server, "")
}

fn request_since(server: &SseServer, query: &str) -> reqwest::RequestBuilder {
    let address = server.address();
    reqwest::Client::new().get(format!("http://{address}/v2/stream/{STREAM}{query}"))
}

/// Reads from the body until `count` blocks have come, each ended by an empty line.
async fn blocks(response: &mut Response, count: usize) -> Vec<String> {
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        let chunk = response.chunk().await.unwrap().expect("the stream goes on");
        text += std::str::from_utf8(&chunk).unwrap();
    }
    text.split_terminator("\n\n").map(str::to_owned).collect()
}

fn field<'a>(block: &'a str, name: &str) -> &'a str {
    block
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_else(|| panic!("{name} in {block}"))
}

#[tokio::test]
async fn a_client_that_resumes_gets_events_of_the_same_timestamp_again() {
    let server = server().await;
    for data in ["1", "2", "3"] {
        server.publish_at(STREAM, data.parse().unwrap(), data);
    }
    server.publish_at(STREAM, 3, "4");
    let mut first = request_since(&server, "?since=2").send().await.unwrap();
    let received = blocks(&mut first, 3).await;
    assert_eq!(received[0], ":ok");
    assert_eq!(field(&received[1], "data"), "2");
    assert_eq!(field(&received[2], "data"), "3");

    let mut resumed = request(&server)
        .header("Last-Event-ID", field(&received[2], "id"))
        .send()
        .await
        .unwrap();
    let received = blocks(&mut resumed, 3).await;
    assert_eq!(field(&received[1], "data"), "3");
    assert_eq!(field(&received[2], "data"), "4");
    assert_eq!(server.requests()[0].since.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_closed_connection_ends_after_the_events_published_before() {
    let server = server().await;
    let response = request(&server).send().await.unwrap();
    eventually("a connection", async || {
        (server.connections() == 1).then_some(())
    })
    .await;
    server.publish(STREAM, &page_change(1, 1));
    server.send_error("the broker is away");
    server.close_connections();
    let text = response.text().await.unwrap();
    assert!(text.starts_with(":ok\n\nevent: message\nid: [{"), "{text}");
    assert!(
        text.ends_with("event: error\ndata: the broker is away\n\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_silent_connection_stays_open_without_events() {
    let server = server().await;
    let mut silent = request(&server).send().await.unwrap();
    assert_eq!(blocks(&mut silent, 1).await, [":ok"]);
    server.silence_connections();
    server.publish(STREAM, &page_change(1, 1));
    let mut other = request_since(&server, "?since=0").send().await.unwrap();
    blocks(&mut other, 2).await;
    assert!(silent.chunk().now_or_never().is_none());
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn compressed_events_can_be_read_one_by_one() {
    let server = server().await;
    server.use_gzip();
    let client = reqwest::Client::builder().gzip(true).build().unwrap();
    let url = format!("http://{}/v2/stream/{STREAM}", server.address());
    let mut response = client.get(url).send().await.unwrap();
    assert_eq!(blocks(&mut response, 1).await, [":ok"]);
    server.publish_at(STREAM, i64::MAX, "one");
    assert_eq!(field(&blocks(&mut response, 1).await[0], "data"), "one");
    assert!(server.requests()[0].takes_gzip);
}

#[tokio::test]
async fn requests_that_cannot_be_served_are_refused() {
    let server = server().await;
    server.refuse_next(&[429]);
    assert_eq!(request(&server).send().await.unwrap().status(), 429);
    let id = request(&server).header("Last-Event-ID", "17");
    assert_eq!(id.send().await.unwrap().status(), 400);
    let url = format!("http://{}/v2/stream/other", server.address());
    let client = reqwest::Client::new();
    assert_eq!(client.get(url).send().await.unwrap().status(), 400);
}
