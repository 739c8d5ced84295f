//! Those who look on stay connected whatever becomes of the broker and its topics, and see what comes after.

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Estate, Viewer, Worker, eventually, on_both_brokers};

use crate::task;

/// The demo with nothing but its gateway and its egress.
fn gateway_and_egress(estate: &Estate) -> Deployment {
    let deployment = estate.deploy("demo");
    for file in ["demo-2", "files"] {
        deployment.remove(&format!("{file}.properties"));
    }
    deployment
}

/// Sends an event with this text until it is taken: one whose answer was lost may be there twice.
async fn send(deployment: &Deployment, text: &str) {
    let mut event = demo("a session", &[]);
    event["notSensitiveValue"] = text.into();
    eventually(text, async || {
        let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
        (answer.status == 204).then_some(())
    })
    .await;
}

/// The text of the next event that is another one than `before`.
async fn next(viewer: &mut Viewer, before: &str) -> String {
    loop {
        let event = viewer.next().await;
        let text = event["notSensitiveValue"].as_str().unwrap();
        if text != before {
            return text.to_owned();
        }
    }
}

/// What the status of the egress says it waits for.
async fn waits_for(worker: &Worker) -> Option<String> {
    let task = task(worker, "egress").await;
    assert_eq!(task["state"], "RUNNING", "{task}");
    task["trace"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_stay_while_the_broker_is_away() {
    let estate = Estate::kafka().await;
    let deployment = gateway_and_egress(&estate);
    let mut worker = deployment.start().await;
    let mut viewer = deployment.viewer("demo").await;
    send(&deployment, "before").await;
    assert_eq!(next(&mut viewer, "").await, "before");
    estate.broker().await.kill();
    eventually("an egress that misses its broker", async || {
        waits_for(&worker).await
    })
    .await;
    assert!(worker.output().contains("viewers see nothing new for now"));
    {
        let mut broker = estate.broker().await;
        tokio::task::block_in_place(|| broker.restart()).unwrap();
    }
    send(&deployment, "after").await;
    // On the same connection.
    assert_eq!(next(&mut viewer, "before").await, "after");
    eventually("an egress that misses nothing", async || {
        waits_for(&worker).await.is_none().then_some(())
    })
    .await;
    assert!(worker.is_running());
    assert!(worker.stop().success());
}

on_both_brokers! {
    async fn viewers_stay_while_their_topic_is_made_anew(estate: Estate) {
        let deployment = gateway_and_egress(&estate);
        let worker = deployment.start().await;
        let mut viewer = deployment.viewer("demo").await;
        for text in ["one", "two", "three"] {
            send(&deployment, text).await;
        }
        assert_eq!(next(&mut viewer, "").await, "one");
        assert_eq!(next(&mut viewer, "one").await, "two");
        assert_eq!(next(&mut viewer, "two").await, "three");
        let _ = deployment.ask(&["delete", "stream", "demo"]);
        send(&deployment, "anew").await;
        assert_eq!(next(&mut viewer, "three").await, "anew");
        assert!(worker.stop().success());
    }
}
