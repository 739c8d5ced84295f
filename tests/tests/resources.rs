//! Streams, schemas and contracts from the command line: created, listed, shown, used and deleted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Estate, eventually, on_both_brokers};
use serde_json::{Value, json};

const SCHEMA: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
  {"name": "strmMeta", "type": {"type": "record", "name": "StrmMeta", "fields": [
    {"name": "eventContractRef", "type": "string"},
    {"name": "nonce", "type": ["null", "int"], "default": null},
    {"name": "timestamp", "type": ["null", "long"], "default": null},
    {"name": "keyLink", "type": ["null", "string"], "default": null},
    {"name": "consentLevels", "type": {"type": "array", "items": "int"}}
  ]}},
  {"name": "customer", "type": {"type": "record", "name": "Customer", "fields": [
    {"name": "id", "type": "string"},
    {"name": "emails", "type": {"type": "array", "items": "string"}}
  ]}},
  {"name": "total", "type": "double"}
]}"#;

const CONTRACT: &str = r#"{"ref": "shop/orders/2.0.0", "schemaRef": "shop/order/1.0.0", "state": "ACTIVE",
  "keyField": "customer/id", "piiFields": {"customer/id": 0, "customer/emails": 1}, "validations": []}"#;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn refused(deployment: &Deployment, arguments: &[&str]) -> String {
    let output = deployment.penstock(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Names in a listing.
fn names(list: &Value, field: &str) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry[field].as_str().unwrap().to_owned())
        .collect()
}

