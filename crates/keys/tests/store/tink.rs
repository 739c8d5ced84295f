//! Real Tink, in Python, decrypts what was encrypted here, with the exported keysets, and the other way
//! round.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_keys::{CipherKind, KeyStore, KeyStoreConfig};

use super::{config, embedded, kek, request, service};

const PLAINTEXTS: [&str; 6] = [
    "",
    "a",
    "ada@example.org",
    "exactly sixteen!",
    "Grüße aus der Wasserkraft",
    "水力発電所の水圧管",
];

#[tokio::test(flavor = "multi_thread")]
async fn tink_decrypts_with_exported_keysets_and_what_it_encrypts_is_decrypted() {
    let Some(python) = service("PENSTOCK_TEST_PYTHON", "a Python with tink 1.16") else {
        return;
    };
    for (cipher, primitive) in [
        (CipherKind::Aes256Siv, "daead"),
        (CipherKind::Aes256GcmSiv, "aead"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = KeyStoreConfig { cipher, ..config() };
        let store = KeyStore::open(embedded(directory.path()), kek(1), config).unwrap();
        let key = store
            .current(&[request("demo", "ada")])
            .await
            .unwrap()
            .remove(0);
        let exported = store
            .export("demo")
            .await
            .unwrap()
            .recv()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(exported.key_link, key.link());

        // One line the keyset, then one line each plaintext and its ciphertext.
        let mut input = format!("{}\n", *exported.encryption_key);
        for plaintext in PLAINTEXTS {
            let mut ciphertext = Vec::new();
            key.encrypt_base64(plaintext.as_bytes(), &mut ciphertext);
            let ciphertext = String::from_utf8(ciphertext).unwrap();
            input.push_str(&format!("{} {ciphertext}\n", STANDARD.encode(plaintext)));
        }
        let output = run(&python, primitive, &input);
        let theirs: Vec<&str> = output.lines().collect();
        assert_eq!(theirs.len(), PLAINTEXTS.len());
        for (ciphertext, plaintext) in theirs.iter().zip(PLAINTEXTS) {
            let mut decrypted = Vec::new();
            key.decrypt_base64(ciphertext.as_bytes(), &mut decrypted)
                .unwrap();
            assert_eq!(decrypted, plaintext.as_bytes());
            if cipher == CipherKind::Aes256Siv {
                let mut ours = Vec::new();
                key.encrypt_base64(plaintext.as_bytes(), &mut ours);
                assert_eq!(ours, ciphertext.as_bytes(), "deterministic on both sides");
            }
        }
    }
}

/// Runs the script, which fails if Tink does not decrypt a ciphertext to its plaintext; returns what Tink
/// makes of each plaintext.
fn run(python: &str, primitive: &str, input: &str) -> String {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/store/decrypt_with_tink.py"
    );
    let mut child = Command::new(python)
        .args([script, primitive])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "tink could not decrypt");
    String::from_utf8(output.stdout).unwrap()
}
