//! The demo stream for tests of the transforms that work by contract: an embedded registry with its
//! schemas, its contracts, and events as they lie in a topic.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use penstock_connect::{Metrics, Outputs, Record, TaskContext, Transform};
use penstock_contracts::{Contract, Contracts};
use penstock_formats::{Encoding, Payload, Schema, SchemaKind, Value as Tree};
use penstock_registry::{RegistryClient, RegistryConfig, SchemaRef, Store, serve};
use serde_json::{Value, json};

pub const CONTRACT: &str = "streammachine/example/1.3.0";

pub const SCHEMA: &str = r#"{"type": "record", "name": "DemoEvent", "namespace": "io.streammachine.schemas.demo.v1", "fields": [
    {"name": "strmMeta", "type": {"type": "record", "name": "StrmMeta", "fields": [
        {"name": "eventContractRef", "type": "string"},
        {"name": "nonce", "type": ["null", "int"], "default": null},
        {"name": "timestamp", "type": ["null", "long"], "default": null},
        {"name": "keyLink", "type": ["null", "string"], "default": null},
        {"name": "billingId", "type": ["null", "string"], "default": null},
        {"name": "consentLevels", "type": {"type": "array", "items": "int"}}]}},
    {"name": "uniqueIdentifier", "type": ["null", "string"], "default": null},
    {"name": "consistentValue", "type": "string"},
    {"name": "someSensitiveValue", "type": ["null", "string"], "default": null},
    {"name": "notSensitiveValue", "type": ["null", "string"], "default": null}]}"#;

/// Nested fields, lists, lists of records, and fields that cannot be encrypted.
pub const NESTED_SCHEMA: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "strmMeta", "type": {"type": "record", "name": "StrmMeta", "fields": [
        {"name": "eventContractRef", "type": "string"},
        {"name": "keyLink", "type": ["null", "string"], "default": null},
        {"name": "consentLevels", "type": {"type": "array", "items": "int"}}]}},
    {"name": "customer", "type": {"type": "record", "name": "Customer", "fields": [
        {"name": "id", "type": "string"},
        {"name": "emails", "type": {"type": "array", "items": ["null", "string"]}},
        {"name": "age", "type": "int"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}}]}},
    {"name": "notes", "type": {"type": "array", "items": {"type": "record", "name": "Note", "fields": [
        {"name": "text", "type": "string"}, {"name": "stars", "type": "long"}]}}}]}"#;

/// The demo event as JSON Schema.
pub const JSON_SCHEMA: &str = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "title": "DemoEvent", "type": "object",
    "required": ["strmMeta", "consistentValue"], "properties": {
    "strmMeta": {"type": "object", "properties": {
        "eventContractRef": {"type": "string"},
        "nonce": {"type": ["integer", "null"]}, "timestamp": {"type": ["integer", "null"]},
        "keyLink": {"type": ["string", "null"]},
        "consentLevels": {"type": "array", "items": {"type": "integer"}}}},
    "uniqueIdentifier": {"type": ["string", "null"]},
    "consistentValue": {"type": "string"},
    "someSensitiveValue": {"type": ["string", "null"]},
    "notSensitiveValue": {"type": ["string", "null"]}}}"#;

/// Contracts and schemas, with a registry behind them.
pub struct Demo {
    pub contracts: Arc<Contracts>,
    pub registry: RegistryClient,
    /// `streammachine/demo/1.0.2`.
    pub schema: Arc<Schema>,
    /// `shop/order/1.0.0`.
    pub nested: Arc<Schema>,
    /// `streammachine/demo-json/1.0.0`.
    pub json: Arc<Schema>,
    pub metrics: Metrics,
    _dir: tempfile::TempDir,
}

impl Demo {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&dir.path().join("registry.redb")).unwrap());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { serve(store, listener, std::future::pending()).await });
        let registry = RegistryClient::new(RegistryConfig::new([url])).unwrap();
        let mut schemas = Vec::new();
        for (reference, kind, text) in [
            ("streammachine/demo/1.0.2", SchemaKind::Avro, SCHEMA),
            ("shop/order/1.0.0", SchemaKind::Avro, NESTED_SCHEMA),
            (
                "streammachine/demo-json/1.0.0",
                SchemaKind::Json,
                JSON_SCHEMA,
            ),
        ] {
            let subject = SchemaRef::parse(reference).unwrap().subject();
            schemas.push(registry.register(&subject, kind, text, &[]).await.unwrap());
        }
        let contracts = Contracts::new();
        for contract in [
            demo_contract("ACTIVE"),
            with(
                demo_contract("DRAFT"),
                &[("/ref", json!("streammachine/draft/1.0.0"))],
            ),
            with(
                demo_contract("ARCHIVED"),
                &[("/ref", json!("streammachine/archived/1.0.0"))],
            ),
            with(
                demo_contract("ACTIVE"),
                &[
                    ("/ref", json!("streammachine/json/1.0.0")),
                    ("/schemaRef", json!("streammachine/demo-json/1.0.0")),
                ],
            ),
            with(
                demo_contract("ACTIVE"),
                &[
                    ("/ref", json!("streammachine/open/1.0.0")),
                    ("/validations", json!([])),
                ],
            ),
            order_contract(),
        ] {
            contracts.put(parse(&contract)).unwrap();
        }
        let mut schemas = schemas.into_iter();
        Self {
            contracts: Arc::new(contracts),
            registry,
            schema: schemas.next().unwrap(),
            nested: schemas.next().unwrap(),
            json: schemas.next().unwrap(),
            metrics: Metrics::new(),
            _dir: dir,
        }
    }

    pub fn context(&self) -> TaskContext {
        TaskContext {
            connector: "test".into(),
            task: 0,
            tasks: 1,
            metrics: self.metrics.clone(),
            budget: penstock_connect::Budget::unlimited(),
        }
    }
}

