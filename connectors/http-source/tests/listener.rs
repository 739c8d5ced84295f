//! The listener: protocols, TLS, readiness, addresses that are taken, and the end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use futures::FutureExt;
use penstock_connect::{Outcome, Record, Retry, Source, TaskContext};
use penstock_http_source::HttpSource;
use reqwest::{Certificate, Client, Version};
use support::{Gateway, answer, config, context, registry};

fn delivered(_: &Record) -> Outcome {
    Outcome::Delivered
}

#[tokio::test]
async fn http_1_and_2_are_spoken_in_the_clear() {
    let gateway = Gateway::start("", delivered).await;
    let response = gateway.avro().send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (204, Version::HTTP_11)
    );
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let gateway = gateway.speaking("http", client);
    let response = gateway.avro().send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (204, Version::HTTP_2)
    );
}

#[tokio::test]
async fn http_1_and_2_are_spoken_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let lines = format!(
        "http.tls.certificate={}\nhttp.tls.key={}",
        certificate.display(),
        key.display()
    );
    let mut gateway = Gateway::start(&lines, delivered).await;
    let root = Certificate::from_pem(issued.cert.pem().as_bytes()).unwrap();
    let client = || Client::builder().tls_certs_only([root.clone()]);
    for (client, version) in [
        (client(), Version::HTTP_2),
        (client().http1_only(), Version::HTTP_11),
    ] {
        gateway = gateway.speaking("https", client.build().unwrap());
        let response = gateway.avro().send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (204, version)
        );
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let lines = "http.tls.certificate=no/such.pem\nhttp.tls.key=no/such.key";
    let mut source = HttpSource::new(config(lines), &context(), registry().await).unwrap();
    let error = source.open(None).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(
        error.message.starts_with(
            "http.tls.certificate no/such.pem and http.tls.key no/such.key cannot be used: "
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_address_that_is_taken_may_become_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = config("");
    config.listen.address = address;
    let mut source = HttpSource::new(config, &context(), registry().await).unwrap();
    let error = source.open(None).await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff);
    let expected = format!("http.listen: cannot listen on {address}: ");
    assert!(error.message.starts_with(&expected), "{error}");
    drop(taken);
    source.open(None).await.unwrap();
    assert_eq!(source.address(), Some(address));
}

#[tokio::test]
async fn only_the_first_task_listens() {
    let context = TaskContext {
        task: 1,
        tasks: 2,
        ..context()
    };
    let mut source = HttpSource::new(config(""), &context, registry().await).unwrap();
    source.open(None).await.unwrap();
    assert_eq!(source.address(), None);
    assert!(source.poll().now_or_never().is_none());
    source.close().await;
}

#[tokio::test]
async fn a_poll_that_is_given_up_loses_nothing() {
    let mut source = HttpSource::new(config(""), &context(), registry().await).unwrap();
    source.open(None).await.unwrap();
    let url = format!("http://{}/v1/events?hasty=true", source.address().unwrap());
    for _ in 0..3 {
        assert!(source.poll().now_or_never().is_none());
    }
    let event = r#"{"$schema":"/mediawiki/page/1.0.0","page":1}"#;
    let request = Client::new()
        .post(url)
        .header("Content-Type", "application/json")
        .body(event);
    assert_eq!(answer(request).await.status, 202);
    assert_eq!(source.poll().await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn at_the_end_those_who_wait_are_told_to_come_again() {
    let (gateway, records) = Gateway::start_held("http.queue.events=1\nhttp.max.events=1").await;
    assert_eq!(gateway.get("/ready").await.status, 200);
    let mut requests = Vec::new();
    // Until some are with the worker, which is stuck, and one waits in the queue.
    while gateway.get("/ready").await.status == 200 {
        requests.push(tokio::spawn(answer(gateway.avro())));
    }
    // Two are with the worker. All others have been turned away: none is still on its way.
    while requests
        .iter()
        .filter(|request| !request.is_finished())
        .count()
        > 3
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let address = gateway.address;
    let stopping = tokio::spawn(gateway.stop());
    drop(records);
    stopping.await.unwrap();
    for request in requests {
        let answer = request.await.unwrap();
        assert!([429, 503].contains(&answer.status), "{answer:?}");
        assert!(answer.retry_after.is_some(), "{answer:?}");
    }
    // The address is free again at once.
    drop(TcpListener::bind(address).unwrap());
}
