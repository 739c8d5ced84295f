//! The first write-up, step by step: a stream, a contract, a first event, what lies encrypted,
//! and a derived stream for those who may see more.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use penstock_tests::events::{DEMO_CONTRACT, DEMO_SCHEMA, demo, demo_avro, empty_demo};
use penstock_tests::{Answer, Deployment, Estate, Gateway, eventually, on_both_brokers, python};
use serde_json::{Value, json};
use uuid::Uuid;

const PERSONAL: [&str; 3] = ["uniqueIdentifier", "consistentValue", "someSensitiveValue"];

/// Decrypts with Google's Tink: reads `[keyset, ciphertext in base64]` lines, prints plaintexts.
const TINK: &str = r#"
import base64, json, sys
import tink
from tink import cleartext_keyset_handle, daead
daead.register()
for line in open(sys.argv[1]):
    keyset, ciphertext = json.loads(line)
    handle = cleartext_keyset_handle.read(tink.JsonKeysetReader(keyset))
    primitive = handle.primitive(daead.DeterministicAead)
    print(primitive.decrypt_deterministically(base64.b64decode(ciphertext), b"").decode())
"#;

async fn send(gateway: &Gateway, event: &Value) -> Answer {
    gateway.send_avro(DEMO_SCHEMA, demo_avro(event)).await
}

async fn accepted(gateway: &Gateway, event: &Value) {
    let answer = send(gateway, event).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    let value = &event[field];
    value
        .as_str()
        .unwrap_or_else(|| panic!("{field} of {event}"))
}

/// The bytes of Tink's format: version, key id, synthetic IV, as many bytes as the plaintext.
fn ciphertext(event: &Value, field: &str, plaintext: &str) -> Vec<u8> {
    let bytes = BASE64_STANDARD.decode(text(event, field)).unwrap();
    assert_eq!(bytes.len(), 1 + 4 + 16 + plaintext.len(), "{event}");
    assert_eq!(bytes[0], 1, "{event}");
    bytes
}