pub fn demo_contract(state: &str) -> Value {
    json!({
        "ref": CONTRACT,
        "schemaRef": "streammachine/demo/1.0.2",
        "state": state,
        "keyField": "consistentValue",
        "piiFields": {"uniqueIdentifier": 1, "consistentValue": 2, "someSensitiveValue": 3},
        "validations": [
            {"field": "consistentValue", "type": "regex", "value": "^.+$"},
            {"field": "notSensitiveValue", "type": "regex", "value": "^[a-z ]*$"},
            {"field": "someSensitiveValue", "type": "regex", "value": "^[a-z ]*$"}
        ]
    })
}

pub fn order_contract() -> Value {
    json!({
        "ref": "shop/orders/1.0.0",
        "schemaRef": "shop/order/1.0.0",
        "state": "ACTIVE",
        "keyField": "customer/id",
        "piiFields": {"customer/id": 0, "customer/emails": 1, "notes/text": 2},
        "validations": [{"field": "customer/emails", "type": "regex", "value": "@"}]
    })
}

/// A JSON value with some of its parts replaced, by JSON pointer.
pub fn with(mut value: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, new) in changes {
        match value.pointer_mut(pointer) {
            Some(part) => *part = new.clone(),
            None => {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                value.pointer_mut(parent).unwrap()[name] = new.clone();
            }
        }
    }
    value
}

pub fn parse(contract: &Value) -> Contract {
    Contract::parse("test.json", &contract.to_string()).unwrap()
}

pub fn demo_event() -> Value {
    json!({
        "strmMeta": {
            "eventContractRef": CONTRACT, "nonce": null, "timestamp": null, "keyLink": null,
            "billingId": null, "consentLevels": [2]
        },
        "uniqueIdentifier": "279e9dcb-a9a5-497b-8d46-b213106f7fab",
        "consistentValue": "a-user-session",
        "someSensitiveValue": "a value that should be encrypted",
        "notSensitiveValue": "anyone is free to see this text"
    })
}

pub fn order_event() -> Value {
    json!({
        "strmMeta": {"eventContractRef": "shop/orders/1.0.0", "keyLink": null, "consentLevels": [1]},
        "customer": {"id": "customer-17", "emails": ["ann@example.org", null, "ann@example.com"], "age": 40, "kind": "A"},
        "notes": [{"text": "leave it at the door", "stars": 4}, {"text": "Füße kalt", "stars": 5}]
    })
}

/// A record whose value is the event in the wire format of the schema.
pub fn record(schema: &Arc<Schema>, event: &Value) -> Record {
    let text = event.to_string();
    let bytes = match schema.kind() {
        SchemaKind::Json => text.into_bytes(),
        SchemaKind::Avro => {
            let mut bytes = Vec::new();
            let tree = Tree::from_json(text.as_bytes()).unwrap();
            tree.encode(schema, &mut bytes).unwrap();
            bytes
        }
    };
    let payload = Payload::new(bytes, Encoding::Registered(schema.clone()));
    Record::new("demo".into(), Some(payload))
}

/// A record of JSON without a schema.
pub fn schemaless(event: &Value) -> Record {
    let payload = Payload::new(event.to_string(), Encoding::Json);
    Record::new("demo".into(), Some(payload))
}

/// The value of a record as JSON.
pub fn shown(record: &Record) -> Value {
    let mut text = Vec::new();
    record.value.as_ref().unwrap().to_json(&mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Sends a batch through a transform, as the runner does.
pub async fn run(transform: &mut dyn Transform, records: Vec<Record>) -> Outputs {
    let mut out = Outputs::default();
    transform.prepare(&records).await.unwrap();
    for (index, record) in records.into_iter().enumerate() {
        transform.apply(index, record, &mut out);
    }
    for record in &mut out.passed {
        record.value.as_mut().unwrap().flatten();
    }
    out
}
