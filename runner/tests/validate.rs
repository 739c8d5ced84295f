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
            "errors.log.include.messages": true, "header.converter": "SimpleHeaderConverter",
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
    note: fine.json: errors.log.include.messages: has no effect: contents of records are never logged
    note: fine.json: header.converter: has no effect: headers are always bytes
    note: fine.json: value.converter.enhanced.avro.schema.support: has no effect: a record keeps its schema as it is
    note: fine.json: value.converter.schemas.enable: has no effect: only the Json converter wraps what it writes
    note: intake.properties:5: errors.tolerance: has no effect: an intake refuses to its sender what it cannot process
    2 connectors: no problems
    ");
}

/// The keys of Kafka Connect 4.1's workers (`DistributedConfig`, `StandaloneConfig`).
const WORKER_KEYS: &str = "
    access.control.allow.methods access.control.allow.origin admin.listeners bootstrap.servers client.dns.lookup
    client.id config.providers config.storage.replication.factor config.storage.topic connect.protocol
    connections.max.idle.ms connector.client.config.override.policy exactly.once.source.support group.id
    header.converter header.converter.plugin.version heartbeat.interval.ms inter.worker.key.generation.algorithm
    inter.worker.key.size inter.worker.key.ttl.ms inter.worker.signature.algorithm
    inter.worker.verification.algorithms key.converter key.converter.plugin.version listeners metadata.max.age.ms
    metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy metric.reporters metrics.num.samples
    metrics.recording.level metrics.sample.window.ms offset.flush.interval.ms offset.flush.timeout.ms
    offset.storage.file.filename offset.storage.partitions offset.storage.replication.factor offset.storage.topic
    plugin.discovery plugin.path rebalance.timeout.ms receive.buffer.bytes reconnect.backoff.max.ms
    reconnect.backoff.ms request.timeout.ms response.http.headers.config rest.advertised.host.name
    rest.advertised.listener rest.advertised.port rest.extension.classes retry.backoff.max.ms retry.backoff.ms
    sasl.client.callback.handler.class sasl.jaas.config sasl.kerberos.kinit.cmd
    sasl.kerberos.min.time.before.relogin sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter
    sasl.login.callback.handler.class sasl.login.class sasl.login.connect.timeout.ms
    sasl.login.refresh.window.factor sasl.login.retry.backoff.ms sasl.mechanism sasl.oauthbearer.expected.audience
    sasl.oauthbearer.token.endpoint.url scheduled.rebalance.max.delay.ms security.protocol send.buffer.bytes
    session.timeout.ms socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms ssl.cipher.suites
    ssl.client.auth ssl.enabled.protocols ssl.endpoint.identification.algorithm ssl.engine.factory.class
    ssl.key.password ssl.keymanager.algorithm ssl.keystore.certificate.chain ssl.keystore.key
    ssl.keystore.location ssl.keystore.password ssl.keystore.type ssl.protocol ssl.provider
    ssl.secure.random.implementation ssl.trustmanager.algorithm ssl.truststore.certificates ssl.truststore.location
    ssl.truststore.password ssl.truststore.type status.storage.partitions status.storage.replication.factor
    status.storage.topic task.shutdown.graceful.timeout.ms topic.creation.enable topic.tracking.allow.reset
    topic.tracking.enable value.converter value.converter.plugin.version worker.sync.timeout.ms
    worker.unsync.backoff.ms listeners.https.ssl.keystore.location producer.partitioner.ignore.keys
    producer.partitioner.availability.timeout.ms consumer.group.remote.assignor admin.bootstrap.controllers
    producer.transaction.two.phase.commit.enable consumer.share.acknowledgement.mode";

/// Those of its sources and sinks (`SourceConnectorConfig`, `SinkConnectorConfig`), and of what is below them.
const SOURCE_KEYS: &str = "
    config.action.reload connector.class connector.plugin.version errors.log.enable errors.log.include.messages
    errors.retry.delay.max.ms errors.retry.timeout errors.tolerance exactly.once.support header.converter
    header.converter.plugin.version key.converter key.converter.plugin.version name offsets.storage.topic predicates
    tasks.max tasks.max.enforce topic.creation.groups topic.creation.default.exclude topic.creation.default.include
    topic.creation.default.partitions topic.creation.default.replication.factor transaction.boundary
    transaction.boundary.interval.ms transforms value.converter value.converter.plugin.version
    transforms.word.plugin.version predicates.word.plugin.version";
