//! A worker that only reads what another one has written: it has no contract, and knows nevertheless
//! which topics hold personal data.

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Estate, eventually};

use crate::{letters, log, numbers, reaches, without_contracts};

const SECRET: &str = "Erika Mustermann";

/// A sink that cannot read these topics: all that comes becomes a dead letter and an error event.
fn write_sink(deployment: &Deployment, name: &str, topics: &str) {
    deployment.write(
        &format!("{name}.properties"),
        &format!(
            "name={name}\nconnector.class=FileSink\ntopics={topics}\n\
             file=out/{name}-{{topic}}-{{partition}}.jsonl\n\
             value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n\
             errors.tolerance=all\n\
             errors.deadletterqueue.topic.name={name}-dlq\n\
             errors.deadletterqueue.topic.replication.factor=1\n\
             errors.stream.topic={name}-errors\n"
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_worker_has_decrypted_is_sealed_when_it_is_rejected() {
    let estate = Estate::kafka().await;
    let privacy = estate.deploy("demo");
    let writer = privacy.start().await;
    let answer = privacy
        .gateway()
        .send_json(DEMO_SCHEMA, &demo(SECRET, &[2]))
        .await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    eventually("the decrypted event", async || {
        (privacy.output("demo-2").len() == 1).then_some(())
    })
    .await;
    // What nobody has called personal is left open.
    let plain = format!("not JSON, {SECRET}");
    let broker = log::open(&estate, &privacy);
    log::fill(&*broker, "plain", 1, &[(0, None, Some(plain.into_bytes()))]);

    let reading = without_contracts(&estate);
    reading.write(
        "schemas/error/2.1.0.json",
        include_str!("../../acceptance/wiki/schemas/error/2.1.0.json"),
    );
    for (name, topics) in [
        ("encrypted", "demo"),
        ("decrypted", "demo-2"),
        ("open", "plain"),
    ] {
        write_sink(&reading, name, topics);
    }
    let worker = reading.start().await;
    for name in ["encrypted", "decrypted", "open"] {
        numbers::settle(&worker, name, 1, 1).await;
    }
    for (name, open) in [("encrypted", false), ("decrypted", false), ("open", true)] {
        let listed = letters(&worker, &format!("{name}-dlq"), 1).await;
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(listed[0]["sealed"], !open, "{listed:?}");
        for topic in [format!("{name}-dlq"), format!("{name}-errors")] {
            let messages = eventually(&format!("a record in {topic}"), async || {
                let messages = log::read(&*broker, &topic);
                (!messages.is_empty()).then_some(messages)
            })
            .await;
            assert_eq!(messages.len(), 1, "{topic}");
            let value = String::from_utf8_lossy(messages[0].value.as_deref().unwrap());
            assert_eq!(value.contains("Mustermann"), open, "{topic}: {value}");
        }
    }
    let decrypted = letters(&worker, "decrypted-dlq", 1).await;
    assert_eq!(decrypted[0]["record"]["topic"], "demo-2", "{decrypted:?}");
    assert!(worker.stop().success());

    // A topic that is made anew under the name, and filled from a backup perhaps, is taken for personal, too.
    let _ = privacy.ask(&["delete", "stream", "demo-2"]);
    let again = format!("not JSON again, {SECRET}");
    log::fill(
        &*broker,
        "demo-2",
        1,
        &[(0, None, Some(again.into_bytes()))],
    );

    // Without the key it cannot seal, and says so instead of leaving it open.
    let settings = std::fs::read_to_string(reading.path().join("worker.properties")).unwrap();
    let without_key: Vec<_> = settings
        .lines()
        .filter(|line| !line.starts_with("keys.kek"))
        .collect();
    reading.write("worker.properties", &(without_key.join("\n") + "\n"));
    for name in ["encrypted", "decrypted", "open"] {
        reading.remove(&format!("{name}.properties"));
    }
    write_sink(&reading, "keyless", "demo-2");
    let worker = reading.start().await;
    let status = reaches(&worker, "keyless", "FAILED").await;
    let trace = status["trace"].as_str().unwrap();
    assert!(
        trace.contains("keys.kek") && trace.contains("deadletterqueue.seal"),
        "{trace}"
    );
    assert!(log::read(&*broker, "keyless-dlq").is_empty());
    worker.stop();
    assert!(writer.stop().success());
}
