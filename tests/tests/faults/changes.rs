//! Connectors over REST: created, paused, resumed, stopped, restarted, changed and deleted, and what is
//! left of it after the worker started again.

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Estate, eventually, on_both_brokers};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answers;

/// Asks the worker; status and body, JSON if there is one.
async fn ask(deployment: &Deployment, method: Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}{path}", deployment.rest());
    let mut request = reqwest::Client::new().request(method, url);
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

async fn get(deployment: &Deployment, path: &str) -> (u16, Value) {
    ask(deployment, Method::GET, path, Value::Null).await
}

async fn accept(deployment: &Deployment) {
    let answer = deployment
        .gateway()
        .send_json(DEMO_SCHEMA, &demo("a session", &[2]))
        .await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

async fn lines(deployment: &Deployment, topic: &str, count: usize) {
    eventually(&format!("{count} lines of {topic}"), async || {
        (deployment.output(topic).len() == count).then_some(())
    })
    .await;
}

fn copy(file: &str) -> Value {
    json!({
        "connector.class": "FileSink", "topics": "demo", "file": file,
        "value.converter": "io.confluent.connect.avro.AvroConverter",
        // As many clients write them.
        "tasks.max": 1, "errors.log.enable": true,
    })
}

const FIRST: &str = "out/first-{topic}-{partition}.jsonl";

on_both_brokers! {
    async fn a_connector_is_changed_in_every_way(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let put = Method::PUT;
        let post = Method::POST;
        let create = json!({"name": "copy", "config": copy(FIRST)});
        let (status, info) = ask(&deployment, post.clone(), "/connectors", create.clone()).await;
        assert_eq!(status, 201, "{info}");
        assert_eq!(info["tasks"], json!([{"connector": "copy", "task": 0}]));
        assert_eq!(info["type"], "sink");
        assert_eq!((&info["config"]["tasks.max"], &info["config"]["errors.log.enable"]), (&json!("1"), &json!("true")));
        let (status, error) = ask(&deployment, post.clone(), "/connectors", create).await;
        assert_eq!(status, 409);
        assert_eq!(error, json!({"error_code": 409, "message": "Connector copy already exists"}));

        accept(&deployment).await;
        lines(&deployment, "first-demo", 1).await;

        // Paused, its records wait; resumed, they come.
        assert_eq!(ask(&deployment, put.clone(), "/connectors/copy/pause", Value::Null).await.0, 202);
        let (_, status) = get(&deployment, "/connectors/copy/status").await;
        assert_eq!(status["connector"]["state"], "PAUSED");
        assert_eq!(status["tasks"][0]["state"], "PAUSED");
        accept(&deployment).await;
        lines(&deployment, "demo", 2).await;
        assert_eq!(deployment.output("first-demo").len(), 1);
        assert_eq!(ask(&deployment, put.clone(), "/connectors/copy/resume", Value::Null).await.0, 202);
        lines(&deployment, "first-demo", 2).await;

        // Stopped, it has no tasks.
        assert_eq!(ask(&deployment, put.clone(), "/connectors/copy/stop", Value::Null).await.0, 204);
        let (_, status) = get(&deployment, "/connectors/copy/status").await;
        assert_eq!((&status["connector"]["state"], &status["tasks"]), (&json!("STOPPED"), &json!([])));
        let restart = "/connectors/copy/restart";
        assert_eq!(ask(&deployment, post.clone(), restart, Value::Null).await.0, 204);
        assert_eq!(get(&deployment, "/connectors/copy/status").await.1["tasks"], json!([]));
        assert_eq!(ask(&deployment, put.clone(), "/connectors/copy/resume", Value::Null).await.0, 202);

        // Restarted as a whole and task by task, it goes on where it was.
        assert_eq!(ask(&deployment, post.clone(), restart, Value::Null).await.0, 204);
        let with_status = format!("{restart}?includeTasks=true&onlyFailed=false");
        let (status, body) = ask(&deployment, post.clone(), &with_status, Value::Null).await;
        assert_eq!((status, &body["name"]), (202, &json!("copy")));
        let task = "/connectors/copy/tasks/0/restart";
        assert_eq!(ask(&deployment, post.clone(), task, Value::Null).await.0, 204);
        let no_task = "/connectors/copy/tasks/7/restart";
        assert_eq!(ask(&deployment, post.clone(), no_task, Value::Null).await.0, 404);
        accept(&deployment).await;
        lines(&deployment, "first-demo", 3).await;

        // Other settings: with a mistake it stays as it was.
        let config = "/connectors/copy/config";
        let mut wrong = copy(FIRST);
        wrong["tasks.mxa"] = "2".into();
        let (status, error) = ask(&deployment, put.clone(), config, wrong).await;
        assert_eq!(status, 400);
        assert!(error["message"].as_str().unwrap().contains("did you mean tasks.max?"), "{error}");
        let second = "out/second-{topic}-{partition}.jsonl";
        assert_eq!(ask(&deployment, put.clone(), config, copy(second)).await.0, 200);
        assert_eq!(get(&deployment, config).await.1["file"], second);
        // From where its group was, not from the beginning.
        accept(&deployment).await;
        lines(&deployment, "second-demo", 1).await;
        assert_eq!(deployment.output("first-demo").len(), 3);

        assert_eq!(ask(&deployment, Method::DELETE, "/connectors/copy", Value::Null).await.0, 204);
        let (status, error) = get(&deployment, "/connectors/copy").await;
        assert_eq!(status, 404);
        assert_eq!(error["error_code"], 404);
        assert_eq!(ask(&deployment, Method::DELETE, "/connectors/copy", Value::Null).await.0, 404);
        assert!(worker.stop().success());
    }

    async fn requests_that_make_no_sense_are_answered_in_the_usual_shape(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let http = reqwest::Client::new();
        let other_name = json!({"name": "a", "config": {"name": "b", "connector.class": "FileSink"}});
        for (method, path, body, expected) in [
            ("POST", "/connectors", "{\"name\": ", 400),
            ("POST", "/connectors", "[]", 400),
            ("POST", "/connectors", "{\"name\": \"a\"}", 400),
            ("POST", "/connectors", "{\"name\":\"a\",\"config\":{\"topics\":[\"demo\"]}}", 400),
            ("POST", "/connectors", &other_name.to_string(), 400),
            ("POST", "/connectors", "{\"name\":\"a\",\"config\":{\"connector.class\":\"FileSnik\"}}", 400),
            ("POST", "/connectors", "{\"name\":\"a/b\",\"config\":{\"connector.class\":\"FileSink\"}}", 400),
            ("POST", "/connectors", "{\"name\":\"\",\"config\":{\"connector.class\":\"FileSink\"}}", 400),
            ("PUT", "/connectors/files/config", "not JSON", 400),
            ("PUT", "/connectors/nobody/pause", "", 404),
            ("PATCH", "/connectors/nobody/config", "{}", 404),
            ("POST", "/connectors/files/restart?onlyFailed=perhaps", "", 400),
            ("PUT", "/connector-plugins/FileSink/config/validate", "{", 400),
            ("DELETE", "/connectors", "", 405),
            ("GET", "/no/such/path", "", 404),
        ] {
            let url = format!("{}{path}", deployment.rest());
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = http
                .request(method, url)
                .header("Content-Type", "application/json")
                .body(body.to_owned());
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), expected, "{path} {body}");
            let error: Value = answer.json().await.unwrap_or_else(|_| panic!("{path} {body}"));
            assert_eq!(error["error_code"], expected, "{path} {body}: {error}");
            assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{path}: {error}");
        }
        assert_eq!(worker.get("/health").await.status(), StatusCode::OK);
        assert!(worker.stop().success());
    }

    async fn edits_outlive_the_worker_until_their_file_changes(estate: Estate) {
        let deployment = estate.deploy("demo");
        let worker = deployment.start().await;
        let put = Method::PUT;
        // One that no file has; one of a file changed, one paused, one deleted.
        let create = json!({"name": "copy", "config": copy(FIRST)});
        assert_eq!(ask(&deployment, Method::POST, "/connectors", create).await.0, 201);
        let edit = json!({"errors.log.enable": "true"});
        let files = "/connectors/files/config";
        assert_eq!(ask(&deployment, Method::PATCH, files, edit.clone()).await.0, 200);
        let pause = "/connectors/demo-2/pause";
        assert_eq!(ask(&deployment, put.clone(), pause, Value::Null).await.0, 202);
        let egress = "/connectors/egress";
        assert_eq!(ask(&deployment, Method::DELETE, egress, Value::Null).await.0, 204);
        assert!(worker.stop().success());

        let worker = deployment.start().await;
        let (_, names) = get(&deployment, "/connectors").await;
        assert_eq!(names, json!(["copy", "demo-2", "files", "gateway"]));
        assert_eq!(get(&deployment, files).await.1["errors.log.enable"], "true");
        let (_, status) = get(&deployment, "/connectors/demo-2/status").await;
        assert_eq!(status["connector"]["state"], "PAUSED");
        // Whoever wonders about the files finds it in the log.
        let output = worker.output();
        for told in [
            "connector egress was deleted over REST",
            "connector files has the settings that REST gave it",
            "connector demo-2 is PAUSED",
        ] {
            assert!(output.contains(told), "{told} in {output}");
        }
        assert!(!output.contains("connector gateway "), "{output}");
        // Created over REST although its file is given: that is an edit, too.
        let config = json!({"connector.class": "WebSocketSink", "topics": "demo", "ws.listen": "127.0.0.1:0"});
        let create = json!({"name": "egress", "config": config});
        assert_eq!(ask(&deployment, Method::POST, "/connectors", create).await.0, 201);
        assert!(worker.stop().success());

        for file in ["files", "demo-2"] {
            deployment.set(&format!("{file}.properties"), "errors.tolerance", "all");
        }
        let worker = deployment.start().await;
        let (_, files) = get(&deployment, files).await;
        assert_eq!(files["errors.tolerance"], "all");
        assert_eq!(files["errors.log.enable"], Value::Null, "{files}");
        let (_, status) = get(&deployment, "/connectors/demo-2/status").await;
        assert_eq!(status["connector"]["state"], "RUNNING");
        assert_eq!(get(&deployment, "/connectors/egress/config").await.1["topics"], "demo");
        assert!(worker.stop().success());
    }

    async fn secrets_are_not_shown_and_survive_an_edit(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("gateway.properties", "http.auth.tokens", "s3cret");
        let worker = deployment.spawn(&[("PENSTOCK_LOG", "debug")]);
        answers(&deployment).await;
        eventually("the gateway", async || {
            let status = get(&deployment, "/connectors/gateway/status").await;
            (status.1["tasks"][0]["state"] == "RUNNING").then_some(())
        }).await;
        let config = "/connectors/gateway/config";
        let (_, mut shown) = get(&deployment, config).await;
        assert_eq!(shown["http.auth.tokens"], "[hidden]");
        for path in ["/connectors?expand=info&expand=status", "/connectors/gateway", "/connectors/gateway/tasks", "/metrics"] {
            let text = worker.get(path).await.text().await.unwrap();
            assert!(!text.contains("s3cret"), "{path}: {text}");
        }
        // As a web interface does it: everything that was shown comes back with a change.
        shown["http.max.events"] = "7".into();
        assert_eq!(ask(&deployment, Method::PUT, config, shown).await.0, 200);
        eventually("a gateway that knows the token", async || {
            let request = deployment
                .gateway()
                .post("/event")
                .bearer_auth("s3cret")
                .header("Strm-Schema-Ref", DEMO_SCHEMA)
                .json(&demo("a session", &[]));
            let answer = request.send().await.ok()?;
            (answer.status() == 204).then_some(())
        }).await;
        assert!(!worker.output().contains("s3cret"), "{}", worker.output());
        assert!(worker.stop().success());
    }
}
