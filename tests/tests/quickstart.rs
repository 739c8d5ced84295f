//! The README's first command: what it shows, how it ends, and what it leaves behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use penstock_tests::{eventually, penstock};
use serde_json::Value;
use tokio::sync::Mutex;

const FOLDER: &str = "penstock-quickstart";

/// Two that start at the same moment may choose the same ports.
static TURN: Mutex<()> = Mutex::const_new(());

fn quickstart(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(penstock());
    command
        .arg("quickstart")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// What a run that succeeded has printed.
fn shown(output: Output) -> String {
    assert!(output.status.success(), "{}", text(output.stderr));
    text(output.stdout)
}

/// The numbers in the heads of the last table: sent, in demo, in demo-2.
fn counts(shown: &str) -> [usize; 3] {
    let head = shown
        .lines()
        .rfind(|line| line.contains("in demo-2: "))
        .unwrap_or_else(|| panic!("a table in {shown}"));
    ["sent: ", "in demo: ", "in demo-2: "].map(|name| {
        let rest = head.split(name).nth(1).unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    })
}

/// Lines of a topic's file.
fn events(dir: &Path, topic: &str) -> Vec<Value> {
    let file = dir.join(format!("{FOLDER}/out/{topic}-0.jsonl"));
    let text = fs::read_to_string(&file).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What a file of the demo says.
fn setting(dir: &Path, file: &str, key: &str) -> String {
    let text = fs::read_to_string(dir.join(FOLDER).join(file)).unwrap();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap().to_owned()
}

fn consents(event: &Value) -> bool {
    let levels = event["strmMeta"]["consentLevels"].as_array().unwrap();
    levels.iter().any(|level| level.as_i64() >= Some(2))
}

fn signal(child: &Child, name: &str) {
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status();
    assert!(kill.unwrap().success());
}

/// Waits for the end, bounded.
async fn ended(mut child: Child) -> Output {
    eventually("the end of the quickstart", async || {
        child.try_wait().unwrap()
    })
    .await;
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_what_was_sent_stored_and_let_through_and_its_last_line_goes_on_with_it() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let shown = shown(
        quickstart(dir.path(), &["--for", "5s", "--rate", "20"])
            .output()
            .unwrap(),
    );
    let [sent, demo, derived] = counts(&shown);
    assert!(sent > 0 && demo == sent && derived <= sent, "{shown}");
    let summary = format!("{sent} events sent, {demo} in demo (encrypted), {derived} in demo-2");
    assert!(shown.contains(&summary), "{shown}");

    // The command that it names runs as it stands, though nothing is on the path.
    let go_on = shown
        .lines()
        .find_map(|line| line.strip_prefix("Go on with: "))
        .unwrap();
    let child = Command::new("sh")
        .args(["-c", &go_on.replace("&& ", "&& exec ")])
        .current_dir(dir.path())
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let worker = setting(dir.path(), "worker.properties", "listeners");
    eventually("a healthy worker", async || {
        let health = Command::new(penstock())
            .args(["--worker", &worker, "health"])
            .output();
        health.unwrap().status.success().then_some(())
    })
    .await;
    eventually("the files of all events", async || {
        let files = (events(dir.path(), "demo"), events(dir.path(), "demo-2"));
        (files.0.len() >= sent && files.1.len() >= derived).then_some(())
    })
    .await;
    signal(&child, "TERM");
    let output = ended(child).await;
    assert!(output.status.success(), "{}", text(output.stderr));

    // The table has told what the files hold.
    let (stored, through) = (events(dir.path(), "demo"), events(dir.path(), "demo-2"));
    assert_eq!((stored.len(), through.len()), (sent, derived));
    assert_eq!(
        stored.iter().filter(|event| consents(event)).count(),
        derived
    );
    assert!(through.iter().all(consents));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_it_well_and_a_second_run_goes_on_with_what_the_user_has_changed() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let mut child = quickstart(dir.path(), &["--rate", "50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("events in the files", async || {
        assert!(matches!(child.try_wait(), Ok(None)), "it runs");
        (!events(dir.path(), "demo-2").is_empty()).then_some(())
    })
    .await;
    signal(&child, "INT");
    let first = shown(ended(child).await);
    let [sent, demo, _] = counts(&first);
    assert!(sent > 0 && demo == sent, "{first}");

    // An edit of the user's: nothing comes out any more.
    let file = dir.path().join(FOLDER).join("demo-2.properties");
    let edited = fs::read_to_string(&file)
        .unwrap()
        .replace("demo-2.levels=2", "demo-2.levels=9");
    fs::write(&file, &edited).unwrap();
    let second = shown(
        quickstart(dir.path(), &["--for", "2s", "--rate", "20"])
            .output()
            .unwrap(),
    );
    let [sent, demo, derived] = counts(&second);
    assert!(sent > 0 && demo == sent, "{second}");
    assert_eq!(derived, 0, "{second}");
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_comes_while_the_worker_starts_is_not_lost() {
    let _turn = TURN.lock().await;
    for name in ["INT", "TERM"] {
        let dir = tempfile::tempdir().unwrap();
        let child = quickstart(dir.path(), &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Its files are laid out before it starts anything.
        eventually("the last file", async || {
            let last = "contracts/streammachine/example/1.3.0.json";
            dir.path().join(FOLDER).join(last).exists().then_some(())
        })
        .await;
        signal(&child, name);
        let output = ended(child).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}: {}",
            text(output.stderr)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_with_files_of_the_user_s_own_is_refused_and_left_alone() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("worker.properties");
    fs::write(&file, "bootstrap.servers=kafka:9092\n").unwrap();
    let output = quickstart(dir.path(), &["--dir", ".", "--for", "1s"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = text(output.stderr);
    for word in ["worker.properties is there already", "--dir"] {
        assert!(errors.contains(word), "{word} in {errors}");
    }
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "bootstrap.servers=kafka:9092\n"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_somebody_else_has_taken_meanwhile_is_named() {
    let _turn = TURN.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let _ = shown(quickstart(dir.path(), &["--for", "1s"]).output().unwrap());
    let address = setting(dir.path(), "gateway.properties", "http.listen");
    let _taken = std::net::TcpListener::bind(&address).unwrap();
    let output = quickstart(dir.path(), &["--for", "1s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = text(output.stderr);
    for word in ["connector gateway", &address, "in use"] {
        assert!(errors.contains(word), "{word} in {errors}");
    }
}
