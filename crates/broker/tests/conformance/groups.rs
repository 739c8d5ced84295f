//! Groups: who reads what, from where, and who may still commit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use penstock_broker::{
    ConsumerSpec, ErrorKind, Polled, Retry, Start, TopicPartition, TopicPartitionOffset, TopicSpec,
};

use crate::support::{
    Fixture, LIMIT, MOMENT, collect, eventually, next_offsets, unique, until_assigned, values,
};

pub(crate) fn a_group_goes_on_where_it_committed(fixture: &Fixture) {
    let topic = fixture.topic("commit", 2);
    let group = unique("group");
    fixture.fill(&topic, 0, ["a", "b", "c"]);
    let mut member = fixture.member(&group, &topic);
    let partitions = until_assigned(&mut *member, 2);
    assert_eq!(member.committed(&partitions).unwrap(), []);
    let read = collect(&mut *member, 3);
    member.commit(&next_offsets(&read[..2])).unwrap();
    assert_eq!(
        member.committed(&partitions).unwrap(),
        [TopicPartitionOffset::new(&*topic, 0, 2)]
    );
    assert_eq!(member.position(&topic, 0).unwrap(), Some(3));
    drop(member);
    assert_eq!(
        fixture.broker.group_offsets(&group, &[&topic]).unwrap(),
        [TopicPartitionOffset::new(&*topic, 0, 2)]
    );
    assert_eq!(
        values(&collect(&mut *fixture.member(&group, &topic), 1)),
        ["c"]
    );
}

pub(crate) fn two_members_share_and_a_partition_waits_for_its_release(fixture: &Fixture) {
    let topic = fixture.topic("share", 2);
    let group = unique("group");
    let mut first = fixture.member(&group, &topic);
    until_assigned(&mut *first, 2);
    let mut second = fixture.member(&group, &topic);

    let deadline = Instant::now() + LIMIT;
    let going = loop {
        assert!(Instant::now() < deadline, "no revocation came");
        if let Polled::Revoked { partitions, lost } = first.poll(10, MOMENT).unwrap() {
            assert!(!lost);
            break partitions;
        }
        assert!(matches!(
            second.poll(10, Duration::from_millis(10)).unwrap(),
            Polled::Idle
        ));
    };
    assert!(!going.is_empty() && going.len() <= 2);
    // Until the release the partitions are still the first member's: it may commit.
    assert!(
        matches!(first.poll(10, MOMENT).unwrap(), Polled::Revoked { .. }),
        "it is said again"
    );
    assert!(
        matches!(second.poll(10, MOMENT).unwrap(), Polled::Idle),
        "it is not handed on before"
    );
    let finished: Vec<_> = going.iter().map(|partition| partition.at(0)).collect();
    first.commit(&finished).unwrap();
    first.release().unwrap();

    eventually("each has one partition", || {
        for member in [&mut first, &mut second] {
            if let Polled::Revoked { .. } = member.poll(10, MOMENT).unwrap() {
                member.release().unwrap();
            }
        }
        first.assignment().len() == 1 && second.assignment().len() == 1
    });
    assert_ne!(first.assignment(), second.assignment());

    fixture.fill(&topic, 0, ["a"]);
    fixture.fill(&topic, 1, ["b"]);
    let mine = collect(&mut *first, 1);
    let yours = collect(&mut *second, 1);
    assert_eq!(mine.len() + yours.len(), 2);
    assert_ne!(mine[0].partition, yours[0].partition);

    drop(second);
    eventually("the partition of a member that left comes back", || {
        if let Polled::Revoked { .. } = first.poll(10, MOMENT).unwrap() {
            first.release().unwrap();
        }
        first.assignment().len() == 2
    });
}

pub(crate) fn paused_partitions_are_silent_and_others_flow(fixture: &Fixture) {
    let topic = fixture.topic("pause", 2);
    let mut member = fixture.member(&unique("group"), &topic);
    until_assigned(&mut *member, 2);
    let paused = [TopicPartition::new(&*topic, 0)];
    assert_eq!(
        member
            .pause(&[TopicPartition::new("other", 0)])
            .unwrap_err()
            .kind,
        ErrorKind::State
    );
    member.pause(&paused).unwrap();
    fixture.fill(&topic, 0, ["a", "b"]);
    fixture.fill(&topic, 1, ["x"]);
    assert_eq!(values(&collect(&mut *member, 1)), ["x"]);
    assert!(matches!(member.poll(10, MOMENT).unwrap(), Polled::Idle));
    member.resume(&paused).unwrap();
    assert_eq!(values(&collect(&mut *member, 2)), ["a", "b"]);
}

pub(crate) fn seek_moves_within_an_assignment(fixture: &Fixture) {
    let topic = fixture.topic("seek", 1);
    fixture.fill(&topic, 0, (0..10).map(|i| i.to_string()));
    let mut member = fixture.member(&unique("group"), &topic);
    assert_eq!(
        member.seek(&topic, 0, 1).unwrap_err().kind,
        ErrorKind::State,
        "not assigned yet"
    );
    assert_eq!(collect(&mut *member, 10).len(), 10);
    member.seek(&topic, 0, 7).unwrap();
    assert_eq!(values(&collect(&mut *member, 3)), ["7", "8", "9"]);
    member.seek(&topic, 0, 0).unwrap();
    assert_eq!(collect(&mut *member, 10)[0].offset, 0);
    member.seek(&topic, 0, 10).unwrap();
    assert!(matches!(member.poll(10, MOMENT).unwrap(), Polled::Idle));
    assert_eq!(
        member.seek(&topic, 0, -1).unwrap_err().kind,
        ErrorKind::Invalid
    );
}

