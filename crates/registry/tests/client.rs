//! The registry client: caches, single flight, references, retries, credentials. Where it says so
//! also against a real registry named by `PENSTOCK_TEST_REGISTRY`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use common::{Server, client_of, service};
use penstock_formats::SchemaKind;
use penstock_registry::{
    Auth, Reference, RegistryClient, RegistryConfig, RegistryError, Retry, SchemaRef, Secret,
};
use serde_json::json;
use uuid::Uuid;

const USER: &str =
    r#"{"type":"record","name":"User","namespace":"a.b","fields":[{"name":"id","type":"string"}]}"#;
const ORDER: &str = r#"{"type":"record","name":"Order","namespace":"a.b","fields":[{"name":"by","type":"a.b.User"},{"name":"to","type":"User"}]}"#;

/// A registry of the test's own making: answers in turn what it is told, then 404; counts requests.
async fn scripted<F>(answer: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(usize, Request) -> Response + Send + Sync + Clone + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let app = Router::new().fallback(move |request: Request| {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        let answer = answer(number, request);
        async move {
            // Long enough for all who ask at the same time to be there.
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, asked)
}

fn schema_answer() -> Response {
    axum::Json(json!({"schema": "\"string\""})).into_response()
}

fn error_answer(status: u16, code: i64, message: &str) -> Response {
    let body = json!({"error_code": code, "message": message});
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

#[tokio::test]
async fn a_schema_is_asked_for_once_however_many_ask() {
    let (url, asked) = scripted(|_, _| schema_answer()).await;
    let client = client_of(&url);
    assert!(client.cached(7).is_none());
    let calls = (0..20).map(|_| client.by_id(7));
    let schemas = futures::future::try_join_all(calls).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(schemas.iter().all(|s| Arc::ptr_eq(s, &schemas[0])));
    assert!(Arc::ptr_eq(&client.cached(7).unwrap(), &schemas[0]));
    client.by_id(7).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_unknown_stays_unknown_for_a_while_only() {
    let (url, asked) = scripted(|number, _| match number {
        0 => error_answer(404, 40403, "Schema 7 not found"),
        _ => schema_answer(),
    })
    .await;
    let mut config = RegistryConfig::new([&url]);
    config.unknown_for = Duration::from_millis(200);
    let client = RegistryClient::new(config).unwrap();
    for _ in 0..3 {
        let error = client.by_id(7).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retry()),
            (Some(40403), Retry::Never),
            "{error}"
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_millis(250)).await;
    client.by_id(7).await.unwrap();
}

#[tokio::test]
async fn overload_and_failure_are_waited_out() {
    let (url, asked) = scripted(|number, _| match number {
        0 => error_answer(500, 50001, "Error in the backend data store"),
        1 => (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", "0")],
            "slow down",
        )
            .into_response(),
        2 => StatusCode::BAD_GATEWAY.into_response(),
        _ => schema_answer(),
    })
    .await;
    client_of(&url).by_id(1).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn waiting_has_an_end_and_says_to_come_back() {
    let (url, asked) = scripted(|_, _| StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
    let mut config = RegistryConfig::new([&url]);
    config.max_wait = Duration::from_millis(500);
    let error = RegistryClient::new(config)
        .unwrap()
        .by_id(1)
        .await
        .unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff);
    assert!(asked.load(Ordering::SeqCst) > 1);
    insta::assert_snapshot!(error, @r#"GET /schemas/ids/1: the schema registry is not available: it answered 503 Service Unavailable"#);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut config = RegistryConfig::new([format!("http://127.0.0.1:{port}")]);
    config.max_wait = Duration::from_millis(500);
    let error = RegistryClient::new(config)
        .unwrap()
        .by_id(1)
        .await
        .unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff, "{error}");
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn refusals_are_final_and_show_the_registrys_words() {
    for (status, code, message) in [
        (409, 40901, "Schema being registered is incompatible"),
        (422, 42201, "Invalid schema"),
        (401, 40101, "Unauthorized"),
    ] {
        let (url, asked) = scripted(move |_, _| error_answer(status, code, message)).await;
        let error = client_of(&url)
            .register("s", SchemaKind::Avro, "\"string\"", &[])
            .await
            .unwrap_err();
        assert_eq!((error.code(), error.retry()), (Some(code), Retry::Never));
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
    let (url, _) = scripted(|_, _| "<html>not a registry</html>".into_response()).await;
    let error = client_of(&url).by_id(1).await.unwrap_err();
    assert!(matches!(error, RegistryError::BadAnswer { .. }), "{error}");
    assert!(!error.to_string().contains("html"), "{error}");
}

#[tokio::test]
async fn another_url_answers_for_one_that_is_away() {
    let (bad, bad_asked) = scripted(|_, _| StatusCode::BAD_GATEWAY.into_response()).await;
    let (good, _) = scripted(|_, _| schema_answer()).await;
    let client = RegistryClient::new(RegistryConfig::new([bad, good])).unwrap();
    client.by_id(1).await.unwrap();
    client.by_id(2).await.unwrap();
    // The one that answered is asked first from then on.
    assert_eq!(bad_asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let (url, _) = scripted(move |_, request| {
        let header = request.headers().get("authorization");
        let text = header.map(|h| h.to_str().unwrap().to_owned());
        record
            .lock()
            .unwrap()
            .push((text, request.uri().to_string()));
        error_answer(401, 40101, "Unauthorized")
    })
    .await;
    let in_url = url.replace("http://", "http://us%65r:p%40ss@") + "/apis/ccompat/v7/";
    for (url, auth) in [
        (
            url.clone(),
            Auth::Basic {
                user: "user".into(),
                password: Secret::new("p@ss"),
            },
        ),
        (in_url, Auth::None),
        (url, Auth::Bearer(Secret::new("p@ss"))),
    ] {
        let mut config = RegistryConfig::new([url]);
        config.auth = auth;
        let error = RegistryClient::new(config.clone())
            .unwrap()
            .by_id(1)
            .await
            .unwrap_err();
        assert!(!format!("{error} {:?}", config.auth).contains("p@ss"));
    }
    let seen = seen.lock().unwrap();
    let basic = Some("Basic dXNlcjpwQHNz".to_owned());
    assert_eq!(seen[0], (basic.clone(), "/schemas/ids/1".into()));
    assert_eq!(seen[1], (basic, "/apis/ccompat/v7/schemas/ids/1".into()));
    assert_eq!(seen[2].0.as_deref(), Some("Bearer p@ss"));
}

#[tokio::test]
async fn over_tls_only_a_trusted_registry_is_believed() {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = signed.cert.pem();
    let tls = axum_server::tls_rustls::RustlsConfig::from_pem(
        certificate.clone().into_bytes(),
        signed.signing_key.serialize_pem().into_bytes(),
    )
    .await
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = penstock_registry::Store::open(&dir.path().join("registry.redb")).unwrap();
    let app = penstock_registry::router(Arc::new(store));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
    tokio::spawn(server.serve(app.into_make_service()));
    let mut config = RegistryConfig::new([url]);
    config.max_wait = Duration::from_millis(500);
    let error = RegistryClient::new(config.clone())
        .unwrap()
        .subjects()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    config.ca_pem = Some(certificate.into_bytes());
    let client = RegistryClient::new(config).unwrap();
    assert_eq!(client.subjects().await.unwrap(), Vec::<String>::new());
}

#[test]
fn settings_that_cannot_work_are_refused_without_showing_secrets() {
    for (url, reason) in [
        ("registry:8081", "http://"),
        ("ftp://user:hunter2@h", "http://"),
        ("http://user:hunter2@", "URL"),
    ] {
        let error = RegistryClient::new(RegistryConfig::new([url])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(reason) && !text.contains("hunter2"), "{text}");
    }
    assert!(RegistryClient::new(RegistryConfig::new(Vec::<String>::new())).is_err());
    let mut config = RegistryConfig::new(["https://localhost"]);
    config.ca_pem =
        Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    assert!(RegistryClient::new(config).is_err());
}

#[tokio::test]
async fn references_that_lead_in_a_circle_end() {
    let (url, _) = scripted(|_, request| {
        let there = if request.uri().path().contains("/a/") {
            "b"
        } else {
            "a"
        };
        axum::Json(json!({
            "subject": "s", "version": 1, "id": 5, "schema": "\"string\"",
            "references": [{"name": "n", "subject": there, "version": 1}],
        }))
        .into_response()
    })
    .await;
    let error = client_of(&url).by_id(1).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"the references of subject 'b' version 1 form a cycle: a version 1 -> b version 1 -> a version 1"#);
}

#[tokio::test]
async fn a_guid_finds_the_schema_and_its_id() {
    let server = Server::start().await;
    let writer = server.client();
    let schema = writer
        .register("s", SchemaKind::Avro, USER, &[])
        .await
        .unwrap();
    let guid = schema.guid().unwrap();
    let reader = server.client();
    assert!(reader.cached_guid(guid).is_none());
    let found = reader.by_guid(guid).await.unwrap();
    assert_eq!((found.id(), found.guid()), (schema.id(), Some(guid)));
    assert!(Arc::ptr_eq(&found, &reader.cached_guid(guid).unwrap()));
    // Id and GUID lead to one and the same object.
    assert!(Arc::ptr_eq(
        &found,
        &reader.by_id(found.id().unwrap()).await.unwrap()
    ));
    let unknown = reader.by_guid(Uuid::nil()).await.unwrap_err();
    assert!(unknown.is_not_found());
}

#[tokio::test]
async fn the_embedded_registry_serves_the_client() {
    let server = Server::start().await;
    client_contract(&server.client(), &server.client(), "").await;
}

#[tokio::test]
async fn a_real_registry_serves_the_client() {
    let Some(url) = service("PENSTOCK_TEST_REGISTRY", "a registry's base URL") else {
        return;
    };
    // The registry may outlive the test: subjects of its own.
    let prefix = format!("t{}-", Uuid::new_v4().simple());
    client_contract(&client_of(&url), &client_of(&url), &prefix).await;
}

/// Everything a client does, whatever registry is behind it. `reader` has not seen what `writer` did.
async fn client_contract(writer: &RegistryClient, reader: &RegistryClient, prefix: &str) {
    let named = |name: &str| format!("{prefix}{name}");
    let user = named("user-value");
    let registered = writer
        .register(&user, SchemaKind::Avro, USER, &[])
        .await
        .unwrap();
    let id = registered.id().unwrap();
    assert_eq!(registered.name(), Some("a.b.User"));
    let again = writer
        .register(&user, SchemaKind::Avro, USER, &[])
        .await
        .unwrap();
    assert_eq!(again.id(), Some(id));

    // Avro references, used by full name and by name within the namespace.
    let references = [Reference {
        name: "a.b.User".into(),
        subject: user.clone(),
        version: 1,
    }];
    let order = writer
        .register(&named("order-value"), SchemaKind::Avro, ORDER, &references)
        .await
        .unwrap();
    let read = reader.by_id(order.id().unwrap()).await.unwrap();
    assert_eq!(
        (read.kind(), read.name()),
        (SchemaKind::Avro, Some("a.b.Order"))
    );
    assert!(read.avro_schema().is_some());

    // JSON Schema with references.
    let common = named("common.1.0.0");
    let text = r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"dt":{"type":"string"}},"required":["dt"]}"#;
    writer
        .register(&common, SchemaKind::Json, text, &[])
        .await
        .unwrap();
    let references = [Reference {
        name: "common.json".into(),
        subject: common,
        version: 1,
    }];
    let text = r#"{"$schema":"http://json-schema.org/draft-07/schema#","title":"event","type":"object","properties":{"meta":{"$ref":"common.json"}}}"#;
    let event_ref = SchemaRef::parse(&format!("{prefix}h/event/1.0.0")).unwrap();
    writer
        .register(&event_ref.subject(), SchemaKind::Json, text, &references)
        .await
        .unwrap();
    let event = reader.by_ref(&event_ref).await.unwrap();
    assert_eq!(
        (event.kind(), event.name()),
        (SchemaKind::Json, Some("event"))
    );
    assert!(event.validate_json(br#"{"meta":{"dt":"x"}}"#).is_ok());
    assert!(event.validate_json(br#"{"meta":{}}"#).is_err());
    assert!(Arc::ptr_eq(&event, &reader.cached_ref(&event_ref).unwrap()));
    assert!(Arc::ptr_eq(
        &event,
        &reader.by_id(event.id().unwrap()).await.unwrap()
    ));

    // Versions, lookups, lists.
    let latest = reader.latest(&user).await.unwrap();
    assert_eq!((latest.version, latest.schema.id()), (1, Some(id)));
    let first = reader.version(&user, 1).await.unwrap();
    assert_eq!(first.schema.id(), Some(id));
    let found = reader
        .lookup(&user, SchemaKind::Avro, USER, &[])
        .await
        .unwrap();
    assert_eq!((found.version, found.schema.id()), (1, Some(id)));
    assert_eq!(reader.versions(&user).await.unwrap(), [1]);
    assert!(reader.subjects().await.unwrap().contains(&user));

    // What is not there.
    let absent = SchemaRef::parse(&format!("{prefix}h/none/1.0.0")).unwrap();
    for error in [
        reader.by_id(2_000_000_000).await.unwrap_err(),
        reader.by_ref(&absent).await.unwrap_err(),
        reader.latest(&named("none")).await.unwrap_err(),
        reader.version(&user, 99).await.unwrap_err(),
        reader
            .lookup(&user, SchemaKind::Avro, "\"int\"", &[])
            .await
            .unwrap_err(),
    ] {
        assert!(error.is_not_found(), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
    // What is refused.
    let invalid = writer
        .register(&user, SchemaKind::Avro, r#"{"type":"nonsense"}"#, &[])
        .await
        .unwrap_err();
    assert_eq!(invalid.retry(), Retry::Never, "{invalid}");
}

#[tokio::test]
async fn a_404_of_an_ingress_is_waited_out_and_does_not_make_a_schema_unknown() {
    let (url, asked) = scripted(|number, _| match number {
        0 => (StatusCode::NOT_FOUND, "default backend - 404").into_response(),
        1 => error_answer(404, 404, "HTTP 404 Not Found"),
        _ => schema_answer(),
    })
    .await;
    client_of(&url).by_id(7).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let (url, _) = scripted(|_, _| StatusCode::NOT_FOUND.into_response()).await;
    let mut config = RegistryConfig::new([&url]);
    config.max_wait = Duration::from_millis(200);
    let error = RegistryClient::new(config).unwrap().by_id(7).await;
    let error = error.unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff, "{error}");
    assert!(!error.is_not_found() && !error.is_about_schema(), "{error}");
    assert!(error.to_string().contains("schema.registry.url"), "{error}");
}

#[tokio::test]
async fn what_is_about_a_schema_is_told_from_what_is_about_the_service() {
    let cases: [(fn() -> Response, bool); 8] = [
        (|| error_answer(404, 40401, "no subject"), true),
        (|| error_answer(409, 409, "incompatible"), true),
        (|| error_answer(422, 42201, "no schema"), true),
        (
            || axum::Json(json!({"schema": "{\"type\": \"nonsense\"}"})).into_response(),
            true,
        ),
        (|| error_answer(422, 42205, "read-only"), false),
        (|| error_answer(401, 401, "Unauthorized"), false),
        (|| StatusCode::FORBIDDEN.into_response(), false),
        (|| "<html>please log in</html>".into_response(), false),
    ];
    for (number, (answer, about_schema)) in cases.into_iter().enumerate() {
        let (url, _) = scripted(move |_, _| answer()).await;
        let error = client_of(&url).by_id(7).await.unwrap_err();
        assert_eq!(error.is_about_schema(), about_schema, "{number}: {error}");
    }
}

#[tokio::test]
async fn a_refusal_says_where_to_look() {
    for (status, text) in [(401, "basic.auth.user.info"), (403, "rights")] {
        let (url, _) = scripted(move |_, _| error_answer(status, status.into(), "no")).await;
        let error = client_of(&url).by_id(7).await.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[tokio::test]
async fn ids_that_no_registry_gives_are_not_asked_for() {
    let (url, asked) = scripted(|_, _| StatusCode::NOT_FOUND.into_response()).await;
    let client = client_of(&url);
    for id in [0, 0x8000_0000, u32::MAX] {
        let error = client.by_id(id).await.unwrap_err();
        assert!(error.is_about_schema(), "{error}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_guid_is_unknown_to_a_registry_without_guids_but_not_to_an_ingress_with_nothing_behind() {
    let (url, _) = scripted(|_, request| match request.uri().path() {
        "/schemas/types" => axum::Json(json!(["AVRO", "JSON"])).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let error = client_of(&url).by_guid(Uuid::nil()).await.unwrap_err();
    assert!(error.is_about_schema(), "{error}");

    let (url, _) = scripted(|_, _| StatusCode::NOT_FOUND.into_response()).await;
    let error = client_of(&url).by_guid(Uuid::nil()).await.unwrap_err();
    assert!(!error.is_about_schema(), "{error}");

    if let Some(url) = service("PENSTOCK_TEST_REGISTRY", "a schema registry") {
        let client = client_of(&url);
        let error = client.by_guid(Uuid::nil()).await.unwrap_err();
        assert!(error.is_about_schema(), "{error}");
        let error = client.by_id(2_000_000_000).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
        let error = client.latest("nobody.has.this").await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
    }
}
