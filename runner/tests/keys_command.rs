//! `penstock keys export` against a worker that answers in pieces, or breaks off.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs the export of a stream against a worker that answers so once; its output and the request line.
fn export(stream: &str, format: &str, answer: &[&str]) -> (Output, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let worker = format!("http://{}", listener.local_addr().unwrap());
    let pieces: Vec<String> = answer.iter().map(|piece| (*piece).to_owned()).collect();
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
        let request = lines.next().unwrap().unwrap();
        while !lines.next().unwrap().unwrap().is_empty() {}
        for piece in pieces {
            socket.write_all(piece.as_bytes()).unwrap();
            socket.flush().unwrap();
        }
        request
    });
    let output = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .args(["keys", "export", "--reveal", "--stream", stream])
        .args(["--format", format, "--worker", &worker])
        .output()
        .unwrap();
    (output, serving.join().unwrap())
}

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\ntransfer-encoding: chunked\r\n\r\n";

/// A chunk with its length.
fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn keys_are_printed_as_they_come_however_the_answer_is_cut() {
    let first = chunk("{\"keyLink\":\"a\",\"encryptionKey\":{\"primaryKeyId\":1},\"expi");
    let second = chunk("resAt\":5}\n{\"keyLink\":\"b\",\"encryptionKey\":{},\"expiresAt\":6}\n");
    let answer = [HEAD, &first, &second, "0\r\n\r\n"];
    let (output, request) = export("visits of ann/today", "csv", &answer);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        "keyLink,encryptionKey,expiresAt\na,\"{\"\"primaryKeyId\"\":1}\",5\nb,\"{}\",6\n"
    );
    assert_eq!(
        request,
        "GET /streams/visits%20of%20ann%2Ftoday/keys?reveal=true HTTP/1.1"
    );
    let (output, _) = export("demo", "jsonl", &[HEAD, &chunk("{\"a\":1}\n"), "0\r\n\r\n"]);
    assert_eq!(text(&output.stdout), "{\"a\":1}\n");
    let (output, _) = export("demo", "csv", &[HEAD, "0\r\n\r\n"]);
    assert_eq!(text(&output.stdout), "keyLink,encryptionKey,expiresAt\n");
    assert!(output.status.success());
    // Whoever has mistyped the stream learns of it.
    let said = text(&output.stderr);
    assert!(said.contains("no keys of stream demo"), "{said}");
}

#[test]
fn an_export_that_breaks_off_prints_what_came_and_fails() {
    let key = chunk("{\"keyLink\":\"a\",\"encryptionKey\":{},\"expiresAt\":5}\n");
    for answer in [&[HEAD, &key][..], &[HEAD, &key, "40\r\n{\"keyLink"]] {
        let (output, _) = export("demo", "csv", answer);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            text(&output.stdout),
            "keyLink,encryptionKey,expiresAt\na,\"{}\",5\n"
        );
        let errors = text(&output.stderr);
        assert!(errors.contains("broke off"), "{errors}");
        assert!(errors.contains("are not all"), "{errors}");
    }
}

#[test]
fn a_refusal_is_told_and_nothing_is_printed() {
    let body = r#"{"error_code":403,"message":"on the worker's own machine only"}"#;
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (output, _) = export("demo", "csv", &[&answer]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let errors = text(&output.stderr);
    assert!(
        errors.contains("on the worker's own machine only (HTTP 403)"),
        "{errors}"
    );
}
