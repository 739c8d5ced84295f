//! Topics: creation, settings, deletion.

use penstock_broker::{Created, ErrorKind, OutRecord, TopicPartitionOffset, TopicSpec};

use crate::support::{Fixture, unique, values};

pub(crate) fn a_topic_is_created_once_by_many_at_the_same_time(fixture: &Fixture) {
    let name = unique("many");
    let spec = TopicSpec::new(&name, 3);
    let created: Vec<Created> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| fixture.broker.create_topic(&spec).unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(
        created
            .iter()
            .filter(|created| **created == Created::New)
            .count(),
        1,
        "{created:?}"
    );
    let other = TopicSpec::new(&name, 7);
    assert_eq!(
        fixture.broker.create_topic(&other).unwrap(),
        Created::Existed
    );
    assert_eq!(
        fixture.broker.topic(&name).unwrap().unwrap().partitions,
        3,
        "it stays as it was"
    );
    assert!(
        fixture
            .broker
            .topics()
            .unwrap()
            .iter()
            .any(|topic| *topic.name == *name)
    );
}

pub(crate) fn a_new_topic_answers_for_all_its_partitions_at_once(fixture: &Fixture) {
    for _ in 0..5 {
        let name = unique("answers");
        fixture
            .broker
            .create_topic(&TopicSpec::new(&name, 8))
            .unwrap();
        for partition in 0..8 {
            let ends = fixture.broker.watermarks(&name, partition);
            assert_eq!(ends.unwrap(), (0, 0), "{name}-{partition}");
        }
    }
}

pub(crate) fn topic_settings_are_kept(fixture: &Fixture) {
    let name = unique("settings");
    let spec = TopicSpec::new(&name, 1)
        .config("cleanup.policy", "compact")
        .config("message.timestamp.type", "LogAppendTime");
    fixture.broker.create_topic(&spec).unwrap();
    let config = fixture.broker.topic_config(&name).unwrap();
    assert_eq!(config["cleanup.policy"], "compact");
    assert_eq!(config["message.timestamp.type"], "LogAppendTime");
    assert_eq!(
        config["min.insync.replicas"], "1",
        "defaults are shown, too"
    );
    assert_eq!(config["unclean.leader.election.enable"], "false");
}

pub(crate) fn names_and_settings_that_cannot_be_are_refused(fixture: &Fixture) {
    let specs = [
        TopicSpec::new("with space", 1),
        TopicSpec::new("..", 1),
        TopicSpec::new("x".repeat(250), 1),
        TopicSpec::new(unique("none"), 0),
        TopicSpec::new(unique("setting"), 1).config("cleanup.polcy", "compact"),
        TopicSpec::new(unique("value"), 1).config("cleanup.policy", "shrink"),
    ];
    for spec in specs {
        let error = fixture.broker.create_topic(&spec).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{spec:?}: {error}");
    }
}

pub(crate) fn a_deleted_topic_is_gone_with_its_records_and_offsets(fixture: &Fixture) {
    let name = fixture.topic("deleted", 1);
    let group = unique("group");
    fixture.fill(&name, 0, ["a", "b"]);
    fixture
        .broker
        .set_group_offsets(&group, &[TopicPartitionOffset::new(&*name, 0, 1)])
        .unwrap();
    fixture.broker.delete_topic(&name).unwrap();
    assert_eq!(fixture.broker.topic(&name).unwrap(), None);

    fixture
        .broker
        .create_topic(&TopicSpec::new(&name, 1))
        .unwrap();
    assert_eq!(fixture.fill(&name, 0, ["c"]), [0]);
    assert_eq!(values(&fixture.read_all(&name)), ["c"]);
    assert_eq!(fixture.broker.group_offsets(&group, &[&name]).unwrap(), []);
}

pub(crate) fn what_does_not_exist_is_said_to_be_unknown(fixture: &Fixture) {
    let (name, there) = (unique("unknown"), fixture.topic("there", 2));
    let broker = &fixture.broker;
    assert_eq!(broker.topic(&name).unwrap(), None);
    let mut producer = fixture.producer();
    let errors = [
        producer
            .send(OutRecord::new(&name, Some(b"v")))
            .unwrap_err(),
        producer
            .send(OutRecord::new(&there, Some(b"v")).partition(2))
            .unwrap_err(),
        broker.watermarks(&name, 0).unwrap_err(),
        broker.watermarks(&there, 2).unwrap_err(),
        broker.topic_config(&name).unwrap_err(),
        broker.delete_topic(&name).unwrap_err(),
    ];
    for (i, error) in errors.iter().enumerate() {
        assert_eq!(error.kind, ErrorKind::UnknownTopic, "{i}: {error}");
    }
    assert!(errors[0].message.contains(&name), "{}", errors[0]);
    assert_eq!(broker.topic(&name).unwrap(), None, "asking creates nothing");
    assert_eq!(
        broker.group_offsets(&unique("group"), &[&name]).unwrap(),
        []
    );
    broker.delete_group(&unique("group")).unwrap();
}
