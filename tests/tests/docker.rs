//! The container files: no container engine is needed to see that they fit the repository and
//! each other, and that what they run works.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Estate, Worker, eventually, python};
use serde_json::Value;
use xtask::{fetch, paths};

const TO_JSON: &str = r#"
import json, sys, yaml
print(json.dumps(yaml.safe_load(open(sys.argv[1]))))
"#;

fn docker() -> PathBuf {
    paths::workspace().join("docker")
}

fn yaml(file: &str) -> Value {
    serde_json::from_str(&python(TO_JSON, &[file], &docker())).unwrap()
}

fn compose() -> Value {
    yaml("compose.yaml")
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|item| item.as_str().unwrap()).collect()
}

fn dockerfile() -> String {
    fs::read_to_string(docker().join("Dockerfile")).unwrap()
}

/// What `penstock` would be told to do in the container.
fn command() -> Vec<String> {
    let compose = compose();
    let command = texts(&compose["services"]["penstock"]["command"]);
    command.into_iter().map(str::to_owned).collect()
}

/// Whether the build context holds this path: everything is excluded but what is listed.
fn in_build_context(path: &str) -> bool {
    let ignore = fs::read_to_string(paths::workspace().join(".dockerignore")).unwrap();
    let top = path.split('/').next().unwrap();
    ignore.lines().any(|line| line == format!("!{top}"))
}

#[test]
fn every_file_that_the_image_is_made_of_exists_and_is_sent_to_the_build() {
    for line in dockerfile().lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let ["COPY", arguments @ ..] = &words[..] else {
            continue;
        };
        if arguments.iter().any(|word| word.starts_with("--from=")) || arguments[0] == "." {
            continue;
        }
        for source in &arguments[..arguments.len() - 1] {
            assert!(paths::workspace().join(source).exists(), "{line}");
            assert!(in_build_context(source), "{line}");
        }
    }
    let manifest = fs::read_to_string(paths::workspace().join("Cargo.toml")).unwrap();
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = "))
        .unwrap();
    for member in members.split('"').skip(1).step_by(2) {
        assert!(in_build_context(member), "{member}");
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        assert!(in_build_context(file), "{file}");
    }
}

/// What hadolint finds in a Dockerfile.
fn hadolint(file: &Path) -> String {
    let hadolint = fetch::python::hadolint().unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(hadolint)
        .arg("--no-color")
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn hadolint_has_nothing_to_say_of_the_dockerfile() {
    assert_eq!(hadolint(&docker().join("Dockerfile")), "");
    // It would.
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("Dockerfile");
    fs::write(&bad, dockerfile().replace("USER 65532:65532", "USER root")).unwrap();
    assert!(hadolint(&bad).contains("Last USER should not be root"));
    fs::write(&bad, dockerfile().replace("COPY LICENSE", "COPPY LICENSE")).unwrap();
    assert!(hadolint(&bad).contains("unexpected"));
}

/// What Compose's own loader makes of a compose file, or why it takes none.
fn compose_spec(file: &Path) -> Result<Value, String> {
    let loader = fetch::go::compose_spec().unwrap_or_else(|error| panic!("{error}"));
    // The key that the file asks for is the user's.
    let output = Command::new(loader)
        .args(["-no-interpolation", "-format", "json"])
        .arg(file)
        .current_dir(docker())
        .output()
        .unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn compose_loads_its_file() {
    let file = docker().join("compose.yaml");
    let loaded = compose_spec(&file).unwrap();
    let services = loaded["services"].as_object().unwrap();
    let mut names: Vec<_> = services.keys().collect();
    names.sort();
    assert_eq!(names, ["kafka", "penstock", "prometheus", "registry"]);
    assert_eq!(services["penstock"]["ports"][0]["host_ip"], "127.0.0.1");
    // It would not load everything.
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("compose.yaml");
    let text = fs::read_to_string(file).unwrap();
    for (right, wrong, word) in [
        ("depends_on:", "depends_no:", "depends_no"),
        ("service_healthy", "service_helthy", "condition"),
        ("    image: penstock\n", "    image: [penstock]\n", "image"),
    ] {
        fs::write(&bad, text.replace(right, wrong)).unwrap();
        let refused = compose_spec(&bad).unwrap_err();
        assert!(refused.contains(word), "{wrong}: {refused}");
    }
}

#[test]
fn the_image_runs_as_a_user_without_rights_and_checks_its_health() {
    let text = dockerfile();
    let last_stage = text.rsplit("\nFROM ").next().unwrap();
    // By number, so that orchestrators can tell that it is not root.
    assert!(last_stage.contains("\nUSER 65532:65532\n"));
    assert!(last_stage.contains("CMD [\"/usr/local/bin/penstock\", \"health\"]"));
    assert!(last_stage.contains("\nENTRYPOINT [\"/usr/local/bin/penstock\"]\n"));
}

#[test]
fn the_image_s_build_command_builds_the_program_that_the_image_runs() {
    let text = dockerfile().replace("\\\n", " ");
    let run = text
        .lines()
        .find_map(|line| line.strip_prefix("RUN "))
        .unwrap();
    let mut commands = run.split("&&");
    // Mounts are the container engine's.
    let build = commands.next().unwrap();
    let build = &build[build.find("cargo ").unwrap()..];
    // As it stands, but for the time that a release build takes.
    let words = build.split_whitespace().filter(|word| *word != "--release");
    let built = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(words.skip(1))
        .current_dir(paths::workspace())
        .output()
        .unwrap();
    let errors = String::from_utf8(built.stderr).unwrap();
    assert!(built.status.success(), "{build}: {errors}");
    let program = paths::target().join("debug/penstock");
    let version = Command::new(program).arg("--version").output().unwrap();
    assert!(version.status.success());
    let words: Vec<_> = commands.next().unwrap().split_whitespace().collect();
    assert_eq!(
        words,
        ["cp", "target/release/penstock", "/usr/local/bin/penstock"]
    );
    assert!(text.contains("COPY --from=build /usr/local/bin/penstock /usr/local/bin/penstock"));
}

#[test]
fn every_file_and_service_that_compose_names_exists() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in services {
        for volume in service.get("volumes").map(texts).unwrap_or_default() {
            let source = volume.split(':').next().unwrap();
            if source.starts_with('.') {
                assert!(docker().join(source).exists(), "{name}: {volume}");
            } else {
                assert!(volumes.contains_key(source), "{name}: {volume}");
            }
        }
        let dependencies = service.get("depends_on").and_then(Value::as_object);
        for dependency in dependencies.into_iter().flat_map(|all| all.keys()) {
            assert!(services.contains_key(dependency), "{name}: {dependency}");
        }
        if let Some(build) = service.get("build") {
            let context = docker().join(build["context"].as_str().unwrap());
            assert!(context.join(build["dockerfile"].as_str().unwrap()).exists());
        }
    }
    for file in &command()[1..] {
        assert!(docker().join("demo").join(file).exists(), "{file}");
    }
}

#[test]
fn ports_that_compose_publishes_are_those_that_the_demo_listens_on() {
    let mut listening = Vec::new();
    for entry in fs::read_dir(docker().join("demo")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let addresses = text.lines().filter_map(|line| line.split_once("0.0.0.0:"));
        listening.extend(addresses.map(|(_, port)| port.to_owned()));
    }
    listening.sort_unstable();
    let compose = compose();
    let mut published: Vec<_> = texts(&compose["services"]["penstock"]["ports"])
        .into_iter()
        .map(|port| port.rsplit(':').next().unwrap().to_owned())
        .collect();
    published.sort_unstable();
    assert_eq!(published, listening);

    let exposed = dockerfile();
    let exposed = exposed
        .lines()
        .find_map(|line| line.strip_prefix("EXPOSE "))
        .unwrap();
    for port in &published {
        assert!(exposed.split(' ').any(|other| other == port), "{port}");
    }

    let prometheus = yaml("prometheus/prometheus.yml");
    let target = &prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0];
    let (host, port) = target.as_str().unwrap().split_once(':').unwrap();
    assert!(compose["services"].get(host).is_some(), "{target}");
    assert!(published.iter().any(|other| other == port), "{target}");
}

