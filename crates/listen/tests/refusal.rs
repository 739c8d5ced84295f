//! Senders over plain sockets, which write all they have before they read the answer.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::post;

async fn listen() -> SocketAddr {
    let router = Router::new()
        .route("/refused", post(|| async { StatusCode::PAYLOAD_TOO_LARGE }))
        .layer(from_fn(penstock_listen::hear_out));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    address
}

/// Sends a head that announces `length` bytes and then `body`; returns the status line. Fails when none
/// comes for half a minute.
fn send(address: SocketAddr, length: usize, more: &str, body: &[u8]) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        socket,
        "POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{more}connection: close\r\n\r\n"
    )?;
    socket.write_all(body)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_writes_first_reads_the_refusal() {
    let address = listen().await;
    let body = vec![b'x'; 16 << 20];
    let status = tokio::task::spawn_blocking(move || send(address, body.len(), "", &body))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status, "HTTP/1.1 413 Payload Too Large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_stops_or_waits_to_be_asked_is_answered_all_the_same() {
    let address = listen().await;
    for (more, body) in [
        ("", "x".repeat(5000)),
        ("expect: 100-continue\r\n", String::new()),
    ] {
        let status =
            tokio::task::spawn_blocking(move || send(address, 1 << 20, more, body.as_bytes()))
                .await
                .unwrap()
                .unwrap();
        assert_eq!(status, "HTTP/1.1 413 Payload Too Large", "{more:?}");
    }
}
