//! 200 partitions with 20 paths each and parts of 5 MB: 20 GB if every file had a part in memory. The
//! worker has 256 MB.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use penstock_connect::{
    Budget, FlushReason, MemoryJournal, Metrics, Need, Origin, Record, RecordError, Sink,
    TaskContext, TopicPartition,
};
use penstock_files::{FileSpec, Format};
use penstock_formats::{Encoding, Payload};
use penstock_objects::{Layout, NamedBy, NullValues, ObjectSink, Plan, Rotation, Store};

const PARTITIONS: i32 = 200;
const PATHS: i64 = 20;
const BUDGET: usize = 256 << 20;

/// A store that takes a while and keeps only the number of bytes.
#[derive(Clone, Debug, Default)]
struct Drain(Arc<AtomicU64>);

impl Drain {
    async fn take(&self, payload: &PutPayload) -> PutResult {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let bytes = payload.content_length() as u64;
        self.0.fetch_add(bytes, Ordering::Relaxed);
        done()
    }
}

fn done() -> PutResult {
    PutResult {
        e_tag: None,
        version: None,
        extensions: Default::default(),
    }
}

fn not_found(path: &Path) -> Error {
    Error::NotFound {
        path: path.to_string(),
        source: "nothing is kept".into(),
    }
}

impl std::fmt::Display for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drain")
    }
}

#[async_trait]
impl ObjectStore for Drain {
    async fn put_opts(&self, _: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
        Ok(self.take(&payload).await)
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotSupported {
            source: "parts come one by one".into(),
        })
    }

    async fn get_opts(&self, path: &Path, _: GetOptions) -> Result<GetResult> {
        Err(not_found(path))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::empty().boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::empty().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(not_found(&Path::default()))
    }

    async fn copy_opts(&self, path: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_found(path))
    }
}

#[async_trait]
impl MultipartStore for Drain {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        Ok(path.to_string())
    }

    async fn put_part(
        &self,
        _: &Path,
        _: &MultipartId,
        _: usize,
        payload: PutPayload,
    ) -> Result<PartId> {
        self.take(&payload).await;
        Ok(PartId {
            content_id: String::new(),
        })
    }

    async fn complete_multipart(
        &self,
        _: &Path,
        _: &MultipartId,
        _: Vec<PartId>,
    ) -> Result<PutResult> {
        Ok(done())
    }

    async fn abort_multipart(&self, _: &Path, _: &MultipartId) -> Result<()> {
        Ok(())
    }
}

struct ByOffset;

impl Layout for ByOffset {
    fn path(
        &self,
        record: &Record,
        out: &mut String,
    ) -> std::result::Result<Option<i64>, RecordError> {
        out.push_str(&(record.origin().offset % PATHS).to_string());
        Ok(None)
    }

    fn stamp(&self, _: i64) -> String {
        String::new()
    }

    fn name(&self, path: &str, _: &str, file: NamedBy<'_>) -> String {
        format!(
            "lake/{path}/{}+{}+{:010}.jsonl",
            file.topic, file.partition, file.first
        )
    }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition {
        topic: "demo".into(),
        partition: number,
    }
}

/// The most memory that this process has had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_open_files_with_parts_of_5_mb_stay_inside_256_mb() {
    let drain = Drain::default();
    let plan = Plan {
        store: Store::in_parts(drain.clone(), "drain://lake"),
        prefix: "lake/".to_owned(),
        layout: Arc::new(ByOffset),
        files: FileSpec::new(Format::JsonLines),
        rotation: Rotation::default(),
        nulls: NullValues::Fail,
        part_bytes: 5 << 20,
        notices: None,
        max_open: usize::MAX,
    };
    let budget = Budget::new(BUDGET);
    let context = TaskContext {
        connector: "lake".into(),
        task: 0,
        tasks: 1,
        metrics: Metrics::new(),
        budget: budget.clone(),
    };
    let mut sink = ObjectSink::new(plan, &context).unwrap();
    let mut journal = MemoryJournal::default();
    let partitions: Vec<_> = (0..PARTITIONS).map(partition).collect();
    sink.open(&partitions, &mut journal).await.unwrap();
    let value = Payload::new(
        format!("\"{}\"", "x".repeat(8190)).into_bytes(),
        Encoding::Json,
    );
    let before = peak();
    let (mut written, mut most, mut pauses) = (0, 0, 0);
    // One path of twenty has every fifth record.
    for round in 0..220i64 {
        for number in 0..PARTITIONS {
            let path = if round % 5 == 0 { 0 } else { round % PATHS };
            let mut record = Record::new("demo".into(), Some(value.clone()));
            record.set_origin(Origin {
                index: 0,
                partition: Some(partition(number)),
                offset: PATHS * round + path,
            });
            written += 8193;
            let rejected = sink.write(vec![record]).await.unwrap();
            assert!(rejected.is_empty());
            most = most.max(budget.used());
            while sink.need() != Need::Nothing {
                pauses += usize::from(sink.need() == Need::Room);
                sink.flush(FlushReason::Tick, &mut journal).await.unwrap();
                tokio::task::yield_now().await;
                if sink.need() == Need::Flush {
                    break;
                }
            }
        }
    }
    sink.flush(FlushReason::End, &mut journal).await.unwrap();
    assert_eq!(drain.0.load(Ordering::Relaxed), written);
    println!(
        "{} MB written, at most {} MB held, {} MB more in the process, {pauses} pauses",
        written >> 20,
        most >> 20,
        (peak() - before) >> 20
    );
    assert!(written > BUDGET as u64, "the budget was needed");
    assert!(most <= BUDGET, "{most} bytes held");
    assert!(
        peak() - before <= BUDGET / 8 * 9,
        "{} bytes in the process",
        peak() - before
    );
    assert_eq!(budget.used(), 0);
}