fn key_link(event: &Value) -> Uuid {
    event["strmMeta"]["keyLink"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// The lines of a topic's files, once there are as many as expected.
async fn lines(deployment: &Deployment, topic: &str, count: usize) -> Vec<Value> {
    let what = format!("{count} lines of {topic}");
    eventually(&what, async || {
        let lines = deployment.output(topic);
        (lines.len() >= count).then_some(lines)
    })
    .await
}

on_both_brokers! {
    async fn first_steps(estate: Estate) {
        let deployment = estate.deploy("demo");
        // The derived stream comes later, from the command line.
        deployment.remove("demo-2.properties");
        let worker = deployment.start().await;
        let gateway = deployment.gateway();
        assert_eq!(gateway.get("/ready").await.status, 200);

        // What the demo uses can be looked at.
        let schema: Value =
            serde_json::from_str(&deployment.ask(&["get", "schema", DEMO_SCHEMA, "-o", "json"]))
                .unwrap();
        assert!(schema.to_string().contains("DemoEvent"), "{schema}");
        let contracts = deployment.ask(&["list", "contract"]);
        assert!(contracts.contains(DEMO_CONTRACT), "{contracts}");
        let mut egress = deployment.viewer("demo").await;

        // A first event, with nothing filled in.
        let mut event = empty_demo();
        let answer = send(&gateway, &event).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body, "Invalid event contract: . Not supported.");

        event["strmMeta"]["eventContractRef"] = DEMO_CONTRACT.into();
        let answer = send(&gateway, &event).await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.body,
            "Field: 'consistentValue' in event with schema: 'streammachine/demo/1.0.2' \
             with value: '' doesn't match regex: '^.+$'"
        );

        event["consistentValue"] = "hi there".into();
        accepted(&gateway, &event).await;

        // It shows up with its personal field encrypted and its meta fields filled in.
        let first = egress.next().await;
        assert_eq!(first["strmMeta"]["eventContractRef"], DEMO_CONTRACT);
        assert!(first["strmMeta"]["nonce"].is_i64(), "{first}");
        assert!(first["strmMeta"]["timestamp"].is_i64(), "{first}");
        assert_eq!(first["strmMeta"]["consentLevels"], json!([]));
        ciphertext(&first, "consistentValue", "hi there");
        for empty in ["uniqueIdentifier", "someSensitiveValue", "notSensitiveValue"] {
            assert_eq!(first[empty], Value::Null);
        }

        // Two events of one session, with all fields filled in.
        let event = demo("a-user-session", &[0]);
        accepted(&gateway, &event).await;
        accepted(&gateway, &event).await;
        let (second, third) = (egress.next().await, egress.next().await);
        for field in PERSONAL {
            ciphertext(&second, field, text(&event, field));
            assert_eq!(second[field], third[field], "equal within one key's life");
        }
        assert_eq!(second["notSensitiveValue"], "Anyone is free to see this text.");
        assert_eq!(key_link(&second), key_link(&third));
        assert_ne!(key_link(&second), key_link(&first));
        assert_ne!(second["strmMeta"]["nonce"], third["strmMeta"]["nonce"]);

        // A derived stream with personal data, up to level 2.
        let _ = deployment.ask(&["create", "stream", "--derived-from", "demo", "--levels", "2"]);
        let streams = deployment.ask(&["list", "stream"]);
        assert!(streams.contains("demo-2"), "{streams}");
        let mut sent = HashMap::new();
        for level in [0, 1, 2, 3, 0, 3] {
            let event = demo("a-user-session", &[level]);
            accepted(&gateway, &event).await;
            sent.insert(text(&event, "uniqueIdentifier").to_owned(), level);
        }

        // All lie encrypted in the stream; those with consent come out decrypted up to level 2.
        let all = lines(&deployment, "demo", 9).await;
        let derived = lines(&deployment, "demo-2", 3).await;
        assert_eq!((all.len(), derived.len()), (9, 3));
        for event in &derived {
            let level = sent[text(event, "uniqueIdentifier")];
            assert!(level >= 2, "{event}");
            assert_eq!(event["strmMeta"]["consentLevels"], json!([level]));
            assert_eq!(event["strmMeta"]["keyLink"], second["strmMeta"]["keyLink"]);
            assert_eq!(event["consistentValue"], "a-user-session");
            assert_eq!(event["someSensitiveValue"], second["someSensitiveValue"]);
            assert_eq!(event["notSensitiveValue"], "Anyone is free to see this text.");
        }
        worker.stop();
    }

    async fn the_folder_runs_as_it_stands(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let gateway = deployment.gateway();
        let mut derived = deployment.viewer("demo-2").await;
        let levels: [&[i32]; 5] = [&[], &[0], &[1], &[0, 2], &[3]];
        for levels in levels {
            let event = demo("a session", levels);
            let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
            assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        }
        assert_eq!(derived.next().await["strmMeta"]["consentLevels"], json!([0, 2]));
        assert_eq!(derived.next().await["strmMeta"]["consentLevels"], json!([3]));
        assert_eq!(lines(&deployment, "demo", 5).await.len(), 5);
        assert_eq!(lines(&deployment, "demo-2", 2).await.len(), 2);
        assert!(worker.stop().success());
        assert_eq!(deployment.output("demo-2").len(), 2);
    }

    async fn real_tink_decrypts_with_the_exported_keys(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let gateway = deployment.gateway();
        let mut sent = Vec::new();
        for session in ["one", "two", "größer 😀"] {
            let event = demo(session, &[3]);
            accepted(&gateway, &event).await;
            sent.push(event);
        }
        let encrypted = lines(&deployment, "demo", 3).await;

        let export = ["keys", "export", "--stream", "demo", "--format", "jsonl"];
        let refused = deployment.penstock(&export);
        assert!(!refused.status.success());
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(why.contains("--reveal"), "{why}");
        assert!(refused.stdout.is_empty());

        let exported = deployment.ask(&[&export[..], &["--reveal"]].concat());
        let keysets: HashMap<String, String> = exported
            .lines()
            .map(|line| {
                let key: Value = serde_json::from_str(line).unwrap();
                assert!(key["expiresAt"].as_i64().unwrap() > 0, "{key}");
                let keyset = match &key["encryptionKey"] {
                    Value::String(text) => text.clone(),
                    keyset => keyset.to_string(),
                };
                (text(&key, "keyLink").to_owned(), keyset)
            })
            .collect();
        assert_eq!(keysets.len(), 3);

        // Partitions keep their own order, so events are matched by what Tink makes of them.
        let mut jobs = String::new();
        for event in &encrypted {
            let keyset = &keysets[event["strmMeta"]["keyLink"].as_str().unwrap()];
            for field in PERSONAL {
                jobs += &format!("{}\n", json!([keyset, event[field]]));
            }
        }
        std::fs::write(estate.path().join("jobs"), jobs).unwrap();
        let plaintexts = python(TINK, &["jobs"], estate.path());
        let mut decrypted: Vec<_> = plaintexts.lines().collect();
        let mut expected: Vec<_> = sent
            .iter()
            .flat_map(|event| PERSONAL.map(|field| text(event, field)))
            .collect();
        decrypted.sort_unstable();
        expected.sort_unstable();
        assert_eq!(decrypted, expected);
        worker.stop();
    }
}
