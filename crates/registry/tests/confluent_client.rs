//! Foreign clients against the embedded registry: confluent-kafka-python, named by
//! `PENSTOCK_TEST_PYTHON`, and the `schema_registry_converter` crate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::process::Stdio;

use apache_avro::types::Value;
use common::{Server, service};
use schema_registry_converter::async_impl::avro::{AvroDecoder, AvroEncoder};
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::avro_common::get_supplied_schema;
use schema_registry_converter::schema_registry_common::SubjectNameStrategy;

#[tokio::test]
async fn confluents_python_client_finds_a_registry() {
    let what = "a Python with confluent-kafka 2.13.0 and its schema registry extras";
    let Some(python) = service("PENSTOCK_TEST_PYTHON", what) else {
        return;
    };
    let server = Server::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/confluent_client.py");
    let output = tokio::process::Command::new(python)
        .args([script, &server.url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn schema_registry_converter_writes_and_reads_through_it() {
    let server = Server::start().await;
    let text = r#"{"type":"record","name":"User","fields":[{"name":"id","type":"string"}]}"#;
    let schema = apache_avro::Schema::parse_str(text).unwrap();
    let strategy = SubjectNameStrategy::TopicNameStrategyWithSchema(
        "users".into(),
        false,
        get_supplied_schema(&schema),
    );
    let encoder = AvroEncoder::new(SrSettings::new(server.url.clone()));
    let fields = vec![("id", Value::String("1".into()))];
    let framed = encoder.encode(fields, strategy).await.unwrap();
    let decoder = AvroDecoder::new(SrSettings::new(server.url.clone()));
    let read = decoder.decode(Some(&framed)).await.unwrap();
    assert_eq!(
        read.value,
        Value::Record(vec![("id".into(), Value::String("1".into()))])
    );
    let client = server.client();
    let latest = client.latest("users-value").await.unwrap();
    let id = u32::from_be_bytes(framed[1..5].try_into().unwrap());
    assert_eq!(latest.schema.id(), Some(id));
}
