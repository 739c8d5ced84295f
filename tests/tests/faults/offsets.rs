//! Positions that are seen and changed from outside: a connector goes on from where it was put, whatever
//! it has written down itself.

use std::fs;

use penstock_tests::{Deployment, Estate, Worker, eventually, on_both_brokers};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bare;
use crate::journal::{count, filed, records, write_ledger};
use crate::log;
use crate::plugins::start;

/// A call of the worker's REST, with its status and answer.
pub(crate) async fn call(
    deployment: &Deployment,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let url = format!("{}{path}", deployment.rest());
    let mut request = reqwest::Client::new().request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

fn offset(partition: i32, offset: Value) -> Value {
    json!({
        "partition": {"kafka_topic": "in", "kafka_partition": partition},
        "offset": offset,
    })
}

fn at(number: i64) -> Value {
    json!({"kafka_offset": number})
}

async fn offsets(worker: &Worker, connector: &str) -> Value {
    let path = format!("/connectors/{connector}/offsets");
    worker.get(&path).await.json().await.unwrap()
}

const OFFSETS: &str = "/connectors/ledger/offsets";

on_both_brokers! {
    async fn a_sink_writes_again_from_where_it_was_put(estate: Estate) {
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 2, &records(0..200, 2));
        }
        write_ledger(&deployment, "ledger", "rows=1\n");
        let worker = start(&deployment).await;
        let written = async |wanted: usize| {
            eventually("all files", async || {
                (count(&deployment, "ledger") == wanted).then_some(())
            })
            .await;
        };
        written(200).await;
        let at_the_end = json!({"offsets": [offset(0, at(100)), offset(1, at(100))]});
        eventually("all committed", async || {
            (offsets(&worker, "ledger").await == at_the_end).then_some(())
        })
        .await;

        let back = json!({"offsets": [offset(0, at(90))]});
        let (status, answer) = call(&deployment, Method::PATCH, OFFSETS, Some(back.clone())).await;
        assert_eq!(status, 400);
        assert_eq!(
            answer["message"],
            "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
             specified connector by issuing a 'PUT' request to the '/connectors/ledger/stop' endpoint"
        );
        assert_eq!(call(&deployment, Method::DELETE, OFFSETS, None).await.0, 400);
        let stop = async || call(&deployment, Method::PUT, "/connectors/ledger/stop", None).await.0;
        let resume = async || call(&deployment, Method::PUT, "/connectors/ledger/resume", None).await.0;

        // The sink has it in its journal that everything is done.
        assert_eq!(stop().await, 204);
        let (status, answer) = call(&deployment, Method::PATCH, OFFSETS, Some(back)).await;
        let done = "The offsets for this connector have been altered successfully";
        assert_eq!((status, answer), (200, json!({"message": done})));
        let now = json!({"offsets": [offset(0, at(90)), offset(1, at(100))]});
        assert_eq!(offsets(&worker, "ledger").await, now);
        fs::remove_dir_all(deployment.path().join("files-ledger")).unwrap();
        assert_eq!(resume().await, 202);
        written(10).await;
        let again: Vec<usize> = (180..200).step_by(2).collect();
        assert_eq!(filed(&deployment, "ledger")[&0], again);

        // From the beginning of one partition, then of all.
        assert_eq!(stop().await, 204);
        let null = json!({"offsets": [offset(1, Value::Null)]});
        assert_eq!(call(&deployment, Method::PATCH, OFFSETS, Some(null)).await.0, 200);
        assert_eq!(resume().await, 202);
        written(110).await;
        assert_eq!(stop().await, 204);
        let (status, answer) = call(&deployment, Method::DELETE, OFFSETS, None).await;
        let done = "The offsets for this connector have been reset successfully";
        assert_eq!((status, answer), (200, json!({"message": done})));
        assert_eq!(offsets(&worker, "ledger").await, json!({"offsets": []}));
        fs::remove_dir_all(deployment.path().join("files-ledger")).unwrap();
        assert_eq!(resume().await, 202);
        written(200).await;
        assert!(worker.stop().success());
    }

    async fn positions_that_make_no_sense_are_refused(estate: Estate) {
        let deployment = bare(&estate);
        {
            let broker = log::open(&estate, &deployment);
            log::fill(&*broker, "in", 1, &records(0..10, 1));
        }
        write_ledger(&deployment, "ledger", "");
        let worker = start(&deployment).await;
        assert_eq!(call(&deployment, Method::PUT, "/connectors/ledger/stop", None).await.0, 204);
        let elsewhere = json!({"partition": {"kafka_topic": "out", "kafka_partition": 0}, "offset": at(1)});
        for (change, expected) in [
            (offset(0, at(11)), "offset: in-0 ends at 10, before 11"),
            (offset(0, json!({"offset": 3})), "offset: kafka_offset is not a number of at least 0"),
            (offset(7, at(1)), "partition: there is no in-7"),
            (offset(-1, at(1)), "partition: kafka_partition is not a number of at least 0"),
            (elsewhere, "partition: the connector does not read out"),
        ] {
            let body = json!({"offsets": [change]});
            let (status, answer) = call(&deployment, Method::PATCH, OFFSETS, Some(body)).await;
            assert_eq!((status, answer), (400, json!({"error_code": 400, "message": expected})));
        }
        assert_eq!(call(&deployment, Method::GET, "/connectors/nobody/offsets", None).await.0, 404);
        assert!(worker.stop().success());
    }

    async fn the_position_of_a_source_is_seen_and_changed(estate: Estate) {
        let deployment = bare(&estate);
        let worker = start(&deployment).await;
        let create = json!({"name": "changes", "initial_state": "STOPPED", "config": {
            "connector.class": "SseSource", "sse.uri": "http://127.0.0.1:9/", "topic": "t",
        }});
        let (status, answer) = call(&deployment, Method::POST, "/connectors", Some(create)).await;
        assert_eq!(status, 201, "{answer}");
        let path = "/connectors/changes/offsets";
        assert_eq!(offsets(&worker, "changes").await, json!({"offsets": []}));
        let new = json!({"offsets": [{"partition": {"task": 0}, "offset": {"id": "17"}}]});
        assert_eq!(call(&deployment, Method::PATCH, path, Some(new.clone())).await.0, 200);
        assert_eq!(offsets(&worker, "changes").await, new);
        assert_eq!(call(&deployment, Method::DELETE, path, None).await.0, 200);
        assert_eq!(offsets(&worker, "changes").await, json!({"offsets": []}));
        assert!(worker.stop().success());
    }
}
