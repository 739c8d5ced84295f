//! A source that can be resumed: it stops at a record or sets it aside, and goes on where it was, also
//! after its broker was away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use penstock_tests::events::page_change;
use penstock_tests::sse::SseServer;
use penstock_tests::{Deployment, Estate, eventually, on_both_brokers};
use serde_json::Value;

use crate::{answers, log, reaches, task};

const STREAM: &str = "mediawiki.page_change.v1";
const SINK: &str = "event_platform_app.sink";

fn revisions(deployment: &Deployment) -> Vec<u64> {
    let lines = deployment.output(SINK);
    let revision = |event: &Value| event["revision"]["rev_id"].as_u64().unwrap();
    lines.iter().map(revision).collect()
}

on_both_brokers! {
    async fn a_source_stops_at_a_bad_event_with_all_before_it_written(estate: Estate) {
        let deployment = estate.deploy("wiki");
        deployment.set("page-change.properties", "errors.tolerance", "none");
        // All of it comes in one batch.
        deployment.set("page-change.properties", "batch.interval.ms", "2000");
        deployment.set("page-change.properties", "since", "2000-01-01T00:00:00Z");
        let server = SseServer::start(deployment.sse_address(), &[STREAM]).await;
        for revision in 1..=8 {
            let mut event = page_change(revision, revision);
            if revision == 6 {
                // The transform needs it, and only the transform sees that it is not there.
                event["revision"].as_object_mut().unwrap().remove("content_slots");
            }
            server.publish(STREAM, &event);
        }
        let worker = deployment.spawn(&[]);
        answers(&deployment).await;
        let status = reaches(&worker, "page-change", "FAILED").await;
        let trace = status["trace"].as_str().unwrap();
        assert!(trace.contains("content_slots"), "{trace}");
        let before: Vec<_> = (1..=5).collect();
        eventually("what came before", async || {
            (revisions(&deployment).len() >= 5).then_some(())
        }).await;
        assert_eq!(revisions(&deployment), before);

        // Started again it ends there again; told to go on it does, and nothing comes twice.
        let http = reqwest::Client::new();
        let connector = format!("{}/connectors/page-change", deployment.rest());
        let restart = http.post(format!("{connector}/restart")).send().await.unwrap();
        assert_eq!(restart.status(), 204);
        reaches(&worker, "page-change", "FAILED").await;
        assert_eq!(revisions(&deployment), before);
        let tolerate = serde_json::json!({"errors.tolerance": "all"});
        let patch = http.patch(format!("{connector}/config")).json(&tolerate);
        assert_eq!(patch.send().await.unwrap().status(), 200);
        let rest: Vec<_> = (1..=8).filter(|revision| *revision != 6).collect();
        eventually("the rest", async || {
            (revisions(&deployment).len() >= rest.len()).then_some(())
        }).await;
        assert_eq!(revisions(&deployment), rest);
        assert_eq!(task(&worker, "page-change").await["state"], "RUNNING");
        eventually("the error event", async || {
            (deployment.output("event_platform_app.error").len() == 1).then_some(())
        }).await;
        assert!(worker.stop().success());
        let broker = log::open(&estate, &deployment);
        let written: Vec<_> = log::read(&*broker, SINK)
            .iter()
            .map(|message| {
                let event = &message.value.as_deref().unwrap()[5..];
                let event: Value = serde_json::from_slice(event).unwrap();
                (message.offset, event["revision"]["rev_id"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(written.len(), rest.len(), "{written:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_whose_broker_goes_away_loses_and_doubles_nothing() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("wiki");
    let server = Arc::new(SseServer::start(deployment.sse_address(), &[STREAM]).await);
    let mut worker = deployment.start().await;
    eventually("a connection to the event stream", async || {
        (server.connections() > 0).then_some(())
    })
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn({
        let (server, stop) = (server.clone(), stop.clone());
        async move {
            let mut published = 0;
            while !stop.load(Ordering::Relaxed) {
                published += 1;
                // Of one page: they keep their order.
                server.publish(STREAM, &page_change(1, published));
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            published
        }
    });
    for _ in 0..2 {
        let before = revisions(&deployment).len();
        eventually("more events", async || {
            (revisions(&deployment).len() >= before + 100).then_some(())
        })
        .await;
        let mut broker = estate.broker().await;
        broker.kill();
        tokio::task::block_in_place(|| broker.restart()).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let published: u64 = publisher.await.unwrap();
    eventually("all events", async || {
        (revisions(&deployment).last() >= Some(&published)).then_some(())
    })
    .await;
    assert!(worker.is_running(), "the worker has recovered by itself");
    assert!(worker.stop().success());
    assert_eq!(revisions(&deployment), (1..=published).collect::<Vec<_>>());
}
