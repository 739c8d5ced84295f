//! Keys as CSV: rows that other people's readers take, with keysets that real Tink decrypts with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{SystemTime, UNIX_EPOCH};

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Estate, eventually, on_both_brokers, python};
use serde_json::Value;

/// Reads exported keys with Python's csv, and decrypts the session of each event with Tink; prints
/// what was read: columns, rows, plaintexts.
const READ: &str = r#"
import base64, csv, json, sys
from tink import JsonKeysetReader, cleartext_keyset_handle, daead
daead.register()
with open(sys.argv[1], newline="") as file:
    reader = csv.DictReader(file, strict=True)
    rows = list(reader)
keysets = {row["keyLink"]: row["encryptionKey"] for row in rows}
plaintexts = []
for line in open(sys.argv[2]):
    event = json.loads(line)
    handle = cleartext_keyset_handle.read(JsonKeysetReader(keysets[event["strmMeta"]["keyLink"]]))
    ciphertext = base64.b64decode(event["consistentValue"])
    plain = handle.primitive(daead.DeterministicAead).decrypt_deterministically(ciphertext, b"")
    plaintexts.append(plain.decode())
print(json.dumps({"columns": reader.fieldnames, "rows": rows, "plaintexts": plaintexts}))
"#;

const DAY: u128 = 24 * 3600 * 1000;

fn now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis()
}

on_both_brokers! {
    async fn keys_as_csv_are_read_by_others_and_decrypt(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let before = now();
        let sessions = ["one", "two", "größer 😀", "with, a \"comma\""];
        for session in sessions {
            let answer = deployment.gateway().send_json(DEMO_SCHEMA, &demo(session, &[])).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
        let events = eventually("all events", async || {
            let events = deployment.output("demo");
            (events.len() == sessions.len()).then_some(events)
        })
        .await;
        let csv = deployment.ask(&["keys", "export", "--stream", "demo", "--reveal"]);
        let lines: Vec<_> = events.iter().map(|event| event.to_string() + "\n").collect();
        std::fs::write(estate.path().join("keys.csv"), &csv).unwrap();
        std::fs::write(estate.path().join("events.jsonl"), lines.concat()).unwrap();
        let read = python(READ, &["keys.csv", "events.jsonl"], estate.path());
        let read: Value = serde_json::from_str(&read).unwrap();

        assert_eq!(read["columns"], serde_json::json!(["keyLink", "encryptionKey", "expiresAt"]));
        let rows = read["rows"].as_array().unwrap();
        assert_eq!(rows.len(), sessions.len());
        for row in rows {
            let link = row["keyLink"].as_str().unwrap();
            assert!(uuid::Uuid::parse_str(link).is_ok(), "{link}");
            let keyset: Value = serde_json::from_str(row["encryptionKey"].as_str().unwrap()).unwrap();
            assert_eq!(keyset["key"].as_array().unwrap().len(), 1);
            let expires: u128 = row["expiresAt"].as_str().unwrap().parse().unwrap();
            assert!(expires >= before + DAY - 60_000, "{expires}");
        }
        let mut plaintexts: Vec<_> = read["plaintexts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        plaintexts.sort_unstable();
        let mut expected = sessions;
        expected.sort_unstable();
        assert_eq!(plaintexts, expected);
        assert!(worker.stop().success());
    }
}
