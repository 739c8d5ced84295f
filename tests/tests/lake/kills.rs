//! Hard kills at any moment: the bucket holds every record once.

use penstock_tests::readers::Reader;
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Estate, on_both_brokers};

use crate::table::{every_event_once, export};

/// Exports side by side: each format, each with paths or rotations of its own.
const EXPORTS: [(&str, Reader, &str); 4] = [
    (
        "lines",
        Reader::JsonLines,
        "rotate.records=50\ncompression=zstd",
    ),
    (
        "json",
        Reader::Json,
        "format=json\nrotate.bytes=20kb\npartition.by=consistentValue",
    ),
    (
        "avro",
        Reader::Avro,
        "format=avro\nrotate.interval.ms=1000\ncompression=snappy",
    ),
    (
        "parquet",
        Reader::Parquet,
        "format=parquet\nrotate.records=120\ncompression=zstd\npartition.by=time\npath.format=HH-mm-ss\ntime.from=clock",
    ),
];

on_both_brokers! {
    async fn a_killed_worker_leaves_every_event_in_the_bucket_once(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("demo-2.properties", "consumer.override.session.timeout.ms", "6000");
        deployment.remove("files.properties");
        let bucket = Bucket::s3().await;
        for (name, _, keys) in EXPORTS {
            // What is left at the end comes out when nothing more comes.
            let keys = format!("{keys}\nrotate.idle.ms=1500");
            export(&deployment, &bucket, bucket.endpoint(), name, &keys);
        }
        let mut worker = deployment.start().await;
        let senders = Senders::start(&deployment.gateway(), 4);
        for events in [150, 400, 250] {
            senders.acknowledge(events).await;
            worker.kill();
            worker = deployment.start().await;
        }
        senders.acknowledge(200).await;
        let sent = senders.stop().await;
        for (name, reader, _) in EXPORTS {
            every_event_once(&bucket, name, reader, &sent).await;
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
    let (name, reader, keys) = EXPORTS[0];
    export(
        &deployment,
        &bucket,
        bucket.endpoint(),
        name,
        &format!("{keys}\nrotate.idle.ms=1500"),
    );
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
    every_event_once(&bucket, name, reader, &sent).await;
    assert!(worker.stop().success());
}
