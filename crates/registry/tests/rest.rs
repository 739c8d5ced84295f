//! The embedded registry's REST interface: bodies, statuses and error codes as Confluent has them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Server;
use serde_json::{Value, json};

const V1: &str =
    r#"{"type":"record","name":"User","namespace":"a.b","fields":[{"name":"id","type":"string"}]}"#;
const V2: &str = r#"{"type":"record","name":"User","namespace":"a.b","fields":[{"name":"id","type":"string"},{"name":"age","type":"int","default":0}]}"#;
/// Not readable from V1: a field without default.
const BAD: &str = r#"{"type":"record","name":"User","namespace":"a.b","fields":[{"name":"id","type":"string"},{"name":"age","type":"int"}]}"#;

fn avro(text: &str) -> Value {
    json!({ "schema": text })
}

fn shown(answer: &(u16, Value)) -> String {
    format!("{} {}", answer.0, answer.1)
}

#[tokio::test]
async fn a_schema_is_registered_found_and_read_in_every_way() {
    let server = Server::start().await;
    let spaced = V1.replace(':', " : ");
    let registered = server
        .post("/subjects/users-value/versions", avro(&spaced))
        .await;
    insta::assert_snapshot!(shown(&registered), @r#"200 {"version":1,"id":1,"guid":"71978cd0-589d-8c85-8600-89ba0871e954"}"#);
    // The same schema under another subject has the same id and GUID.
    let again = server.post("/subjects/other/versions", avro(V1)).await;
    assert_eq!(again, registered);
    for (path, expected) in [
        ("/subjects", json!(["other", "users-value"])),
        ("/subjects?subjectPrefix=use", json!(["users-value"])),
        ("/subjects?offset=1&limit=1", json!(["users-value"])),
        ("/subjects/users-value/versions", json!([1])),
        ("/schemas/ids/1/subjects", json!(["other", "users-value"])),
        (
            "/schemas/ids/1/versions?subject=other",
            json!([{"subject": "other", "version": 1}]),
        ),
        ("/schemas/types", json!(["JSON", "AVRO"])),
        ("/contexts", json!(["."])),
        ("/", json!({})),
    ] {
        assert_eq!(server.get(path).await, (200, expected), "{path}");
    }
    let version = server.get("/subjects/users-value/versions/latest").await;
    insta::assert_snapshot!(shown(&version), @r#"200 {"subject":"users-value","version":1,"id":1,"guid":"71978cd0-589d-8c85-8600-89ba0871e954","schema":"{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"a.b\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}"}"#);
    for same in [
        "/subjects/users-value/versions/1",
        "/subjects/users-value/versions/-1",
    ] {
        assert_eq!(server.get(same).await, version, "{same}");
    }
    assert_eq!(
        server.post("/subjects/users-value", avro(V1)).await,
        version
    );
    let by_id = server.get("/schemas/ids/1").await;
    insta::assert_snapshot!(shown(&by_id), @r#"200 {"guid":"71978cd0-589d-8c85-8600-89ba0871e954","schema":"{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"a.b\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}"}"#);
    let guid = by_id.1["guid"].as_str().unwrap();
    assert_eq!(server.get(&format!("/schemas/guids/{guid}")).await, by_id);
    assert_eq!(
        server.get(&format!("/schemas/guids/{guid}/ids")).await,
        (200, json!([{"context": ".", "id": 1}]))
    );
    let text: Value = serde_json::from_str(V1).unwrap();
    assert_eq!(
        server.get("/schemas/ids/1/schema").await,
        (200, text.clone())
    );
    assert_eq!(
        server.get("/subjects/users-value/versions/1/schema").await,
        (200, text)
    );
    assert_eq!(
        server.get("/schemas/ids/1?fetchMaxId=true").await.1["maxId"],
        json!(1)
    );
}

#[tokio::test]
async fn errors_have_confluents_codes_and_texts() {
    let server = Server::start().await;
    server.post("/subjects/s/versions", avro(V1)).await;
    let mut answers = Vec::new();
    for (method, path, body) in [
        ("GET", "/subjects/none/versions", None),
        ("GET", "/subjects/s/versions/7", None),
        ("GET", "/subjects/s/versions/0", None),
        ("GET", "/subjects/s/versions/newest", None),
        ("GET", "/schemas/ids/99", None),
        ("GET", "/schemas/guids/not-a-guid", None),
        ("POST", "/subjects/none", Some(avro(V1))),
        ("POST", "/subjects/s", Some(avro(V2))),
        ("POST", "/subjects/s/versions", Some(avro("{\"type\":"))),
        (
            "POST",
            "/subjects/s/versions",
            Some(avro("{\"type\":\"record\"}")),
        ),
        ("POST", "/subjects/s/versions", Some(json!({}))),
        ("POST", "/subjects/s/versions", Some(json!([]))),
        (
            "POST",
            "/subjects/s/versions",
            Some(json!({"schema": "message A {}", "schemaType": "PROTOBUF"})),
        ),
        ("POST", "/subjects/s/versions", Some(avro(BAD))),
        (
            "POST",
            "/subjects/s/versions",
            Some(
                json!({"schema": V1, "references": [{"name": "x", "subject": "gone", "version": 3}]}),
            ),
        ),
        (
            "POST",
            "/subjects/s/versions",
            Some(json!({"schema": V2, "id": 17})),
        ),
        ("POST", "/subjects/%0A/versions", Some(avro(V1))),
        ("POST", "/subjects/:.ctx:s/versions", Some(avro(V1))),
        ("PUT", "/config", Some(json!({"compatibility": "SIDEWARD"}))),
        ("PUT", "/config", Some(json!({"alias": "t"}))),
        ("GET", "/config/s", None),
        ("DELETE", "/config/s", None),
        ("PUT", "/mode", Some(json!({"mode": "WRITEONLY"}))),
        ("PUT", "/mode", Some(json!({"mode": "IMPORT"}))),
        ("GET", "/mode/s", None),
        ("GET", "/nothing/here", None),
        ("PATCH", "/subjects", None),
    ] {
        let answer = server.ask(method, path, body).await;
        answers.push(format!("{method} {path}: {}", shown(&answer)));
    }
    insta::assert_snapshot!(answers.join("\n"), @r#"
    GET /subjects/none/versions: 404 {"error_code":40401,"message":"Subject 'none' not found."}
    GET /subjects/s/versions/7: 404 {"error_code":40402,"message":"Version 7 not found."}
    GET /subjects/s/versions/0: 422 {"error_code":42202,"message":"The specified version '0' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""}
    GET /subjects/s/versions/newest: 422 {"error_code":42202,"message":"The specified version 'newest' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""}
    GET /schemas/ids/99: 404 {"error_code":40403,"message":"Schema 99 not found"}
    GET /schemas/guids/not-a-guid: 404 {"error_code":40403,"message":"Schema not-a-guid not found"}
    POST /subjects/none: 404 {"error_code":40401,"message":"Subject 'none' not found."}
    POST /subjects/s: 404 {"error_code":40403,"message":"Schema not found"}
    POST /subjects/s/versions: 422 {"error_code":42201,"message":"Invalid schema: not JSON, line 1 column 8"}
    POST /subjects/s/versions: 422 {"error_code":42201,"message":"Invalid schema: not a valid Avro schema: No `name` field"}
    POST /subjects/s/versions: 422 {"error_code":42201,"message":"Invalid schema: Empty schema"}
    POST /subjects/s/versions: 400 {"error_code":400,"message":"The body is not the JSON expected here: line 1 column 2"}
    POST /subjects/s/versions: 422 {"error_code":42201,"message":"Invalid schema: schemaType must be AVRO or JSON; the embedded registry has no other"}
    POST /subjects/s/versions: 409 {"error_code":40901,"message":"Schema being registered is incompatible with an earlier schema for subject \"s\", details: [{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'age' at path '/fields/1' in the new schema has no default value and is missing in the old schema', path:'/fields/1'}, {oldSchemaVersion: 1}, {oldSchema: '{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"a.b\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}'}, {compatibility: 'BACKWARD'}]"}
    POST /subjects/s/versions: 422 {"error_code":42201,"message":"Invalid schema: No schema reference found for subject \"gone\" and version 3"}
    POST /subjects/s/versions: 422 {"error_code":42205,"message":"Subject s is not in import mode"}
    POST /subjects/%0A/versions: 422 {"error_code":42208,"message":"The specified subject '\\n' is not a valid subject."}
    POST /subjects/:.ctx:s/versions: 422 {"error_code":42208,"message":"Contexts (':.name:subject') are not supported by the embedded registry: use the default context."}
    PUT /config: 422 {"error_code":42203,"message":"Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"}
    PUT /config: 422 {"error_code":422,"message":"'alias' is not supported by the embedded registry: use compatibility and normalize"}
    GET /config/s: 404 {"error_code":40408,"message":"Subject 's' does not have subject-level compatibility configured"}
    DELETE /config/s: 404 {"error_code":40401,"message":"Subject 's' not found."}
    PUT /mode: 422 {"error_code":42204,"message":"Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT"}
    PUT /mode: 422 {"error_code":42205,"message":"Cannot import since found existing subjects"}
    GET /mode/s: 404 {"error_code":40409,"message":"Subject 's' does not have subject-level mode configured"}
    GET /nothing/here: 404 {"error_code":404,"message":"HTTP 404 Not Found"}
    PATCH /subjects: 405 {"error_code":405,"message":"HTTP 405 Method Not Allowed"}
    "#);
}

#[tokio::test]
async fn media_types_are_negotiated_and_foreign_ones_refused() {
    let server = Server::start().await;
    let http = reqwest::Client::new();
    let url = format!("{}/subjects", server.url);
    for (accept, status, content_type) in [
        (None, 200, "application/vnd.schemaregistry.v1+json"),
        (Some("*/*"), 200, "application/vnd.schemaregistry.v1+json"),
        (Some("application/json"), 200, "application/json"),
        (
            Some("text/html, application/vnd.schemaregistry+json; qs=0.9"),
            200,
            "application/vnd.schemaregistry+json",
        ),
        (
            Some("text/html"),
            406,
            "application/vnd.schemaregistry.v1+json",
        ),
    ] {
        let mut request = http.get(&url);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{accept:?}");
        assert_eq!(answer.headers()["content-type"], content_type, "{accept:?}");
    }
    let url = format!("{}/subjects/s/versions", server.url);
    for (sent, status) in [
        (Some("application/vnd.schemaregistry.v1+json"), 200),
        (Some("application/vnd.schemaregistry+json"), 200),
        (Some("application/json; charset=utf-8"), 200),
        (Some("application/octet-stream"), 200),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (None, 415),
    ] {
        let mut request = http.post(&url).body(avro(V1).to_string());
        if let Some(sent) = sent {
            request = request.header("content-type", sent);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{sent:?}");
    }
    let long = http
        .post(&url)
        .header("content-type", "application/json")
        .body(vec![b' '; 5 * 1024 * 1024])
        .send()
        .await
        .unwrap();
    assert_eq!(long.status(), 413);
}

#[tokio::test]
async fn subject_names_are_percent_decoded() {
    let server = Server::start().await;
    let path = "/subjects/a%2Fb%20%C3%BC%3Fx-value/versions";
    assert_eq!(server.post(path, avro(V1)).await.0, 200);
    assert_eq!(
        server.get("/subjects").await,
        (200, json!(["a/b ü?x-value"]))
    );
    assert_eq!(server.get(path).await, (200, json!([1])));
}

#[tokio::test]
async fn deleting_is_soft_first_and_then_for_good() {
    let server = Server::start().await;
    let mut answers = Vec::new();
    server.post("/subjects/s/versions", avro(V1)).await;
    server.post("/subjects/s/versions", avro(V2)).await;
    server
        .put("/config/s", json!({"compatibility": "FULL"}))
        .await;
    for (method, path) in [
        ("DELETE", "/subjects/s/versions/1?permanent=true"),
        ("DELETE", "/subjects/s/versions/1"),
        ("DELETE", "/subjects/s/versions/1"),
        ("GET", "/subjects/s/versions"),
        ("GET", "/subjects/s/versions?deleted=true"),
        ("GET", "/subjects/s/versions?deletedOnly=true"),
        ("GET", "/subjects/s/versions/1"),
        ("GET", "/schemas/ids/1/versions"),
        ("GET", "/schemas/ids/1/versions?deleted=true"),
        ("DELETE", "/subjects/s/versions/1?permanent=true"),
        ("GET", "/schemas/ids/1"),
        ("DELETE", "/subjects/s?permanent=true"),
        ("DELETE", "/subjects/s"),
        ("DELETE", "/subjects/s"),
        ("GET", "/config/s"),
        ("GET", "/subjects"),
        ("GET", "/subjects?deleted=true"),
        ("GET", "/subjects/s/versions/latest"),
        ("DELETE", "/subjects/s?permanent=true"),
        ("DELETE", "/subjects/s?permanent=true"),
        ("GET", "/subjects?deleted=true"),
    ] {
        let (status, mut body) = server.ask(method, path, None).await;
        if let Some(body) = body.as_object_mut() {
            body.remove("schema");
        }
        answers.push(format!("{method} {path}: {status} {body}"));
    }
    insta::assert_snapshot!(answers.join("\n"), @r#"
    DELETE /subjects/s/versions/1?permanent=true: 404 {"error_code":40407,"message":"Subject 's' Version 1 was not deleted first before being permanently deleted"}
    DELETE /subjects/s/versions/1: 200 1
    DELETE /subjects/s/versions/1: 404 {"error_code":40406,"message":"Subject 's' Version 1 was soft deleted.Set permanent=true to delete permanently"}
    GET /subjects/s/versions: 200 [2]
    GET /subjects/s/versions?deleted=true: 200 [1,2]
    GET /subjects/s/versions?deletedOnly=true: 200 [1]
    GET /subjects/s/versions/1: 404 {"error_code":40402,"message":"Version 1 not found."}
    GET /schemas/ids/1/versions: 200 []
    GET /schemas/ids/1/versions?deleted=true: 200 [{"subject":"s","version":1}]
    DELETE /subjects/s/versions/1?permanent=true: 200 1
    GET /schemas/ids/1: 404 {"error_code":40403,"message":"Schema 1 not found"}
    DELETE /subjects/s?permanent=true: 404 {"error_code":40405,"message":"Subject 's' was not deleted first before being permanently deleted"}
    DELETE /subjects/s: 200 [2]
    DELETE /subjects/s: 404 {"error_code":40404,"message":"Subject 's' was soft deleted.Set permanent=true to delete permanently"}
    GET /config/s: 404 {"error_code":40408,"message":"Subject 's' does not have subject-level compatibility configured"}
    GET /subjects: 200 []
    GET /subjects?deleted=true: 200 ["s"]
    GET /subjects/s/versions/latest: 404 {"error_code":40401,"message":"Subject 's' not found."}
    DELETE /subjects/s?permanent=true: 200 [2]
    DELETE /subjects/s?permanent=true: 404 {"error_code":40401,"message":"Subject 's' not found."}
    GET /subjects?deleted=true: 200 []
    "#);
    // Ids are not given twice.
    let anew = server.post("/subjects/s/versions", avro(V1)).await.1;
    assert_eq!((&anew["id"], &anew["version"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn a_softly_deleted_schema_comes_back_as_a_new_version_with_its_old_id() {
    let server = Server::start().await;
    server.post("/subjects/s/versions", avro(V1)).await;
    server.delete("/subjects/s/versions/latest").await;
    let (status, _) = server.post("/subjects/s", avro(V1)).await;
    assert_eq!(status, 404);
    let (status, found) = server.post("/subjects/s?deleted=true", avro(V1)).await;
    assert_eq!((status, &found["version"]), (200, &json!(1)));
    let (_, again) = server.post("/subjects/s/versions", avro(V1)).await;
    assert_eq!((&again["id"], &again["version"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_schema_that_others_refer_to_stays() {
    let server = Server::start().await;
    server.post("/subjects/user/versions", avro(V1)).await;
    let order = r#"{"type":"record","name":"Order","fields":[{"name":"by","type":"a.b.User"}]}"#;
    let references = json!([{"name": "a.b.User", "subject": "user", "version": -1}]);
    let (status, body) = server
        .post(
            "/subjects/order/versions",
            json!({"schema": order, "references": references}),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    // "Latest" became the version it was.
    let (_, order) = server.get("/subjects/order/versions/1").await;
    assert_eq!(order["references"][0]["version"], json!(1));
    assert_eq!(
        server.get("/subjects/user/versions/1/referencedby").await,
        (200, json!([2]))
    );
    for path in ["/subjects/user", "/subjects/user/versions/1"] {
        let answer = server.delete(path).await;
        assert_eq!(
            (answer.0, &answer.1["error_code"]),
            (422, &json!(42206)),
            "{path}"
        );
    }
    server.delete("/subjects/order").await;
    assert_eq!(server.delete("/subjects/user").await, (200, json!([1])));
    // The softly deleted order can still be read by id, and needs the user.
    let answer = server.delete("/subjects/user?permanent=true").await;
    assert_eq!(answer.1["error_code"], json!(42206));
    server.delete("/subjects/order?permanent=true").await;
    assert_eq!(
        server.delete("/subjects/user?permanent=true").await,
        (200, json!([1]))
    );
}

#[tokio::test]
async fn compatibility_levels_decide_what_may_follow() {
    let server = Server::start().await;
    server.post("/subjects/s/versions", avro(V1)).await;
    let path = "/compatibility/subjects/s/versions/latest";
    assert_eq!(
        server.post(path, avro(V2)).await,
        (200, json!({"is_compatible": true}))
    );
    let refused = server
        .post(&format!("{path}?verbose=true"), avro(BAD))
        .await;
    insta::assert_snapshot!(shown(&refused), @r#"200 {"is_compatible":false,"messages":["{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'age' at path '/fields/1' in the new schema has no default value and is missing in the old schema', path:'/fields/1'}","{oldSchemaVersion: 1}","{oldSchema: '{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"a.b\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}'}","{compatibility: 'BACKWARD'}"]}"#);
    assert_eq!(server.post("/subjects/s/versions", avro(BAD)).await.0, 409);
    for (level, compatible) in [
        ("NONE", true),
        ("BACKWARD", false),
        ("FORWARD", true),
        ("FULL", false),
        ("backward_transitive", false),
        ("FORWARD_TRANSITIVE", true),
        ("FULL_TRANSITIVE", false),
    ] {
        let set = server
            .put("/config/s", json!({"compatibility": level}))
            .await;
        assert_eq!(set, (200, json!({"compatibility": level})));
        assert_eq!(
            server.get("/config/s").await,
            (200, json!({"compatibilityLevel": level.to_uppercase()}))
        );
        assert_eq!(
            server.post(path, avro(BAD)).await,
            (200, json!({"is_compatible": compatible})),
            "{level}"
        );
    }
    // Nothing there to be compatible with.
    let nothing = "/compatibility/subjects/none/versions/latest?verbose=true";
    assert_eq!(
        server.post(nothing, avro(BAD)).await,
        (200, json!({"is_compatible": true, "messages": []}))
    );
    assert_eq!(
        server
            .post("/compatibility/subjects/s/versions/9", avro(V2))
            .await
            .1["error_code"],
        json!(40402)
    );
}

#[tokio::test]
async fn transitive_levels_ask_every_version() {
    let server = Server::start().await;
    let with = |fields: &str| {
        avro(&format!(
            r#"{{"type":"record","name":"R","fields":[{fields}]}}"#
        ))
    };
    let a = r#"{"name":"a","type":"int"}"#;
    let b = r#"{"name":"b","type":"int","default":1}"#;
    server.post("/subjects/s/versions", with(a)).await;
    server
        .post("/subjects/s/versions", with(&format!("{a},{b}")))
        .await;
    // Readable from the second version, not from the first: b lost its default.
    let bare_b = r#"{"name":"b","type":"int"}"#;
    let third = with(&format!("{a},{bare_b}"));
    let path = "/compatibility/subjects/s/versions";
    assert_eq!(
        server.post(path, third.clone()).await.1["is_compatible"],
        json!(true)
    );
    server
        .put("/config", json!({"compatibility": "BACKWARD_TRANSITIVE"}))
        .await;
    assert_eq!(
        server.get("/config/s?defaultToGlobal=true").await,
        (200, json!({"compatibilityLevel": "BACKWARD_TRANSITIVE"}))
    );
    assert_eq!(
        server.post(path, third.clone()).await.1["is_compatible"],
        json!(false)
    );
    assert_eq!(server.post("/subjects/s/versions", third).await.0, 409);
}

#[tokio::test]
async fn metadata_and_rules_are_kept_handed_on_and_part_of_the_identity() {
    let server = Server::start().await;
    let metadata = json!({"tags": {"a.b.User.id": ["PII"]}, "properties": {"owner": "team-a"}});
    let rules = json!({"domainRules": [{"name": "encrypt", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "ENCRYPT", "tags": ["PII"], "params": {"encrypt.kek.name": "k"}, "onFailure": "ERROR,NONE"}]});
    let mut body = avro(V1);
    body["metadata"] = metadata.clone();
    body["ruleSet"] = rules.clone();
    server.post("/subjects/s/versions", body).await;
    let (_, read) = server.get("/schemas/ids/1").await;
    assert_eq!((&read["metadata"], &read["ruleSet"]), (&metadata, &rules));
    // A client that knows nothing of them finds the schema, and does not lose them.
    let (status, found) = server.post("/subjects/s", avro(V1)).await;
    assert_eq!((status, &found["id"]), (200, &json!(1)));
    assert_eq!(
        server.post("/subjects/s/versions", avro(V1)).await.1["id"],
        json!(1)
    );
    server.post("/subjects/s/versions", avro(V2)).await;
    let (_, next) = server.get("/subjects/s/versions/2").await;
    assert_eq!(&next["ruleSet"], &rules);
    // Other metadata is another schema.
    let mut other = avro(V1);
    other["metadata"] = json!({"properties": {"owner": "team-b"}});
    let (_, registered) = server.post("/subjects/t/versions", other).await;
    assert_ne!(registered["id"], json!(1));
    let (_, latest) = server
        .get("/subjects/s/metadata?key=owner&value=team-a")
        .await;
    assert_eq!(latest["version"], json!(2));
    let (_, none) = server
        .get("/subjects/s/metadata?key=owner&value=team-x")
        .await;
    assert_eq!(none["error_code"], json!(40403));
}

#[tokio::test]
async fn modes_protect_subjects_and_let_ids_be_imported() {
    let server = Server::start().await;
    assert_eq!(
        server.get("/mode").await,
        (200, json!({"mode": "READWRITE"}))
    );
    let import = server.put("/mode/s", json!({"mode": "import"})).await;
    assert_eq!(import, (200, json!({"mode": "IMPORT"})));
    let mut body = avro(V1);
    body["id"] = json!(1000);
    body["version"] = json!(7);
    let (status, imported) = server.post("/subjects/s/versions", body).await;
    assert_eq!(status, 200, "{imported}");
    assert_eq!(
        (&imported["id"], &imported["version"]),
        (&json!(1000), &json!(7))
    );
    let mut taken = avro(V2);
    taken["id"] = json!(1000);
    let (_, refused) = server.post("/subjects/s/versions", taken).await;
    assert_eq!(refused["error_code"], json!(42207));
    assert_eq!(
        server.delete("/mode/s").await,
        (200, json!({"mode": "IMPORT"}))
    );
    // What follows goes on from there.
    let (_, next) = server.post("/subjects/s/versions", avro(V2)).await;
    assert_eq!((&next["id"], &next["version"]), (&json!(1001), &json!(8)));

    server.put("/mode/s", json!({"mode": "READONLY"})).await;
    for (method, path, body) in [
        ("POST", "/subjects/s/versions", Some(avro(V1))),
        ("DELETE", "/subjects/s", None),
        ("DELETE", "/subjects/s/versions/8", None),
    ] {
        let (status, body) = server.ask(method, path, body).await;
        assert_eq!(
            (status, &body["error_code"]),
            (422, &json!(42205)),
            "{method} {path}"
        );
    }
    server.put("/mode/s", json!({"mode": "READWRITE"})).await;
    server
        .put("/mode", json!({"mode": "READONLY_OVERRIDE"}))
        .await;
    let (_, refused) = server.post("/subjects/s/versions", avro(V1)).await;
    assert_eq!(refused["error_code"], json!(42205));
    assert_eq!(
        server.get("/mode/s?defaultToGlobal=true").await,
        (200, json!({"mode": "READONLY_OVERRIDE"}))
    );
}

#[tokio::test]
async fn normalize_changes_the_text_but_never_the_identity() {
    let server = Server::start().await;
    let shuffled = r#"{"name":"User","fields":[{"type":{"type":"string"},"name":"id"}],"namespace":"a.b","type":"record"}"#;
    let (_, first) = server
        .post("/subjects/s/versions?normalize=True", avro(shuffled))
        .await;
    assert_eq!(
        server.get("/schemas/ids/1").await.1["schema"],
        json!(r#"{"fields":[{"name":"id","type":"string"}],"name":"a.b.User","type":"record"}"#)
    );
    let (_, second) = server
        .post("/subjects/s/versions?normalize=False", avro(V1))
        .await;
    assert_eq!(
        (&first["id"], &first["version"]),
        (&second["id"], &second["version"])
    );
}

#[tokio::test]
async fn all_versions_are_listed_by_prefix_and_latest() {
    let server = Server::start().await;
    server.post("/subjects/a/versions", avro(V1)).await;
    server.post("/subjects/a/versions", avro(V2)).await;
    server.post("/subjects/b/versions", avro(V1)).await;
    for (query, expected) in [
        ("", vec![("a", 1), ("a", 2), ("b", 1)]),
        ("?latestOnly=true", vec![("a", 2), ("b", 1)]),
        ("?subjectPrefix=b", vec![("b", 1)]),
        ("?offset=1&limit=1", vec![("a", 2)]),
    ] {
        let (_, all) = server.get(&format!("/schemas{query}")).await;
        let found: Vec<_> = all
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                (
                    one["subject"].as_str().unwrap().to_owned(),
                    one["version"].as_i64().unwrap(),
                )
            })
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(s, v)| (s.to_owned(), v))
            .collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn everything_answered_survives_a_restart() {
    let server = Server::start().await;
    server.post("/subjects/s/versions", avro(V1)).await;
    server.post("/subjects/s/versions", avro(V2)).await;
    server.delete("/subjects/s/versions/1").await;
    server
        .put(
            "/config/s",
            json!({"compatibility": "FULL", "normalize": true}),
        )
        .await;
    server.put("/mode/t", json!({"mode": "READONLY"})).await;
    server
        .post("/subjects/gone/versions", json!({"schema": "\"int\""}))
        .await;
    server.delete("/subjects/gone").await;
    server.delete("/subjects/gone?permanent=true").await;
    let paths = [
        "/subjects?deleted=true",
        "/subjects/s/versions/2",
        "/subjects/s/versions?deleted=true",
        "/schemas/ids/1",
        "/schemas/ids/3",
        "/config/s",
        "/mode/t",
        "/schemas?deleted=true",
    ];
    let mut before = Vec::new();
    for path in paths {
        before.push(server.get(path).await);
    }
    let (path, dir) = server.stop().await;
    let server = Server::start_at(&path, dir).await;
    for (path, before) in paths.into_iter().zip(before) {
        assert_eq!(server.get(path).await, before, "{path}");
    }
    let (_, next) = server
        .post("/subjects/new/versions", json!({"schema": "\"long\""}))
        .await;
    assert_eq!(next["id"], json!(4));
}