pub(crate) fn a_member_may_set_its_start_when_assigned(fixture: &Fixture) {
    let topic = fixture.topic("own-start", 1);
    fixture.fill(&topic, 0, (0..5).map(|i| i.to_string()));
    let mut member = fixture.member(&unique("group"), &topic);
    until_assigned(&mut *member, 1);
    member.seek(&topic, 0, 3).unwrap();
    assert_eq!(values(&collect(&mut *member, 2)), ["3", "4"]);
}

pub(crate) fn a_topic_that_comes_later_is_read(fixture: &Fixture) {
    let topic = unique("later");
    let mut member = fixture.member(&unique("group"), &topic);
    assert!(
        matches!(member.poll(10, MOMENT).unwrap(), Polled::Idle),
        "a missing topic is waited for"
    );
    fixture
        .broker
        .create_topic(&TopicSpec::new(&topic, 1))
        .unwrap();
    fixture.fill(&topic, 0, ["v"]);
    assert_eq!(values(&collect(&mut *member, 1)), ["v"]);
}

pub(crate) fn a_group_may_start_with_what_comes(fixture: &Fixture) {
    let topic = fixture.topic("latest", 1);
    fixture.fill(&topic, 0, ["old"]);
    let spec = ConsumerSpec {
        start: Start::Latest,
        ..ConsumerSpec::new(unique("group"), vec![topic.clone()])
    };
    let mut member = fixture.broker.consumer(spec).unwrap();
    until_assigned(&mut *member, 1);
    assert!(matches!(member.poll(10, MOMENT).unwrap(), Polled::Idle));
    fixture.fill(&topic, 0, ["new"]);
    assert_eq!(values(&collect(&mut *member, 1)), ["new"]);
}

pub(crate) fn offsets_are_set_from_outside_only_without_members(fixture: &Fixture) {
    let topic = fixture.topic("outside", 1);
    let group = unique("group");
    fixture.fill(&topic, 0, (0..5).map(|i| i.to_string()));
    let at = |offset| [TopicPartitionOffset::new(&*topic, 0, offset)];
    fixture.broker.set_group_offsets(&group, &at(3)).unwrap();
    let mut member = fixture.member(&group, &topic);
    assert_eq!(values(&collect(&mut *member, 2)), ["3", "4"]);
    assert_eq!(
        fixture
            .broker
            .set_group_offsets(&group, &at(1))
            .unwrap_err()
            .kind,
        ErrorKind::State
    );
    assert_eq!(
        fixture.broker.delete_group(&group).unwrap_err().kind,
        ErrorKind::State
    );
    drop(member);
    fixture.broker.set_group_offsets(&group, &at(1)).unwrap();
    assert_eq!(
        fixture.broker.group_offsets(&group, &[&topic]).unwrap(),
        at(1)
    );
    fixture.broker.delete_group(&group).unwrap();
    assert_eq!(fixture.broker.group_offsets(&group, &[&topic]).unwrap(), []);
}

pub(crate) fn a_stalled_member_loses_its_partitions_and_commits_no_more(fixture: &Fixture) {
    let topic = fixture.topic("stalled", 1);
    let group = unique("group");
    fixture.fill(&topic, 0, ["a", "b"]);
    let mut stalled = impatient_member(fixture, &group, &topic);
    let read = collect(&mut *stalled, 2);
    let mut other = impatient_member(fixture, &group, &topic);
    // The stalled member does not poll; the group goes on without it.
    assert_eq!(values(&collect(&mut *other, 2)), ["a", "b"]);
    other.commit(&next_offsets(&read[..1])).unwrap();

    let error = stalled.commit(&next_offsets(&read)).unwrap_err();
    assert_eq!(
        (error.retry, error.kind),
        (Retry::Fenced, ErrorKind::Fenced),
        "{error}"
    );
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline, "the loss was never said");
        if let Polled::Revoked { lost, .. } = stalled.poll(10, MOMENT).unwrap() {
            assert!(lost);
            break;
        }
    }
    stalled.release().unwrap();
    assert_eq!(
        fixture.broker.group_offsets(&group, &[&topic]).unwrap(),
        [TopicPartitionOffset::new(&*topic, 0, 1)]
    );
}

/// A member that is put out soon when it does not poll.
pub(crate) fn impatient_member(
    fixture: &Fixture,
    group: &str,
    topic: &str,
) -> Box<dyn penstock_broker::Consumer> {
    let overrides = BTreeMap::from([
        ("max.poll.interval.ms".to_owned(), "6000".to_owned()),
        ("session.timeout.ms".to_owned(), "6000".to_owned()),
    ]);
    let spec = ConsumerSpec {
        overrides,
        ..ConsumerSpec::new(group, vec![topic.to_owned()])
    };
    fixture.broker.consumer(spec).unwrap()
}
