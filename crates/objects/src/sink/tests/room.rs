//! Memory: what is held while files do not get away.

use super::*;

#[tokio::test]
async fn without_room_nothing_more_is_taken_until_files_have_left() {
    let (faulty, store) = faulty();
    let budget = Budget::new(20_000);
    let mut plan = plan(store, Rotation::default());
    plan.part_bytes = 1 << 20;
    let mut bench = Bench::new(plan, budget.clone());
    bench.open().await;
    faulty.fail_always("put", Fault::Hangs);
    let mut offset = 0;
    while bench.sink.need() != Need::Room {
        let value = format!("\"{}\"", "x".repeat(2000));
        let record = record_at(0, offset, &format!("k{offset}"), &value, 0);
        bench.write(vec![record]).await;
        offset += 1;
        assert!(offset < 100, "{} bytes are held", budget.used());
        bench.flush(FlushReason::Tick).await.unwrap();
    }
    assert!(
        bench.sink.counters.cut_short.get() > 0,
        "the largest have ended"
    );
    bench.flush(FlushReason::Tick).await.unwrap();
    assert_eq!(bench.sink.need(), Need::Room, "they do not get away");
    // Another task of the worker has room all the same.
    let mut other = budget.holder();
    other.set(4_000);
    assert!(!other.is_full());
}

#[tokio::test]
async fn a_file_that_is_rebuilt_gets_its_records_though_there_is_no_room() {
    let (faulty, store) = faulty();
    let mut plan = plan(store, records(40));
    plan.part_bytes = 1 << 20;
    let mut bench = Bench::opened(plan.clone()).await;
    faulty.fail_always("put", Fault::Hangs);
    let batch = |range: std::ops::Range<i64>| -> Vec<Record> {
        let value = format!("\"{}\"", "x".repeat(1000));
        range
            .map(|offset| record_at(0, offset, "a", &value, 0))
            .collect()
    };
    bench.write(batch(0..40)).await;
    bench.flush(FlushReason::Tick).await.unwrap();
    faulty.well();
    bench.context.budget = Budget::new(20_000);
    bench.kill(plan);
    assert_eq!(bench.open().await, Some(0));
    for offset in 0..40 {
        bench.write(batch(offset..offset + 1)).await;
        while bench.sink.need() == Need::Room {
            bench.flush(FlushReason::Tick).await.unwrap();
        }
    }
    bench.flush(FlushReason::End).await.unwrap();
    let there = objects(&*faulty.memory).await;
    assert_eq!(there["lake/a/demo+0+0000.jsonl"].len(), 40);
}
