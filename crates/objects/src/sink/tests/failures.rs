//! Stores that lose answers, stay away, refuse, or hold something else already.

use super::*;

#[tokio::test]
async fn requests_whose_answers_are_lost_are_settled_by_looking() {
    for what in ["put", "complete"] {
        let (faulty, store) = faulty();
        let mut bench =
            Bench::opened(plan(store, records(if what == "put" { 2 } else { 60 }))).await;
        let before = faulty.asked("head");
        faulty.fail(what, 1, Fault::After);
        bench.write(of_one_key(0..60)).await;
        bench.flush(FlushReason::End).await.unwrap();
        let there = objects(&*faulty.memory).await;
        let lines: Vec<String> = there.into_values().flatten().collect();
        let expected: Vec<String> = (0..60).map(|offset| offset.to_string()).collect();
        assert_eq!(lines, expected, "{what}");
        assert_eq!(
            faulty.asked("head") - before,
            if what == "put" { 1 } else { 2 },
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_large_object_is_compared_range_by_range_and_each_is_asked_for_again() {
    let (faulty, store) = faulty();
    let bucket = Bucket(store);
    let (path, bytes) = (Path::from("lake/large"), vec![7; 20 << 20]);
    let known = [crate::entry::Content {
        bytes: bytes.len() as u64,
        checksum: crc32fast::hash(&bytes),
    }];
    faulty.memory.put(&path, bytes.into()).await.unwrap();
    let mut asked = 0;
    faulty.rule(move |what, _| {
        asked += usize::from(what == "get");
        if what == "get" && asked % 3 != 0 {
            Fault::Before
        } else {
            Fault::None
        }
    });
    assert!(bucket.holds(&path, &known).await.unwrap());
    assert_eq!(
        faulty.asked("get"),
        9,
        "three ranges, each asked for twice in vain"
    );
    // Another object takes its place after the first range.
    let (memory, mut asked) = (faulty.memory.clone(), 0);
    let other = path.clone();
    faulty.rule(move |what, _| {
        asked += usize::from(what == "get");
        if what == "get" && asked == 2 {
            let put = memory.put(&other, vec![8; 20 << 20].into());
            put.now_or_never().unwrap().unwrap();
        }
        Fault::None
    });
    let error = bucket.holds(&path, &known).await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff, "{error}");
}

#[tokio::test]
async fn a_part_that_fails_is_sent_again_before_the_task_starts_anew() {
    let (faulty, store) = faulty();
    let mut bench = Bench::opened(plan(store, records(60))).await;
    faulty.fail("part", 2, Fault::Before);
    bench.write(of_one_key(0..60)).await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0000.jsonl"].len(), 60);
}

#[tokio::test]
async fn a_store_that_stays_away_makes_the_task_start_anew_and_nothing_is_lost() {
    for what in ["put", "create", "part", "complete", "head"] {
        let (faulty, store) = faulty();
        let plan = plan(store, records(60));
        let mut bench = Bench::opened(plan.clone()).await;
        faulty.fail_always(what, Fault::Before);
        let batch = |from: i64| -> Vec<Record> {
            // Large files under one key, small ones under the other.
            let key = |offset: i64| if offset % 30 == 7 { "small" } else { "large" };
            (from..130)
                .map(|offset| record(offset, key(offset)))
                .collect()
        };
        bench.write(batch(0)).await;
        let error = bench.flush(FlushReason::End).await.unwrap_err();
        assert_eq!(error.retry, Retry::Backoff, "{what}: {error}");
        assert!(error.message.starts_with("mem://lake cannot "), "{error}");
        assert!(bench.sink.counters.upload_failures.get() > 0);
        faulty.well();
        bench.kill(plan);
        let from = bench.open().await.unwrap_or(0);
        bench.write(batch(from)).await;
        bench.flush(FlushReason::End).await.unwrap();
        let mut lines: Vec<i64> = objects(&*faulty.memory)
            .await
            .into_values()
            .flatten()
            .map(|line| line.parse().unwrap())
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..130).collect::<Vec<_>>(), "{what}");
        assert!(faulty.uploads().iter().all(|parts| *parts == 0), "{what}");
    }
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_touched_and_stops_the_task() {
    for size in [1, 60] {
        let (faulty, store) = faulty();
        let name = "lake/a/demo+0+0000.jsonl";
        let path = object_store::path::Path::from(name);
        faulty.memory.put(&path, "theirs".into()).await.unwrap();
        let mut bench = Bench::opened(plan(store, records(size))).await;
        bench.write(of_one_key(0..size as i64)).await;
        let error = bench.flush(FlushReason::End).await.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
        assert_eq!(
            error.message,
            "mem://lake has an object lake/a/demo+0+0000.jsonl already, and not the one that is to be written there: it is \
             something else's, or the topic was made anew; move it away or change the prefix of the names, and restart \
             the task"
        );
        assert_eq!(objects(&*faulty.memory).await[name], ["theirs"]);
    }
}

#[tokio::test]
async fn a_store_that_refuses_is_not_asked_again() {
    let (faulty, store) = faulty();
    let mut bench = Bench::opened(plan(store, records(1))).await;
    faulty.fail_always("put", Fault::Denied);
    bench.write(vec![record(1, "a")]).await;
    let error = bench.flush(FlushReason::End).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert_eq!(faulty.asked("put"), 1);
    let (faulty, store) = self::faulty();
    faulty.rule(|_, _| Fault::Denied);
    let mut bench = Bench::new(plan(store, records(1)), Budget::unlimited());
    let opened = bench.sink.open(&[partition(0)], &mut bench.journal).await;
    assert_eq!(
        opened.unwrap_err().retry,
        Retry::Never,
        "before the first record"
    );
}
