//! Hard kills: a process of its own makes keys until it is killed; every key that it reported is there.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use penstock_keys::{KeyLookup, KeyStore, KeyStoreConfig};

use super::{config, embedded, kek, request};

const DIRECTORY: &str = "PENSTOCK_KEYS_KILL_DIRECTORY";
const ROUND: &str = "PENSTOCK_KEYS_KILL_ROUND";
/// Reports before the kill.
const REPORTS: usize = 25;

fn open(directory: &Path) -> Arc<KeyStore> {
    let config = KeyStoreConfig {
        directory: Some(directory.join("copy")),
        ..config()
    };
    KeyStore::open(embedded(&directory.join("log")), kek(1), config).unwrap()
}

/// Does nothing unless the test below runs it as a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_makes_keys_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let round = std::env::var(ROUND).unwrap();
    let store = open(&directory);
    for batch in 0.. {
        let values: Vec<String> = (0..20).map(|n| format!("{round}-{batch}-{n}")).collect();
        let requests: Vec<_> = values.iter().map(|value| request("demo", value)).collect();
        let keys = store.current(&requests).await.unwrap();
        let mut out = std::io::stdout().lock();
        for (value, key) in values.iter().zip(&keys) {
            writeln!(out, "key {value} {}", key.link()).unwrap();
        }
        out.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_handed_out_survive_hard_kills() {
    let directory = tempfile::tempdir().unwrap();
    let mut reported: Vec<(String, String)> = Vec::new();
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "kill::process_that_makes_keys_until_it_is_killed",
                "--nocapture",
            ])
            .env(DIRECTORY, directory.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        for line in out.lines().map_while(Result::ok) {
            let mut words = line.split_whitespace();
            if words.next() == Some("key") {
                let (value, link) = (words.next().unwrap(), words.next().unwrap());
                reported.push((value.to_owned(), link.to_owned()));
            }
            if reported.len() >= REPORTS * 20 * (round + 1) {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(reported.len(), REPORTS * 20 * 4);

    let store = open(directory.path());
    let links: Vec<&str> = reported.iter().map(|(_, link)| link.as_str()).collect();
    for lookup in store.by_links(&links).await.unwrap() {
        assert!(matches!(lookup, KeyLookup::Usable(_)), "{lookup:?}");
    }
    let requests: Vec<_> = reported
        .iter()
        .map(|(value, _)| request("demo", value))
        .collect();
    let keys = store.current(&requests).await.unwrap();
    assert!(keys.iter().map(|key| key.link()).eq(links));
}
