//! What becomes of records: their files, in a bucket or a directory, and those that fit into none.

use super::*;

#[tokio::test]
async fn files_are_announced_then_uploaded_then_noted_and_the_position_follows() {
    let (faulty, store) = faulty();
    let mut bench = Bench::new(plan(store, records(2)), Budget::unlimited());
    assert_eq!(bench.open().await, None);
    bench
        .write(vec![record(5, "a"), record(6, "b"), record(8, "a")])
        .await;
    assert_eq!(bench.sink.need(), Need::Flush, "a file has ended");
    assert_eq!(bench.flush(FlushReason::Tick).await.unwrap(), Some(5));
    let entry = bench.journal.entry(&partition(0)).unwrap();
    let entry = Entry::decode(&partition(0), &entry.note).unwrap();
    assert_eq!(&*entry.announced[0].name, "lake/a/demo+0+0005.jsonl");
    assert!(bench.notices().is_empty(), "it is not there yet");

    assert_eq!(bench.settle().await.unwrap(), Some(6));
    let entry = bench.journal.entry(&partition(0)).unwrap();
    assert_eq!(entry.position.offset, 6);
    assert_eq!(
        bench.notices(),
        [serde_json::json!({
            "connector": "lake", "topic": "demo", "partition": 0,
            "name": "lake/a/demo+0+0005.jsonl",
            "url": "mem://lake/lake/a/demo+0+0005.jsonl",
            "format": "jsonl", "rows": 2, "bytes": 4, "first_offset": 5, "last_offset": 8,
            "schema_id": null, "min_timestamp": 5, "max_timestamp": 8
        })]
    );
    let key = bench.journal.notices()[0].key.as_ref().unwrap().bytes();
    assert_eq!(&key[..], b"lake/a/demo+0+0005.jsonl");

    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(9));
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        names(&there),
        ["lake/a/demo+0+0005.jsonl", "lake/b/demo+0+0006.jsonl"]
    );
    assert_eq!(there["lake/a/demo+0+0005.jsonl"], ["5", "8"]);
    assert_eq!(bench.sink.need(), Need::Nothing);
    assert_eq!(bench.sink.holder.held(), 0);
}

#[tokio::test]
async fn large_files_go_up_in_parts_while_they_collect() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, Rotation::default());
    plan.part_bytes = 100 << 10;
    let mut bench = Bench::opened(plan).await;
    let value = format!("\"{}\"", "x".repeat(50_000));
    for offset in 0..10 {
        bench
            .write(vec![record_at(0, offset, "a", &value, 0)])
            .await;
        bench.settle().await.unwrap();
        bench.sink.uploads.wait(None).await.unwrap();
    }
    assert!(faulty.uploads()[0] >= 3, "{:?}", faulty.uploads());
    assert!(
        bench.sink.holder.held() < 300 << 10,
        "{}",
        bench.sink.holder.held()
    );
    assert!(objects(&*faulty.memory).await.is_empty());
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0000.jsonl"], vec![value; 10]);
    assert!(faulty.uploads().is_empty());
}

#[tokio::test]
async fn records_that_fit_nowhere_are_rejected_alone() {
    let (faulty, store) = faulty();
    let mut bench = Bench::opened(plan(store, Rotation::default())).await;
    let mut without_key = record(2, "a");
    without_key.key = None;
    let mut tombstone = record(3, "a");
    tombstone.value = None;
    let rejected = bench
        .write(vec![
            record(1, "a"),
            without_key,
            tombstone,
            record(4, "../b"),
            record(5, "a//b"),
            record_at(0, 6, "a", "{", 0),
            record(7, &"k".repeat(1100)),
            record(8, "a\0b"),
            record(9, "a"),
        ])
        .await;
    let rejected: Vec<(usize, &str)> = rejected
        .iter()
        .map(|(index, error)| (*index, error.message.as_str()))
        .collect();
    let bad_part = "the name of the record's file would have an empty part, a part that is . or .., or a slash at its end";
    assert_eq!(
        rejected[..4],
        [
            (1, "the record has no key"),
            (
                2,
                "the record has no value, and behavior.on.null.values is fail"
            ),
            (3, bad_part),
            (4, bad_part),
        ]
    );
    assert_eq!(rejected[4].0, 5, "not JSON");
    assert_eq!(
        rejected[5..],
        [
            (
                6,
                "the name of the record's file would have 1123 bytes, and stores take 1024"
            ),
            (
                7,
                "a name of a file cannot be made of a value that has a NUL in it"
            ),
        ]
    );
    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(10));
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0001.jsonl"], ["1", "9"]);
    assert_eq!(there.len(), 1);
}

#[tokio::test]
async fn a_record_whose_file_no_directory_could_hold_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::directory(directory.path()).unwrap();
    let mut bench = Bench::opened(plan(store, records(60))).await;
    let (fits, long) = ("k".repeat(252), "k".repeat(253));
    let rejected = bench
        .write(vec![record(0, &long), record(1, &fits), record(2, "a")])
        .await;
    let rejected: Vec<(usize, &str)> = rejected
        .iter()
        .map(|(index, error)| (*index, error.message.as_str()))
        .collect();
    assert_eq!(
        rejected,
        [(
            0,
            "a part of the name of the record's file would have 253 bytes, and a directory takes 252"
        )]
    );
    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(3));
    assert!(directory.path().join("lake").join(fits).is_dir());
}

#[tokio::test]
async fn a_directory_takes_small_and_large_files() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::directory(directory.path()).unwrap();
    let objects_of = store.objects().clone();
    let mut bench = Bench::opened(plan(store, records(60))).await;
    let key = |offset: i64| if offset % 2 == 0 { "a" } else { "b" };
    bench
        .write((0..130).map(|offset| record(offset, key(offset))).collect())
        .await;
    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(130));
    let there = objects(&*objects_of).await;
    assert_eq!(
        names(&there),
        [
            "lake/a/demo+0+0000.jsonl",
            "lake/a/demo+0+0120.jsonl",
            "lake/b/demo+0+0001.jsonl",
            "lake/b/demo+0+0121.jsonl"
        ]
    );
    assert_eq!(there.values().map(Vec::len).sum::<usize>(), 130);
}