on_both_brokers! {
    async fn an_event_type_of_ones_own_is_set_up_from_the_command_line(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.write("later/order.avsc", SCHEMA);
        deployment.write("later/contract.json", CONTRACT);
        let worker = deployment.start().await;

        let _ = deployment.ask(&["create", "schema", "shop/order/1.0.0", "later/order.avsc"]);
        // The same content again is no change; other content under a published ref is refused.
        let _ = deployment.ask(&["create", "schema", "shop/order/1.0.0", "later/order.avsc"]);
        deployment.write("later/order.avsc", &SCHEMA.replace("total", "sum"));
        let errors = refused(&deployment, &["create", "schema", "shop/order/1.0.0", "later/order.avsc"]);
        assert!(errors.contains("in the registry with other content"), "{errors}");
        // One that refers to another is created after it.
        let draft = "http://json-schema.org/draft-07/schema#";
        let meta = json!({"$schema": draft, "type": "object", "properties": {"dt": {"type": "string"}}});
        let visit = json!({"$schema": draft, "type": "object", "properties": {"meta": {"$ref": "/shop/meta/1.0.0#"}}});
        deployment.write("later/meta.json", &meta.to_string());
        deployment.write("later/visit.json", &visit.to_string());
        let visit = ["create", "schema", "shop/visit/1.0.0", "later/visit.json"];
        let errors = refused(&deployment, &visit);
        assert!(errors.contains("shop/meta/1.0.0, which is not in the registry"), "{errors}");
        let _ = deployment.ask(&["create", "schema", "shop/meta/1.0.0", "later/meta.json"]);
        for _ in 0..2 {
            let _ = deployment.ask(&visit);
        }
        let _ = deployment.ask(&["create", "contract", "later/contract.json"]);
        let schemas = parsed(&deployment.ask(&["list", "schemas", "-o", "json"]));
        assert!(names(&schemas, "ref").contains(&"shop/order/1.0.0".to_owned()), "{schemas}");
        let schema = parsed(&deployment.ask(&["get", "schema", "shop/order/1.0.0"]));
        assert_eq!(schema["schema"]["name"], "Order");
        let contracts = parsed(&deployment.ask(&["list", "contracts", "-o", "json"]));
        assert_eq!(names(&contracts, "ref"), ["shop/orders/2.0.0", "streammachine/example/1.3.0"]);

        let made = parsed(&deployment.ask(&[
            "create", "stream", "--derived-from", "demo", "--levels", "0,1", "--granular", "-o", "json",
        ]));
        assert_eq!(made["name"], "demo-0-1");
        assert_eq!((made["derived_from"].as_str(), made["levels"].as_str()), (Some("demo"), Some("0,1")));
        assert_eq!(made["mode"], "granular");
        deployment.write(
            "later/orders.properties",
            "name=orders\nconnector.class=FileSink\ntopics=demo-0-1\nfile=out/{topic}-{partition}.jsonl\n\
             value.converter=io.confluent.connect.avro.AvroConverter\n",
        );
        let _ = deployment.ask(&["create", "connector", "later/orders.properties"]);

        // Both events go through the same stream; only one has all the consent that was asked for.
        for (id, levels) in [("ann", vec![0]), ("ben", vec![1, 0])] {
            let event = json!({
                "strmMeta": {"eventContractRef": "shop/orders/2.0.0", "consentLevels": levels},
                "customer": {"id": id, "emails": [format!("{id}@example.org"), "second@example.org"]},
                "total": 12.5,
            });
            let answer = deployment.gateway().send_json("shop/order/1.0.0", &event).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
        let derived = eventually("the event with consent", async || {
            let lines = deployment.output("demo-0-1");
            (!lines.is_empty()).then_some(lines)
        })
        .await;
        assert_eq!(derived.len(), 1);
        assert_eq!(derived[0]["customer"], json!({"id": "ben", "emails": ["ben@example.org", "second@example.org"]}));
        let raw = eventually("both events", async || {
            let lines = deployment.output("demo");
            (lines.len() == 2).then_some(lines)
        })
        .await;
        for event in raw {
            let text = event.to_string();
            assert!(!text.contains("example.org") && !text.contains("\"ann\""), "encrypted: {text}");
        }

        let stream = parsed(&deployment.ask(&["get", "stream", "demo-0-1", "-o", "json"]));
        assert_eq!((stream["name"].as_str(), stream["partitions"].as_i64()), (Some("demo-0-1"), Some(1)));
        assert_eq!((stream["derived_from"].as_str(), stream["levels"].as_str()), (Some("demo"), Some("0,1")));
        let stream = deployment.ask(&["get", "stream", "demo"]);
        for word in ["NAME", "PARTITIONS", "DERIVED FROM", "demo"] {
            assert!(stream.contains(word), "{word} in {stream}");
        }

        // What was set up survives a restart.
        assert!(worker.stop().success());
        let worker = deployment.start().await;
        let contracts = parsed(&deployment.ask(&["list", "contracts", "-o", "json"]));
        assert!(names(&contracts, "ref").contains(&"shop/orders/2.0.0".to_owned()), "{contracts}");
        assert!(deployment.ask(&["list", "connectors"]).contains("demo-0-1"));

        let _ = deployment.ask(&["delete", "connector", "orders"]);
        let _ = deployment.ask(&["delete", "stream", "demo-0-1"]);
        let streams = parsed(&deployment.ask(&["list", "streams", "-o", "json"]));
        assert!(!names(&streams, "name").contains(&"demo-0-1".to_owned()), "{streams}");
        // A contract that events may name stays, and with it what it says is personal.
        let errors = refused(&deployment, &["delete", "contract", "shop/orders/2.0.0"]);
        assert!(errors.contains("ACTIVE") && errors.contains("ARCHIVED"), "{errors}");
        deployment.write("later/contract.json", &CONTRACT.replace(", \"customer/emails\": 1", ""));
        let errors = refused(&deployment, &["create", "contract", "later/contract.json"]);
        assert!(errors.contains("only its state may change"), "{errors}");
        deployment.write("later/contract.json", &CONTRACT.replace("ACTIVE", "ARCHIVED"));
        let _ = deployment.ask(&["create", "contract", "later/contract.json"]);
        let contract = parsed(&deployment.ask(&["get", "contract", "shop/orders/2.0.0"]));
        assert_eq!(contract["state"], "ARCHIVED");
        let errors = refused(&deployment, &["delete", "contract", "shop/orders/2.0.0"]);
        assert!(errors.contains("ARCHIVED"), "{errors}");
        // One that is being written may go.
        let draft = CONTRACT.replace("ACTIVE", "DRAFT").replace("2.0.0", "3.0.0");
        deployment.write("later/contract.json", &draft);
        let _ = deployment.ask(&["create", "contract", "later/contract.json"]);
        let _ = deployment.ask(&["delete", "contract", "shop/orders/3.0.0"]);
        let errors = refused(&deployment, &["get", "contract", "shop/orders/3.0.0"]);
        assert!(errors.contains("there is no contract"), "{errors}");
        let _ = deployment.ask(&["delete", "schema", "shop/order/1.0.0"]);
        let errors = refused(&deployment, &["get", "schema", "shop/order/1.0.0"]);
        assert!(errors.contains("shop/order/1.0.0"), "{errors}");
        let schemas = parsed(&deployment.ask(&["list", "schemas", "-o", "json"]));
        assert!(!names(&schemas, "ref").contains(&"shop/order/1.0.0".to_owned()), "{schemas}");
        // A contract of a file stays the file's.
        let errors = refused(&deployment, &["delete", "contract", "streammachine/example/1.3.0"]);
        assert!(errors.contains("contracts.dir"), "{errors}");
        assert!(worker.stop().success());
    }

    async fn what_cannot_be_set_up_is_refused_with_the_reason(estate: Estate) {
        let deployment = estate.deploy("demo");
        // Another name than above: both tests may have the same registry, and there it is deleted.
        let contract = CONTRACT
            .replace("shop/order/", "shop/receipt/")
            .replace("customer/id\": 0", "customer/no\": 0");
        deployment.write("later/contract.json", &contract);
        deployment.write("later/order.avsc", SCHEMA);
        let worker = deployment.start().await;
        let _ = deployment.ask(&["create", "schema", "shop/receipt/1.0.0", "later/order.avsc"]);
        deployment.write(
            "later/full.properties",
            "name=fill\nconnector.class=TopicPipeline\ntopics=demo\ntransforms=route\n\
             transforms.route.type=RegexRouter\ntransforms.route.regex=demo\ntransforms.route.replacement=full\n",
        );
        let _ = deployment.ask(&["create", "connector", "later/full.properties"]);
        let answer = deployment.gateway().send_json(DEMO_SCHEMA, &demo("a session", &[])).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        eventually("a record that somebody else has put there", async || {
            let output = deployment.penstock(&["get", "stream", "full", "-o", "json"]);
            (output.status.success() && parsed(std::str::from_utf8(&output.stdout).ok()?)["offsets"] != 0).then_some(())
        })
        .await;
        let errors = refused(&deployment, &["create", "contract", "later/contract.json"]);
        assert!(errors.contains("customer/no") || errors.contains("customer.no"), "{errors}");
        deployment.write(
            "later/wrong.properties",
            "name=wrong\nconnector.class=FileSink\ntopics=demo\ntasks.mxa=2\n",
        );
        let errors = refused(&deployment, &["create", "connector", "later/wrong.properties"]);
        for told in [
            "later/wrong.properties: file: is required",
            "later/wrong.properties:4: tasks.mxa: unknown key; did you mean tasks.max?",
        ] {
            assert!(errors.contains(told), "{told} in {errors}");
        }
        let health = parsed(&deployment.ask(&["health", "-o", "json"]));
        assert_eq!(health["status"], "healthy");
        for (arguments, reason) in [
            (&["create", "stream", "demo"][..], "stream demo exists already"),
            (&["create", "stream", "--derived-from", "demo", "--levels", "2"], "stream demo-2 exists already"),
            (
                &["create", "stream", "full", "--derived-from", "demo", "--levels", "2"],
                "stream full exists already",
            ),
            (&["create", "stream", "--derived-from", "nowhere", "--levels", "2"], "no stream nowhere"),
            (&["create", "stream", "_penstock.mine"], "belongs to the worker itself"),
            (
                &["create", "stream", "_penstock.keys", "--derived-from", "demo", "--levels", "2"],
                "belongs to the worker itself",
            ),
            (&["get", "stream", "nowhere"], "no stream nowhere"),
            (&["keys", "export", "--stream", "demo"], "--reveal"),
            (&["dead-letters", "demo"], "--reveal"),
        ] {
            let errors = refused(&deployment, arguments);
            assert!(errors.contains(reason), "{arguments:?}: {errors}");
        }
        assert!(worker.stop().success());
    }
}
