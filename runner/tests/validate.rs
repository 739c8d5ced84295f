//! `penstock validate`: acceptance folders have no problems, and broken files have all of theirs
//! reported at once.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn validate(dir: &Path, files: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_penstock"))
        .arg("validate")
        .args(files)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn files_written_for_other_export_connectors_have_no_problems() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("worker.properties"), "data.dir=data\n").unwrap();
    let lake = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/acceptance/lake");
    for file in ["s3.properties", "gcs.properties"] {
        std::fs::copy(lake.join(file), dir.path().join(file)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .args([
            "validate",
            "worker.properties",
            "s3.properties",
            "gcs.properties",
        ])
        .envs([
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "2 connectors: no problems\n"
    );
}

#[test]
fn keys_of_an_export_that_mean_nothing_are_noted_and_those_not_supported_refused_at_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("worker.properties"), "data.dir=data\n").unwrap();
    let fine = "name=lake\nconnector.class=io.confluent.connect.s3.S3SinkConnector\ntopics=a\n\
        s3.bucket.name=lake\nflush.size=1\nformat.class=io.confluent.connect.s3.format.json.JsonFormat\n\
        s3.part.retries=5\nconfluent.license=\n";
    std::fs::write(dir.path().join("fine.properties"), fine).unwrap();
    let output = validate(dir.path(), &["worker.properties", "fine.properties"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(
            "note: fine.properties:7: s3.part.retries: has no effect: requests are tried again in place, \
             then the worker tries again\n"
        ),
        "{said}"
    );
    let refused = format!("{fine}s3.acl.canned=private\n");
    std::fs::write(dir.path().join("refused.properties"), refused).unwrap();
    let output = validate(dir.path(), &["worker.properties", "refused.properties"]);
    assert!(!output.status.success());
    assert!(
        stderr(&output)
            .contains("refused.properties:9: s3.acl.canned: is not supported: objects get no ACL"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_acceptance_folders_have_no_problems() {
    for (folder, files, connectors) in [
        (
            "demo",
            &[
                "worker.properties",
                "gateway.properties",
                "demo-2.properties",
                "files.properties",
                "egress.properties",
                "worker.properties",
            ][..],
            4,
        ),
        (
            "wiki",
            &[
                "worker.properties",
                "page-change.properties",
                "sink.properties",
                "error-sink.properties",
            ][..],
            3,
        ),
    ] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/acceptance")
            .join(folder);
        let output = validate(&dir, files);
        assert!(output.status.success(), "{folder}: {}", stderr(&output));
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!("{connectors} connectors: no problems\n")
        );
    }
}

#[test]
fn every_problem_in_every_file_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("worker.properties", "data.dirr=data\nlisteners=here\n");
    write(
        "a.properties",
        "name=a\nconnector.class=HttpSorce\ntopic=demo\n",
    );
    write(
        "b.properties",
        "name=b\nconnector.class=FileSink\ntopics=demo\nfile=out/{topic}-{partition}.jsonl\nerrors.tolerence=all\n\
         transforms=mask\ntransforms.mask.type=MaskFeild\n",
    );
    write(
        "c.properties",
        "name=c\nconnector.class=TopicPipeline\ntransforms=k\ntransforms.k.type=ValueToKey\ntransforms.k.predicate=none\n\
         tasks.max=0\n",
    );
    write(
        "d.properties",
        "name=d\nconnector.class=FileSink\ntopics=demo\nfile=${env:PENSTOCK_NOT_SET_ANYWHERE}\n",
    );
    let output = validate(
        dir.path(),
        &[
            "worker.properties",
            "a.properties",
            "b.properties",
            "c.properties",
            "d.properties",
            "e.properties",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stderr(&output), @r#"
    penstock: worker.properties:1: data.dirr: unknown key; did you mean data.dir?
    penstock: worker.properties:2: listeners: must be an address and port such as 127.0.0.1:8080, not "here"
    penstock: a.properties:2: connector.class: unknown connector HttpSorce; did you mean HttpSource?
    penstock: b.properties:5: errors.tolerence: unknown key; did you mean errors.tolerance?
    penstock: b.properties:7: transforms.mask.type: unknown transform MaskFeild; did you mean MaskField?
    penstock: c.properties: transforms.k.fields: is required (a comma-separated list of field paths)
    penstock: c.properties: topics: is required (or topics.regex)
    penstock: c.properties:5: transforms.k.predicate: predicates does not name none
    penstock: c.properties:6: tasks.max: must be at least 1
    penstock: d.properties:4: file: the environment variable PENSTOCK_NOT_SET_ANYWHERE is not set
    penstock: e.properties: cannot read it: No such file or directory (os error 2)
    "#);
}

#[test]
fn settings_that_would_be_ignored_are_problems_or_notes() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("worker.properties", "data.dir=data\n");
    write(
        "a.properties",
        "name=a\nconnector.class=FileSink\ntopics=demo\nfile=out/{topic}-{partition}.jsonl\n\
         value.converter=io.confluent.connect.avro.AvroConverter\n\
         value.converter.schema.registry.url=http://registry.example:8081\n\
         value.converter.use.latest.version=true\nkey.converter.schemas.enable=false\n\
         predicates=old\npredicates.old.type=RecordIsTombstone\ntransforms=x,y\n\
         transforms.x.type=DropHeaders\ntransforms.x.headers=h\ntransforms.x.negate=true\n\
         transforms.y.type=DropHeaders\ntransforms.y.headers=h\ntransforms.y.predicate=old\n\
         transforms.y.negate=yes\n\
         consumer.override.fetch.min.byts=1\nconsumer.override.session.timeout.ms=long\n\
         producer.override.group.id=mine\n",
    );
    write(
        "b.json",
        r#"{"name": "b", "config": {"connector.class": "FileSink", "topics": ["demo"]}, "initial_state": "ON", "tasks": []}"#,
    );
    write(
        "c.properties",
        "name=c\nconnector.class=TopicPipeline\ntopics=demo\n\
         errors.deadletterqueue.topic.name=_penstock.keys\n",
    );
    let output = validate(
        dir.path(),
        &[
            "worker.properties",
            "a.properties",
            "b.json",
            "c.properties",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stderr(&output), @r#"
    penstock: a.properties:6: value.converter.schema.registry.url: names another registry than the worker's, and a worker has one: set schema.registry.url in its own file
    penstock: a.properties:7: value.converter.use.latest.version: can only be false: a record keeps the schema that it has, and is not written anew with the latest one
    penstock: a.properties:8: key.converter.schemas.enable: is a setting of key.converter, which is not given
    penstock: a.properties:14: transforms.x.negate: turns a predicate round, and the transform has none
    penstock: a.properties:18: transforms.y.negate: must be true or false, not "yes"
    penstock: a.properties:19: consumer.override.fetch.min.byts: is not a setting of Kafka clients; did you mean fetch.min.bytes?
    penstock: a.properties:20: consumer.override.session.timeout.ms: cannot be used: Invalid value for configuration property "session.timeout.ms"
    penstock: a.properties:21: producer.override.group.id: is set by the worker itself; leave it out
    penstock: b.json: topics: must be a text, a number or a boolean
    penstock: b.json: initial_state: must be RUNNING, PAUSED or STOPPED, not ON
    penstock: b.json: tasks: unknown key; beside config stand name and initial_state
    penstock: c.properties:4: errors.deadletterqueue.topic.name: _penstock.keys belongs to the worker itself: choose another topic
    "#);
    write(
        "fine.json",
        r#"{"name": "fine", "initial_state": "STOPPED", "config": {
            "connector.class": "FileSink", "topics": "demo", "file": "out/{topic}-{partition}.jsonl",
            "value.converter": "AvroConverter", "value.converter.schemas.enable": false,
            "value.converter.schema.registry.url": "http://localhost:8081",
            "value.converter.enhanced.avro.schema.support": true,
            "consumer.override.max.poll.interval.ms": 600000, "admin.override.client.id": "x",
            "producer.override.transactional.id": "mine"}}"#,
    );
    write(
        "intake.properties",
        "name=intake\nconnector.class=io.penstock.HttpSource\nhttp.listen=127.0.0.1:0\ntopic=demo\nerrors.tolerance=all\n",
    );
    let output = validate(
        dir.path(),
        &["worker.properties", "fine.json", "intake.properties"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r"
    note: fine.json: admin.override.client.id: has no effect: topics are made with the worker's own client
    note: fine.json: producer.override.transactional.id: has no effect: transactional ids are the worker's, one for each task
    note: fine.json: value.converter.enhanced.avro.schema.support: has no effect: a record keeps its schema as it is
    note: fine.json: value.converter.schemas.enable: has no effect: only the Json converter wraps what it writes
    note: intake.properties:5: errors.tolerance: has no effect: an intake refuses to its sender what it cannot process
    2 connectors: no problems
    ");
}