const SINK_KEYS: &str = "
    config.action.reload connector.class connector.plugin.version errors.deadletterqueue.context.headers.enable
    errors.deadletterqueue.topic.name errors.deadletterqueue.topic.replication.factor errors.log.enable
    errors.log.include.messages errors.retry.delay.max.ms errors.retry.timeout errors.tolerance header.converter
    header.converter.plugin.version key.converter key.converter.plugin.version name predicates tasks.max
    tasks.max.enforce topics topics.regex transforms value.converter value.converter.plugin.version";

#[test]
fn no_key_of_kafka_connect_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["worker", "source", "sink"].map(|name| format!("{name}.properties"));
    let keys = [WORKER_KEYS, SOURCE_KEYS, SINK_KEYS];
    for (file, keys) in files.iter().zip(keys) {
        let line = |key| match key {
            "connector.class" if file == "source.properties" => format!("{key}=SseSource\n"),
            "connector.class" => format!("{key}=FileStreamSink\n"),
            _ => format!("{key}=word\n"),
        };
        let text: String = keys.split_whitespace().map(line).collect();
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    let output = validate(dir.path(), &files.each_ref().map(String::as_str));
    let problems = stderr(&output);
    for (key, reason) in [
        ("sasl.oauthbearer.token.endpoint.url", "use SCRAM or PLAIN"),
        ("topic.creation.default.partitions", "in the worker's file"),
        ("config.providers", "no provider word"),
        ("tasks.max", "must be a whole number"),
    ] {
        let told = problems
            .lines()
            .any(|line| line.contains(&format!(" {key}: ")) && line.contains(reason));
        assert!(told, "{key}: {problems}");
    }
    for unknown in ["unknown key", "not a setting of Kafka"] {
        let told: Vec<_> = problems
            .lines()
            .filter(|line| line.contains(unknown))
            .collect();
        assert!(told.is_empty(), "{told:#?}");
    }
}

#[test]
fn the_files_that_kafka_comes_with_run_here() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    // connect-standalone.properties, connect-distributed.properties and connect-file-sink.properties.
    let common = "bootstrap.servers=localhost:9092\n\
        key.converter=org.apache.kafka.connect.json.JsonConverter\n\
        value.converter=org.apache.kafka.connect.json.JsonConverter\n\
        key.converter.schemas.enable=true\nvalue.converter.schemas.enable=true\n\
        offset.flush.interval.ms=10000\n";
    let standalone = format!("{common}offset.storage.file.filename=/tmp/connect.offsets\n");
    let distributed = format!(
        "{common}group.id=connect-cluster\noffset.storage.topic=connect-offsets\n\
         offset.storage.replication.factor=1\nconfig.storage.topic=connect-configs\n\
         config.storage.replication.factor=1\nstatus.storage.topic=connect-status\n\
         status.storage.replication.factor=1\nlisteners=HTTP://:8083\n\
         plugin.path=/usr/local/share/java,/opt/connectors\n"
    );
    write(
        "sink.properties",
        "name=local-file-sink\nconnector.class=FileStreamSink\ntasks.max=1\nfile=test-{topic}-{partition}.txt\n\
         topics=connect-test\n",
    );
    // One file for all is not supported, and that is told.
    write(
        "one-file.properties",
        "name=local-file-sink\nconnector.class=FileStreamSink\ntasks.max=1\nfile=test.sink.txt\n\
         topics=connect-test\n",
    );
    for worker in [&standalone, &distributed] {
        write("worker.properties", worker);
        let output = validate(dir.path(), &["worker.properties", "sink.properties"]);
        // All that is missing: which registry the converters of Avro and JSON Schema would use.
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            stderr(&output),
            "penstock: worker.properties: schema.registry.url: is required with bootstrap.servers; for the embedded \
             registry (schema ids of two workers would differ) say registry.embedded=true\n"
        );
        write(
            "worker.properties",
            &format!("{worker}registry.embedded=true\n"),
        );
        let output = validate(dir.path(), &["worker.properties", "sink.properties"]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let refused = validate(dir.path(), &["worker.properties", "one-file.properties"]);
    let refused = stderr(&refused);
    assert!(
        refused.contains("one-file.properties:4: file: must contain {topic} and {partition}"),
        "{refused}"
    );
    let output = validate(dir.path(), &["worker.properties", "sink.properties"]);
    let said = String::from_utf8(output.stdout).unwrap();
    for (key, note) in [
        ("listeners", "reached from others"),
        ("plugin.path", "compiled in"),
    ] {
        let told = said
            .lines()
            .any(|line| line.contains(&format!(" {key}: ")) && line.contains(note));
        assert!(told, "{key}: {said}");
    }
}

