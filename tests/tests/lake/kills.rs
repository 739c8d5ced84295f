//! Hard kills at any moment: the bucket holds every record once.

use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Deployment, Estate, on_both_brokers};

use crate::formats::{AVRO_CONTAINER, CSV, Format, JSON_ARRAY, JSON_LINES, PARQUET, RAW_BYTES};
use crate::table::every_event_once;

/// Exports side by side: each format, each with paths or rotations of its own.
const EXPORTS: [(Format, &str); 6] = [
    (JSON_LINES, "rotate.records=50\ncompression=zstd"),
    (
        JSON_ARRAY,
        "rotate.bytes=20kb\npartition.by=consistentValue",
    ),
    (CSV, "rotate.records=70\ncompression=gzip"),
    (
        AVRO_CONTAINER,
        "rotate.interval.ms=1000\ncompression=snappy",
    ),
    (
        PARQUET,
        "rotate.records=120\ncompression=zstd\npartition.by=time\npath.format=HH-mm-ss\ntime.from=clock",
    ),
    (RAW_BYTES, "rotate.bytes=30kb"),
];

fn export_all(deployment: &Deployment, bucket: &Bucket) {
    for (format, keys) in EXPORTS {
        // What is left at the end comes out when nothing more comes.
        let keys = format!("{keys}\nrotate.idle.ms=1500");
        format.export(deployment, bucket, bucket.endpoint(), format.name, &keys);
    }
}

on_both_brokers! {
    async fn a_killed_worker_leaves_every_event_in_the_bucket_once(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("demo-2.properties", "consumer.override.session.timeout.ms", "6000");
        deployment.remove("files.properties");
        let bucket = Bucket::s3().await;
        export_all(&deployment, &bucket);
        let mut worker = deployment.start().await;
        let senders = Senders::start(&deployment.gateway(), 4);
        for events in [150, 400, 250] {
            senders.acknowledge(events).await;
            worker.kill();
            worker = deployment.start().await;
        }
        senders.acknowledge(200).await;
        let sent = senders.stop().await;
        for (format, _) in EXPORTS {
            every_event_once(&bucket, format.name, format.reader, &sent).await;
        }
        assert!(bucket.unfinished().await.is_empty());
        assert!(worker.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_away_leaves_every_event_in_the_bucket_once() {
    let estate = Estate::kafka().await;
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let bucket = Bucket::s3().await;
    export_all(&deployment, &bucket);
    let worker = deployment.start().await;
    let senders = Senders::start(&deployment.gateway(), 4);
    for _ in 0..2 {
        senders.acknowledge(200).await;
        let mut broker = estate.broker().await;
        broker.kill();
        tokio::task::block_in_place(|| broker.restart()).unwrap();
    }
    senders.acknowledge(200).await;
    let sent = senders.stop().await;
    for (format, _) in EXPORTS {
        every_event_once(&bucket, format.name, format.reader, &sent).await;
    }
    assert!(worker.stop().success());
}
