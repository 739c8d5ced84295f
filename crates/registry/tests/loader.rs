//! A directory of schemas: checked offline, published once, never changed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::Path;

use common::{Server, client_of, service};
use penstock_registry::{Problem, SchemaRef, check_dir, register_dir};

const DEMO: &str = r#"{"type":"record","name":"Demo","fields":[{"name":"id","type":"string"}]}"#;

fn write(dir: &Path, path: &str, text: &str) {
    let file = dir.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

fn shown(dir: &Path, problems: &[Problem]) -> String {
    let root = format!("{}/", dir.display());
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| problem.to_string().replace(&root, ""))
        .collect();
    lines.join("\n")
}

fn event(target: &str) -> String {
    format!(
        r#"{{"$schema":"https://json-schema.org/draft-07/schema#","$id":"/wiki/page/change/1.1.0","title":"change","type":"object","properties":{{"meta":{{"$ref":"{target}"}}}}}}"#
    )
}

const COMMON: &str = r##"{"$schema":"https://json-schema.org/draft-07/schema#","$id":"/wiki/common/2.0.0","definitions":{"dt":{"type":"string"}},"type":"object","properties":{"dt":{"$ref":"#/definitions/dt"}},"required":["dt"]}"##;

#[tokio::test]
async fn the_embedded_registry_takes_a_directory() {
    let server = Server::start().await;
    directory_contract(&server.url, "acme").await;
    let client = server.client();
    let subjects = client.subjects().await.unwrap();
    let named = |name: &str| format!("acme.{name}");
    assert_eq!(
        subjects,
        ["common.2.0.0", "demo.1.0.2", "page.change.1.1.0"].map(named)
    );
}

#[tokio::test]
async fn a_real_registry_takes_a_directory() {
    if let Some(url) = service("PENSTOCK_TEST_REGISTRY", "a registry's base URL") {
        // The registry may outlive the test: a handle of its own.
        directory_contract(&url, &format!("t{}", uuid::Uuid::new_v4().simple())).await;
    }
}

