//! What the server's answer means: go on, come again, or give up; and what it is sent.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpListener;

use penstock_connect::Retry;
use support::{Script, Server, open};

#[tokio::test]
async fn a_refusal_is_final_or_passing_as_its_status_says() {
    let mut said = String::new();
    for script in [
        Script::status(204, ""),
        Script::status(400, "Last-Event-ID is\n not valid\u{7}"),
        Script::status(401, ""),
        Script::status(404, "unknown stream"),
        Script::status(408, ""),
        Script::status(429, "too many connections"),
        Script::status(500, &"long ".repeat(100)),
        Script::status(503, ""),
        Script::send("<html>").typed("text/html").then_close(),
    ] {
        let server = Server::start([script]).await;
        let error = server.source("").await.poll().await.unwrap_err();
        let message = error.message.replace(&server.uri(), "URI");
        said += &format!("{:?}: {message}\n", error.retry);
    }
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again_by_the_worker() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut source = open(&format!("sse.uri=http://{address}/s\ntopic=t"), None)
        .await
        .unwrap();
    let error = source.poll().await.unwrap_err();
    assert_eq!(error.retry, Retry::Reconnect);
    assert_eq!(error.message, format!("http://{address}/s: cannot connect"));
}

#[tokio::test]
async fn token_and_headers_are_sent_and_not_told() {
    let server = Server::start([Script::status(403, "no")]).await;
    let lines = "sse.auth.token=s3cret\nsse.headers=User-Agent: me (me@example.org) | X-Key: k3y";
    let error = server.source(lines).await.poll().await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("s3cret") && !told.contains("k3y"), "{told}");
    let asked = &server.asked()[0];
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(asked.header("x-key"), Some("k3y"));
    assert_eq!(asked.header("user-agent"), Some("me (me@example.org)"));
    assert_eq!(asked.header("accept"), Some("text/event-stream"));
}

#[tokio::test]
async fn headers_that_are_none_are_told_by_their_place() {
    let server = Server::start([Script::send("")]).await;
    let error = server
        .resume("sse.headers=A: b|s3cret", None)
        .await
        .err()
        .unwrap();
    assert_eq!(error.retry, Retry::Never);
    insta::assert_snapshot!(error.message, @"sse.headers: field 2 is not `Name: value`");
}

#[tokio::test]
async fn a_schema_that_is_not_there_is_named() {
    let server = Server::start([Script::send("")]).await;
    let error = server
        .resume("schema=no/such/1.0.0", None)
        .await
        .err()
        .unwrap();
    assert_eq!(error.retry, Retry::Never);
    insta::assert_snapshot!(error.message, @"schema: no/such/1.0.0 cannot be had");
}
