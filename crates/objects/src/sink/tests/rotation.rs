//! When files end.

use super::*;

#[tokio::test]
async fn a_quiet_file_and_a_scheduled_moment_and_a_new_stamp_end_files_without_records() {
    for (case, rotation, hours) in [
        (
            "idle",
            Rotation {
                idle: Some(Duration::from_secs(3600)),
                ..Rotation::default()
            },
            false,
        ),
        (
            "schedule",
            Rotation {
                schedule: Some(Schedule {
                    interval: Duration::from_secs(3600),
                    zone: crate::layout::Zone::UTC,
                }),
                ..Rotation::default()
            },
            false,
        ),
        ("stamp", Rotation::default(), true),
    ] {
        let (faulty, store) = faulty();
        let mut plan = plan(store, rotation);
        plan.layout = Arc::new(ByKey { hours });
        let mut bench = Bench::opened(plan).await;
        bench.write(vec![record(1, "a")]).await;
        bench.clock.store(3_599_999, Ordering::Relaxed);
        assert_eq!(bench.settle().await.unwrap(), Some(1), "{case}");
        bench.clock.store(3_600_000, Ordering::Relaxed);
        if case != "stamp" {
            assert_eq!(bench.sink.need(), Need::Flush, "{case}");
        }
        assert_eq!(bench.settle().await.unwrap(), Some(2), "{case}");
        assert_eq!(objects(&*faulty.memory).await.len(), 1, "{case}");
        bench.write(vec![record(2, "a")]).await;
        bench.flush(FlushReason::End).await.unwrap();
        let there = objects(&*faulty.memory).await;
        let second = if hours {
            "lake/a/1hdemo+0+0002.jsonl"
        } else {
            "lake/a/demo+0+0002.jsonl"
        };
        assert!(there.contains_key(second), "{case}: {there:?}");
    }
}

#[tokio::test]
async fn the_file_that_waited_longest_ends_when_too_many_are_open() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, Rotation::default());
    plan.max_open = 2;
    let mut bench = Bench::opened(plan).await;
    bench.write(vec![record(1, "a"), record(2, "b")]).await;
    bench.clock.store(1, Ordering::Relaxed);
    bench.write(vec![record(3, "a"), record(4, "c")]).await;
    bench.settle().await.unwrap();
    assert_eq!(
        names(&objects(&*faulty.memory).await),
        ["lake/b/demo+0+0002.jsonl"]
    );
    assert_eq!(bench.sink.counters.cut_short.get(), 1);
    // Records of one offset are not parted, even if that leaves one file too many.
    bench
        .write(vec![
            record(5, "a"),
            record(5, "b"),
            record(5, "c"),
            record(5, "d"),
            record(5, "a"),
        ])
        .await;
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    let fives = there.values().flatten().filter(|line| *line == "5").count();
    assert_eq!(fives, 5, "{there:?}");
}