#[test]
fn prometheus_takes_its_configuration() {
    assert_eq!(
        promtool(&["check", "config", "prometheus/prometheus.yml"], ""),
        (0, String::new())
    );
}

/// Runs promtool in the folder of container files; returns its exit status and what it found.
fn promtool(arguments: &[&str], input: &str) -> (i32, String) {
    use std::io::Write;
    use std::process::Stdio;

    let promtool = fetch::debian::promtool().unwrap_or_else(|error| panic!("{error}"));
    let mut child = Command::new(promtool)
        .args(arguments)
        .current_dir(docker())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let found = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), found)
}

/// The demo's folder with the names of the compose network replaced by those of this machine.
fn deployment(estate: &Estate) -> Deployment {
    let deployment = estate.copy(&docker().join("demo"));
    let acceptance = paths::workspace().join("tests/acceptance/demo");
    for file in deployment.files() {
        let text = fs::read_to_string(deployment.path().join(&file)).unwrap();
        let text = text
            .replace("0.0.0.0:", "127.0.0.1:")
            .replace("kafka:9092", estate.bootstrap_servers().unwrap())
            .replace(
                "http://registry:8080/apis/ccompat/v7",
                estate.registry_url().unwrap(),
            )
            .replace("/usr/share/penstock", &path_text(&acceptance))
            .replace("/var/lib/penstock", &path_text(deployment.path()));
        deployment.write(&file, &text);
    }
    deployment
}

fn path_text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_of_the_compose_file_runs() {
    let estate = Estate::kafka().await;
    let deployment = deployment(&estate);
    let key = [(
        "PENSTOCK_KEK",
        "cGVuc3RvY2sgdGVzdCBrZXkgZW5jcnlwdGlvbiBrZXk=",
    )];

    // The image's health check before and while the worker runs.
    assert!(!deployment.penstock(&["health"]).status.success());
    let mut worker = Worker::spawn(&deployment, &command(), &key);
    worker.healthy().await;
    let _ = deployment.ask(&["health"]);
    deployment.gateway().ready().await;

    let event = demo("a session", &[3]);
    let answer = deployment.gateway().send_json(DEMO_SCHEMA, &event).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let derived = eventually("an event of demo-2", async || {
        deployment.output("demo-2").pop()
    })
    .await;
    assert_eq!(derived["consistentValue"], "a session");

    // Prometheus reads the metrics; 3 is its opinion of names that Kafka Connect has chosen.
    let (status, found) = promtool(&["check", "metrics"], &worker.metrics().await);
    assert!([0, 3].contains(&status), "{found}");
    assert!(worker.stop().success());
}
