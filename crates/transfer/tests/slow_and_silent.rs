//! A server that reads and writes as slowly as it is told, or falls silent.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStoreExt, PutPayload, RetryConfig};
use penstock_transfer::{Connector, SendError, client, send};
use reqwest::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

const SILENCE: Duration = Duration::from_millis(500);

/// Longer than what the kernel takes off the client's hands at once, many times over.
const LARGE: usize = 24 << 20;

/// What the server does with each connection.
#[derive(Clone, Copy)]
enum Manner {
    /// Reads the body a little at a time, for three times the silence, and answers.
    Reads,
    /// Reads the head and nothing more.
    StopsReading,
    /// Reads all and never answers.
    NeverAnswers,
    /// Answers a little at a time, for three times the silence.
    Writes,
    /// Begins the answer's body and falls silent.
    StopsWriting,
}

async fn serve(manner: Manner) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    // So that the client feels how slowly it is read from.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(16).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, manner));
        }
    });
    url
}

async fn answer(mut stream: TcpStream, manner: Manner) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let mut left: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    if matches!(manner, Manner::StopsReading) {
        return std::future::pending().await;
    }
    let mut buffer = vec![0; 256 << 10];
    let mut paid = left;
    while left > 0 {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
        if matches!(manner, Manner::Reads) && paid - left >= LARGE / 30 {
            paid = left;
            sleep(SILENCE / 10).await;
        }
    }
    if matches!(manner, Manner::NeverAnswers) {
        return std::future::pending().await;
    }
    let body = vec![b'x'; 300];
    let head = format!(
        "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in body.chunks(10) {
        stream.write_all(piece).await.unwrap();
        match manner {
            Manner::Writes => sleep(SILENCE / 10).await,
            Manner::StopsWriting => return std::future::pending().await,
            _ => {}
        }
    }
}

async fn ask(manner: Manner, body: usize) -> Result<Bytes, String> {
    let url = format!("{}/o", serve(manner).await);
    let mut request = Request::new(Method::PUT, url.parse().unwrap());
    *request.body_mut() = Some(vec![1; body].into());
    let client = client(Duration::from_secs(5)).build().unwrap();
    let response = match send(&client, request, SILENCE).await {
        Ok(response) => response,
        Err(SendError::Stalled(time)) => return Err(format!("stalled for {time:?}")),
        Err(error) => return Err(error.to_string()),
    };
    response.bytes().await.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    })
}

#[tokio::test]
async fn what_is_slow_gets_there_however_long_it_takes() {
    for (manner, body) in [(Manner::Reads, LARGE), (Manner::Writes, 1)] {
        let begun = std::time::Instant::now();
        assert_eq!(ask(manner, body).await.unwrap().len(), 300);
        assert!(begun.elapsed() > 2 * SILENCE, "it was not slow");
    }
}

#[tokio::test]
async fn what_stands_still_is_given_up() {
    for (manner, body, message) in [
        (Manner::StopsReading, LARGE, "stalled for 500ms"),
        (Manner::NeverAnswers, 1000, "stalled for 500ms"),
        (Manner::NeverAnswers, 0, "stalled for 500ms"),
        (Manner::StopsWriting, 1, "nothing moved for 500ms"),
    ] {
        assert_eq!(ask(manner, body).await.unwrap_err(), message);
    }
}

/// A client of `object_store` that tries once more after a failure.
fn store(url: &str) -> object_store::aws::AmazonS3 {
    let connect = Duration::from_secs(5);
    AmazonS3Builder::new()
        .with_bucket_name("lake")
        .with_endpoint(url)
        .with_access_key_id("id")
        .with_secret_access_key("secret")
        .with_client_options(
            ClientOptions::new()
                .with_connect_timeout(connect)
                .with_allow_http(true),
        )
        .with_http_connector(Connector::new(SILENCE, connect))
        .with_retry(RetryConfig {
            max_retries: 1,
            ..RetryConfig::default()
        })
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_store_is_waited_for_while_it_moves_and_is_then_asked_once_more() {
    let payload: PutPayload = (0..LARGE / 1000)
        .map(|_| Bytes::from(vec![1; 1000]))
        .collect();
    let slow = store(&serve(Manner::Reads).await);
    slow.put(&Path::from("o"), payload).await.unwrap();
    let silent = store(&serve(Manner::NeverAnswers).await);
    let error = silent.put(&Path::from("o"), "x".into()).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("1 retries") && error.contains("nothing moved for 500ms"),
        "{error}"
    );
}
