//! The example of a third party's worker runs, and its plugin is one like the others.

#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// Cargo builds examples beside the folder of the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let example = target.join("examples/own_plugin");
    assert!(
        example.is_file(),
        "build it: cargo build -p penstock-runner --examples"
    );
    example
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(example())
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap()
}

/// Ends with the test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn write_files(dir: &Path, [rest, registry, gateway]: [u16; 3]) {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/acceptance/demo/schemas");
    for (file, text) in [
        (
            "worker.properties",
            format!(
                "data.dir=data\nlisteners=http://127.0.0.1:{rest}\nregistry.listen=127.0.0.1:{registry}\n\
                 schemas.dir={}\n",
                schemas.display()
            ),
        ),
        (
            "gateway.properties",
            format!(
                "name=gateway\nconnector.class=HttpSource\nhttp.listen=127.0.0.1:{gateway}\ntopic=some\n\
                 schema=streammachine/demo/1.0.2\n\
                 transforms=some\ntransforms.some.type=org.example.Sample\ntransforms.some.every=5\n"
            ),
        ),
        (
            "files.properties",
            "name=files\nconnector.class=FileSink\ntopics=some\nfile=out/{topic}-{partition}.jsonl\n"
                .to_owned(),
        ),
    ] {
        std::fs::write(dir.join(file), text).unwrap();
    }
}

async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        // Bounds a hang.
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "waited in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const FILES: [&str; 4] = [
    "run",
    "worker.properties",
    "gateway.properties",
    "files.properties",
];

#[tokio::test]
async fn a_worker_with_a_plugin_of_its_own_runs_it() {
    let dir = tempfile::tempdir().unwrap();
    let ports = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = ports.map(|listener| listener.local_addr().unwrap().port());
    let [rest, _, gateway] = ports;
    write_files(dir.path(), ports);
    let child = Command::new(example())
        .args(FILES)
        .current_dir(dir.path())
        .spawn()
        .unwrap();
    let _worker = Worker(child);
    let http = reqwest::Client::new();
    let event = serde_json::json!({
        "strmMeta": {"eventContractRef": "", "nonce": null, "timestamp": null, "keyLink": null, "billingId": null,
            "consentLevels": []},
        "uniqueIdentifier": null, "consistentValue": "a", "someSensitiveValue": null, "notSensitiveValue": null,
    });
    for _ in 0..10 {
        eventually("a gateway that takes an event", async || {
            let request = http
                .post(format!("http://127.0.0.1:{gateway}/event"))
                .header("Content-Type", "application/json")
                .body(event.to_string());
            let answer = request.send().await.ok()?;
            (answer.status() == 204).then_some(())
        })
        .await;
    }
    let text = eventually("two of ten events", async || {
        let text = std::fs::read_to_string(dir.path().join("out/some-0.jsonl")).ok()?;
        (text.lines().count() >= 2).then_some(text)
    })
    .await;
    assert_eq!(text.lines().count(), 2);
    let metrics = http
        .get(format!("http://127.0.0.1:{rest}/metrics"))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let filtered = "penstock_records_filtered_total{connector=\"gateway\",reason=\"sampled out\",task=\"0\"} 8";
    assert!(metrics.contains(filtered), "{metrics}");
}

#[test]
fn mistakes_in_its_settings_are_told_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), [1, 2, 3]);
    let gateway = dir.path().join("gateway.properties");
    let text = std::fs::read_to_string(&gateway).unwrap();
    std::fs::write(gateway, text.replace("some.every=5", "some.evrey=5")).unwrap();
    let output = run(dir.path(), &["validate", FILES[1], FILES[2], FILES[3]]);
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("did you mean transforms.some.every?"),
        "{told}"
    );
}