#[test]
fn client_settings_of_a_worker_are_told_right_from_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let told = |worker: &str| {
        std::fs::write(dir.path().join("worker.properties"), worker).unwrap();
        let output = validate(dir.path(), &["worker.properties"]);
        (output.status.code(), stderr(&output))
    };
    let kafka = "bootstrap.servers=localhost:9092\nregistry.embedded=true\n";
    let (_, problems) = told(&format!(
        "{kafka}schemas.dri=schemas\nproducer.linger.mss=5\nlinger.ms=7\nproducer.linger.ms=5\n\
         producer.client.id=one\nconsumer.client.id=other\nconsumer.session.timeout.ms=soon\n"
    ));
    insta::assert_snapshot!(problems, @r#"
    penstock: worker.properties:3: schemas.dri: unknown key; did you mean schemas.dir?
    penstock: worker.properties:4: producer.linger.mss: unknown key; did you mean producer.linger.ms?
    penstock: worker.properties:7: producer.client.id: has another value than consumer.client.id, and a worker's clients share their settings
    penstock: worker.properties:9: consumer.session.timeout.ms: cannot be used: Invalid value for configuration property "session.timeout.ms"
    "#);
    let (status, problems) = told(&format!(
        "{kafka}session.timeout.ms=10000\nconsumer.session.timeout.ms=20000\n"
    ));
    assert_eq!((status, problems.as_str()), (Some(0), ""));
    let (_, problems) = told(
        "data.dir=data\nsecurity.protocol=SSL\nproducer.linger.ms=5\nconsumer.fech.min.bytes=1\n",
    );
    insta::assert_snapshot!(problems, @r"
    penstock: worker.properties:2: security.protocol: is a setting of Kafka clients, and there are none without bootstrap.servers: leave it out
    penstock: worker.properties:3: producer.linger.ms: is a setting of Kafka clients, and there are none without bootstrap.servers: leave it out
    penstock: worker.properties:4: consumer.fech.min.bytes: unknown key; did you mean consumer.fetch.min.bytes?
    ");
}

#[test]
fn a_problem_with_one_key_hides_none_with_another() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("worker.properties", "data.dir=data\n");
    write(
        "a.properties",
        "name=a/b\nconnector.class=FileSink\ntopics=demo\ntopics.regex=demo.*\nerrors.tolerance=some\ntasks.max=two\n\
         value.converter=AvroConvertr\npredicates=p\npredicates.p.type=TopicNameMatchs\npredicates.p.pattern=a\n\
         predicates.other.type=RecordIsTombstone\ntransforms=x\ntransforms.x.type=MaskField$Value\n\
         transforms.x.predicate=q\ntransforms.y.type=DropHeaders\n",
    );
    write("b.properties", "name=\\u00\n");
    let output = validate(
        dir.path(),
        &["worker.properties", "a.properties", "b.properties"],
    );
    insta::assert_snapshot!(stderr(&output), @r#"
    penstock: a.properties: transforms.x.fields: is required (a comma-separated list of field paths)
    penstock: a.properties: file: is required (a path with {topic} and {partition})
    penstock: a.properties:1: name: must not contain slashes or control characters
    penstock: a.properties:4: topics.regex: give either topics or topics.regex, not both
    penstock: a.properties:5: errors.tolerance: must be one of none, all, not "some"
    penstock: a.properties:6: tasks.max: must be a whole number, not "two"
    penstock: a.properties:7: value.converter: unknown converter AvroConvertr; did you mean Avro?
    penstock: a.properties:9: predicates.p.type: unknown predicate TopicNameMatchs; did you mean TopicNameMatches?
    penstock: a.properties:11: predicates.other.type: predicates does not name other
    penstock: a.properties:14: transforms.x.predicate: predicates does not name q
    penstock: a.properties:15: transforms.y.type: transforms does not name y
    penstock: b.properties:1: not a properties file: Malformed \uxxxx encoding: not enough digits
    "#);
}
