//! The files that users bring along.

use penstock_tests::readers::Reader;
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Deployment, Estate, eventually, on_both_brokers};
use serde_json::Value;

use crate::table::files;

/// The acceptance file under another bucket's name, at the test's own servers.
fn bring(deployment: &Deployment, file: &str, server: (&str, &str), bucket: (&str, &Bucket)) {
    let path = format!("{}/acceptance/lake/{file}", env!("CARGO_MANIFEST_DIR"));
    deployment.write(file, &std::fs::read_to_string(path).unwrap());
    deployment.set(file, server.0, server.1);
    deployment.set(file, bucket.0, bucket.1.name());
}

/// A file that ended because it was full. Files also end by the clock, with fewer rows.
async fn full_file(bucket: &Bucket, directory: &str, reader: Reader) -> (String, Vec<Value>) {
    eventually(&format!("a full file of {reader:?}"), async || {
        let files = files(bucket, directory, reader).await;
        files.into_iter().find(|(_, rows)| rows.len() == 1000)
    })
    .await
}

/// The rows are those of the topic from one on.
async fn are_a_stretch(rows: &[Value], deployment: &Deployment) {
    let stretch = eventually("the topic's rows", async || {
        let topic = deployment.output("demo-2");
        let first = topic.iter().position(|row| row == &rows[0])?;
        topic.get(first..first + rows.len()).map(<[Value]>::to_vec)
    })
    .await;
    assert!(rows == stretch);
}

on_both_brokers! {
    async fn the_acceptance_files_fill_their_buckets(estate: Estate) {
        let deployment = estate.deploy("demo");
        let (s3, gcs) = (Bucket::s3().await, Bucket::gcs().await);
        bring(&deployment, "s3.properties", ("store.url", s3.endpoint()), ("s3.bucket.name", &s3));
        bring(&deployment, "gcs.properties", ("gcs.endpoint", gcs.endpoint()), ("gcs.bucket.name", &gcs));
        if let Some(registry) = estate.registry_url() {
            for file in ["s3.properties", "gcs.properties"] {
                deployment.set(file, "value.converter.schema.registry.url", registry);
            }
        }
        let worker = deployment.start_with(&s3.credentials()).await;
        let senders = Senders::start(&deployment.gateway(), 4);
        senders.acknowledge(1100).await;
        // The senders go on until there is one.
        let (name, rows) = full_file(&s3, "topics/", Reader::JsonLines).await;
        are_a_stretch(&rows, &deployment).await;
        let mut parts = name.split('/');
        assert_eq!((parts.next(), parts.next()), (Some("topics"), Some("demo-2")));
        for (part, digits) in parts.by_ref().zip([("year=", 4), ("month=", 2), ("day=", 2), ("hour=", 2)]) {
            let number = part.strip_prefix(digits.0).unwrap();
            assert!(number.len() == digits.1 && number.parse::<u32>().is_ok(), "{name}");
        }
        let offset = name.rsplit_once("/demo-2+0+").unwrap().1.strip_suffix(".json").unwrap();
        assert!(offset.len() == 10 && offset.parse::<u64>().is_ok(), "{name}");

        for reader in [Reader::Parquet, Reader::ParquetByDuckDb] {
            let (name, rows) = full_file(&gcs, "events/", reader).await;
            assert!(name.starts_with("events/demo-2/2"), "{name}");
            let values: Vec<Value> = rows.iter().map(|row| row["value"].clone()).collect();
            are_a_stretch(&values, &deployment).await;
            assert!(rows[0]["offset"].is_i64() && rows[0]["timestamp"].is_string(), "{}", rows[0]);
            assert_eq!(rows[0].as_object().unwrap().keys().len(), 4);
        }
        senders.stop().await;
        assert!(worker.stop().success());
    }
}
