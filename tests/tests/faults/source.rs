//! A source that can be resumed: it stops at a record or sets it aside, and goes on where it was.

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