/// A directory is published under its references, and publishing it again is nothing.
async fn directory_contract(url: &str, handle: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str| {
        let text = text.replace("/wiki/", &format!("/{handle}/"));
        write(dir.path(), &format!("{handle}/{path}"), &text);
    };
    file("demo/1.0.2.avsc", DEMO);
    file("page/change/1.1.0.json", &event("/wiki/common/2.0.0#"));
    file("common/2.0.0.json", COMMON);
    write(dir.path(), "README.md", "not a schema");
    write(dir.path(), ".hidden/x/1.0.0.json", "not looked at");
    let published = register_dir(&client_of(url), dir.path()).await.unwrap();
    let names: Vec<_> = published.iter().map(|p| p.reference.as_str()).collect();
    // What others refer to comes first.
    assert_eq!(
        names,
        ["common/2.0.0", "demo/1.0.2", "page/change/1.1.0"].map(|name| format!("{handle}/{name}"))
    );
    let reader = client_of(url);
    for one in &published {
        let schema = reader.by_ref(&one.reference).await.unwrap();
        assert_eq!(schema.id(), Some(one.id));
    }
    let schema = reader.by_ref(&published[2].reference).await.unwrap();
    assert!(schema.validate_json(br#"{"meta":{"dt":"x"}}"#).is_ok());
    assert!(schema.validate_json(br#"{"meta":{"dt":1}}"#).is_err());
    // Other white space is the same content.
    file("demo/1.0.2.avsc", &DEMO.replace(',', ",\n  "));
    let again = register_dir(&client_of(url), dir.path()).await.unwrap();
    assert_eq!(again, published);
    let subject = published[1].reference.subject();
    assert_eq!(reader.versions(&subject).await.unwrap(), [1]);
    // Other content is refused.
    file("demo/1.0.2.avsc", &DEMO.replace("string", "bytes"));
    let problems = register_dir(&client_of(url), dir.path()).await.unwrap_err();
    assert_eq!(problems.len(), 1, "{}", problems[0]);
    assert!(problems[0].message.contains("does not change"));
}

#[tokio::test]
async fn a_published_version_does_not_change() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "acme/demo/1.0.2.avsc", DEMO);
    register_dir(&server.client(), dir.path()).await.unwrap();
    let changed = DEMO.replace("]}", r#",{"name":"more","type":"int","default":0}]}"#);
    write(dir.path(), "acme/demo/1.0.2.avsc", &changed);
    write(dir.path(), "acme/other/1.0.0.avsc", DEMO);
    let problems = register_dir(&server.client(), dir.path())
        .await
        .unwrap_err();
    insta::assert_snapshot!(shown(dir.path(), &problems), @r#"acme/demo/1.0.2.avsc: acme/demo/1.0.2 is in the registry with other content, and a published version does not change: give the changed schema a new version"#);
    assert_eq!(
        server.client().versions("acme.demo.1.0.2").await.unwrap(),
        [1]
    );
}

#[test]
fn all_bad_files_are_named_at_once_with_their_places() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "good/one/1.0.0.avsc", DEMO);
    write(
        dir.path(),
        "bad/syntax/1.0.0.avsc",
        "{\"type\":\n  \"record\",,}",
    );
    write(
        dir.path(),
        "bad/avro/1.0.0.avsc",
        r#"{"type":"record","name":"R"}"#,
    );
    write(dir.path(), "bad/type/1.0.0.json", r#"{"type":"nonsense"}"#);
    write(
        dir.path(),
        "bad/ref/1.0.0.json",
        r##"{"$ref":"/no/such/1.0.0"}"##,
    );
    write(dir.path(), "bad/version/1.0.json", "{}");
    write(dir.path(), "toplevel.json", "{}");
    write(dir.path(), "bad/both/1.0.0.json", "{}");
    write(dir.path(), "bad/both/1.0.0.avsc", "\"string\"");
    write(
        dir.path(),
        "circle/a/1.0.0.json",
        r#"{"$ref":"/circle/b/1.0.0"}"#,
    );
    write(
        dir.path(),
        "circle/b/1.0.0.json",
        r#"{"$ref":"../a/1.0.0.json"}"#,
    );
    std::fs::write(
        dir.path().join("bad/both/2.0.0.json"),
        b"{\n \"a\": \"\xff\"}",
    )
    .unwrap();
    let problems = check_dir(dir.path()).unwrap_err();
    insta::assert_snapshot!(shown(dir.path(), &problems), @r#"
    bad/avro/1.0.0.avsc: not a valid Avro schema: No `fields` in record
    bad/both/1.0.0.json: bad/both/1.0.0.avsc stands for bad/both/1.0.0 already: keep one of them
    bad/both/2.0.0.json:2:8: it is not UTF-8
    bad/ref/1.0.0.json: not a valid JSON Schema: Resource '/no/such/1.0.0' is not present in a registry and retrieving it failed: No base URI is available
    bad/syntax/1.0.0.avsc:2:12: it is not JSON: key must be a string
    bad/type/1.0.0.json: not a valid JSON Schema: "nonsense" is not valid under any of the schemas listed in the 'anyOf' keyword
    bad/version/1.0.json: 'bad/version/1.0' is not a schema reference: its last segment is not a version (expected handle/name/x.y.z)
    circle/a/1.0.0.json: its $refs lead back to itself through other files, or to files that do
    circle/b/1.0.0.json: its $refs lead back to itself through other files, or to files that do
    toplevel.json: 'toplevel' is not a schema reference: it has no name before the version (expected handle/name/x.y.z)
    "#);
    let none = check_dir(&dir.path().join("absent")).unwrap_err();
    assert!(none[0].message.contains("cannot be read"), "{}", none[0]);
}

#[test]
fn references_are_found_by_id_by_reference_and_by_relative_path() {
    for target in [
        "/wiki/common/2.0.0",
        "/wiki/common/2.0.0#",
        "/wiki/common/2.0.0#/definitions/dt",
        "../../common/2.0.0.json",
        "../../common/2.0.0",
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "wiki/page/change/1.1.0.json", &event(target));
        write(dir.path(), "wiki/common/2.0.0.json", COMMON);
        let files = check_dir(dir.path()).unwrap_or_else(|p| panic!("{target}: {}", p[0]));
        let file = &files[1];
        assert_eq!(file.reference.as_str(), "wiki/page/change/1.1.0");
        let name = target.split('#').next().unwrap();
        assert_eq!(
            file.references,
            [(
                name.to_owned(),
                SchemaRef::parse("wiki/common/2.0.0").unwrap()
            )],
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_one_problem() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/one/1.0.0.avsc", DEMO);
    write(dir.path(), "a/two/1.0.0.avsc", DEMO);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let problems = register_dir(&client_of(&url), dir.path())
        .await
        .unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].message.contains("not available"),
        "{}",
        problems[0]
    );
}
