//! Records that come again, or come no more: after a kill, in a batch given twice, to a connector made anew.

use super::*;

#[tokio::test]
async fn records_of_one_offset_with_other_schemas_have_files_of_their_own_also_after_a_kill() {
    let of = |offset: i64, schema: u32| {
        let text = format!(r#"{{"title": "s{schema}"}}"#);
        let schema_of = penstock_formats::Schema::json(&text, &[]).unwrap();
        let mut record = record_at(0, offset, "a", &format!("\"{offset}-{schema}\""), 0);
        let value = record.value.take().unwrap();
        record.value = Some(value.with_schema(Arc::new(schema_of.with_id(schema, None))));
        record
    };
    let batch = || vec![of(0, 3), of(1, 1), of(1, 2), of(1, 1), of(2, 2), of(3, 1)];
    let expected = BTreeMap::from(
        [
            ("lake/a/demo+0+0000.jsonl", vec!["\"0-3\""]),
            (
                "lake/a/demo+0+0001.jsonl",
                vec!["\"1-1\"", "\"1-1\"", "\"3-1\""],
            ),
            ("lake/a/demo+0+0001+1.jsonl", vec!["\"1-2\"", "\"2-2\""]),
        ]
        .map(|(name, lines)| {
            (
                name.to_owned(),
                lines.into_iter().map(str::to_owned).collect(),
            )
        }),
    );
    for durable in [None, Some(1), Some(2)] {
        let (faulty, store) = faulty();
        let plan = plan(store, Rotation::default());
        let mut bench = Bench::opened(plan.clone()).await;
        assert_eq!(bench.write(batch()).await, []);
        if let Some(schema) = durable {
            // One of the two is there, and the position stays before both.
            let books = &mut bench.sink.partitions[0].books;
            let ours = |key: &&Arc<str>| key.ends_with(&format!("\0{schema}"));
            let keys: Vec<_> = books
                .collecting()
                .map(|file| file.what.key.clone())
                .collect();
            let key = keys.iter().find(ours).unwrap_or_else(|| panic!("{keys:?}"));
            books.end(key);
            bench.settle().await.unwrap();
            assert_eq!(objects(&*faulty.memory).await.len(), 1);
        }
        bench.kill(plan);
        let from = bench.open().await.unwrap_or(0);
        assert_eq!(from, 0);
        assert_eq!(bench.write(batch()).await, []);
        bench.flush(FlushReason::End).await.unwrap();
        assert_eq!(objects(&*faulty.memory).await, expected, "{durable:?}");
    }
}

#[tokio::test]
async fn a_batch_that_is_given_again_is_not_written_again() {
    let (faulty, store) = faulty();
    let mut bench = Bench::opened(plan(store, Rotation::default())).await;
    let batch = vec![record(1, "a"), record(1, "b"), record(2, "a")];
    bench.write(batch.clone()).await;
    bench.write(batch).await;
    bench.write(vec![record(3, "a")]).await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0001.jsonl"], ["1", "2", "3"]);
    assert_eq!(there["lake/b/demo+0+0001.jsonl"], ["1"]);
    assert_eq!(bench.sink.counters.taken_before.get(), 3);
}

#[tokio::test]
async fn records_that_are_read_again_lie_under_the_hour_in_which_they_were_first_read() {
    let (faulty, store) = faulty();
    let plan = by_hours(store);
    let mut bench = Bench::opened(plan.clone()).await;
    for (clock, batch) in [
        (0, vec![record(0, "a"), record(1, "b")]),
        (20_000, vec![record(2, "a")]),
        // Of this one the journal is not told before the kill.
        (20_001, vec![record(3, "a")]),
    ] {
        bench.clock.store(clock, Ordering::Relaxed);
        bench.write(batch).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    for clock in [3_600_000, 7_200_000] {
        // Killed once more while it reads them again.
        bench.kill(plan.clone());
        bench.clock.store(clock, Ordering::Relaxed);
        assert_eq!(bench.open().await, Some(0));
        bench.write(vec![record(0, "a"), record(1, "b")]).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    for record in [record(2, "a"), record(3, "a"), record(4, "a")] {
        bench.write(vec![record]).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        there.into_iter().collect::<Vec<_>>(),
        [
            ("lake/a/0hdemo+0+0000.jsonl", vec!["0", "2"]),
            ("lake/a/2hdemo+0+0003.jsonl", vec!["3", "4"]),
            ("lake/b/0hdemo+0+0001.jsonl", vec!["1"]),
        ]
        .map(|(name, lines)| (
            name.to_owned(),
            lines.into_iter().map(str::to_owned).collect()
        ))
    );
}

#[tokio::test]
async fn the_journal_is_told_of_the_hour_in_time_though_nothing_more_comes() {
    let (faulty, store) = faulty();
    let plan = by_hours(store);
    let mut bench = Bench::opened(plan.clone()).await;
    // The second one comes while the journal was told a moment ago, and after it there is silence.
    for (clock, batch) in [(0, vec![record(0, "a")]), (1_000, vec![record(1, "a")])] {
        bench.clock.store(clock, Ordering::Relaxed);
        bench.write(batch).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    for (clock, need) in [(9_999, Need::Nothing), (10_000, Need::Flush)] {
        bench.clock.store(clock, Ordering::Relaxed);
        assert_eq!(bench.sink.need(), need, "{clock}");
    }
    bench.flush(FlushReason::Tick).await.unwrap();
    assert_eq!(bench.sink.need(), Need::Nothing);
    bench.kill(plan);
    bench.clock.store(3_600_000, Ordering::Relaxed);
    assert_eq!(bench.open().await, Some(0));
    let records = (0..3).map(|offset| record(offset, "a"));
    bench.write(records.collect()).await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        names(&there),
        ["lake/a/0hdemo+0+0000.jsonl", "lake/a/1hdemo+0+0002.jsonl"]
    );
    assert_eq!(there["lake/a/0hdemo+0+0000.jsonl"], ["0", "1"]);
}

#[tokio::test]
async fn records_behind_those_that_are_read_again_lie_under_the_hour_of_now() {
    let (faulty, store) = faulty();
    let plan = by_hours(store);
    let mut bench = Bench::opened(plan.clone()).await;
    for (clock, batch) in [
        (0, vec![record(0, "a")]),
        (20_000, vec![record(1, "a"), record(2, "b")]),
    ] {
        bench.clock.store(clock, Ordering::Relaxed);
        bench.write(batch).await;
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    bench.kill(plan);
    bench.clock.store(3_600_000, Ordering::Relaxed);
    assert_eq!(bench.open().await, Some(0));
    let records = ["a", "a", "b", "a", "a"];
    let records = records.iter().zip(0..).map(|(key, at)| record(at, key));
    bench.write(records.collect()).await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        names(&there),
        [
            "lake/a/0hdemo+0+0000.jsonl",
            "lake/a/1hdemo+0+0003.jsonl",
            "lake/b/0hdemo+0+0002.jsonl",
        ]
    );
    assert_eq!(there["lake/a/0hdemo+0+0000.jsonl"], ["0", "1"]);
    assert_eq!(there["lake/a/1hdemo+0+0003.jsonl"], ["3", "4"]);
}

#[tokio::test]
async fn what_was_exported_before_is_found_and_counts() {
    for size in [2, 60] {
        let (faulty, store) = faulty();
        let plan = plan(store, records(size));
        for _ in 0..2 {
            // A journal of its own each time: the connector was made anew.
            let mut bench = Bench::opened(plan.clone()).await;
            bench.write(of_one_key(0..120)).await;
            bench.flush(FlushReason::End).await.unwrap();
            assert_eq!(bench.notices().len() as u64, 120 / size);
        }
        let there = objects(&*faulty.memory).await;
        assert_eq!(there.len() as u64, 120 / size);
        assert!(faulty.uploads().is_empty());
    }
}

#[tokio::test]
async fn files_that_collect_are_dropped_when_their_partition_goes_and_come_again() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, records(20));
    plan.part_bytes = 20;
    let mut bench = Bench::opened(plan.clone()).await;
    bench.write(of_one_key(0..27)).await;
    let position = bench.flush(FlushReason::Close).await.unwrap();
    assert_eq!(position, Some(20), "the file that ended is there");
    bench.sink.close(&[partition(0)]).await.unwrap();
    assert_eq!(objects(&*faulty.memory).await.len(), 1);
    assert_eq!(bench.sink.holder.held(), 0);
    assert!(faulty.uploads().is_empty());
    bench.kill(plan);
    assert_eq!(bench.open().await, Some(20));
}

#[tokio::test]
async fn a_file_whose_records_have_gone_is_written_with_those_that_are_left() {
    let (faulty, store) = faulty();
    let plan = plan(store, records(3));
    let mut bench = Bench::opened(plan.clone()).await;
    faulty.fail_always("put", Fault::Hangs);
    bench
        .write(
            (0..6)
                .map(|offset| record(offset, if offset < 3 { "a" } else { "b" }))
                .collect(),
        )
        .await;
    bench.flush(FlushReason::Tick).await.unwrap();
    bench.kill(plan);
    faulty.well();
    assert_eq!(bench.open().await, Some(0));
    // Retention took 0 to 1, and compaction everything of the second file.
    bench.write(vec![record(2, "a"), record(9, "c")]).await;
    assert_eq!(bench.flush(FlushReason::End).await.unwrap(), Some(10));
    let there = objects(&*faulty.memory).await;
    assert_eq!(
        names(&there),
        ["lake/a/demo+0+0000.jsonl", "lake/c/demo+0+0009.jsonl"]
    );
    assert_eq!(there["lake/a/demo+0+0000.jsonl"], ["2"]);
    let entry = bench.journal.entry(&partition(0)).unwrap();
    assert!(
        Entry::decode(&partition(0), &entry.note)
            .unwrap()
            .announced
            .is_empty()
    );
}
