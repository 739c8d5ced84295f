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

/// The first file has 1000 rows: those of the topic from the offset on that its name says.
fn holds_a_stretch(rows: &[Value], topic: &[Value]) {
    assert_eq!(rows.len(), 1000);
    let first = topic.iter().position(|row| row == &rows[0]);
    let first = first.expect("the file's first row is one of the topic's");
    assert!(rows == &topic[first..first + rows.len()]);
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
        eventually("a file in each bucket", async || {
            let both = !s3.list("").await.is_empty() && !gcs.list("").await.is_empty();
            both.then_some(())
        })
        .await;
        senders.stop().await;
        let topic = eventually("the topic's rows", async || {
            let rows = deployment.output("demo-2");
            (rows.len() >= 1000).then_some(rows)
        })
        .await;

        let (name, rows) = &files(&s3, "topics/", Reader::JsonLines).await[0];
        holds_a_stretch(rows, &topic);
        let mut parts = name.split('/');
        assert_eq!((parts.next(), parts.next()), (Some("topics"), Some("demo-2")));
        for (part, digits) in parts.by_ref().zip([("year=", 4), ("month=", 2), ("day=", 2), ("hour=", 2)]) {
            let number = part.strip_prefix(digits.0).unwrap();
            assert!(number.len() == digits.1 && number.parse::<u32>().is_ok(), "{name}");
        }
        let offset = name.rsplit_once("/demo-2+0+").unwrap().1.strip_suffix(".json").unwrap();
        assert!(offset.len() == 10 && offset.parse::<u64>().is_ok(), "{name}");

        for reader in [Reader::Parquet, Reader::ParquetByDuckDb] {
            let (name, rows) = &files(&gcs, "events/", reader).await[0];
            assert!(name.starts_with("events/demo-2/2"), "{name}");
            let values: Vec<Value> = rows.iter().map(|row| row["value"].clone()).collect();
            holds_a_stretch(&values, &topic);
            assert!(rows[0]["offset"].is_i64() && rows[0]["timestamp"].is_string(), "{}", rows[0]);
            assert_eq!(rows[0].as_object().unwrap().keys().len(), 4);
        }
        assert!(worker.stop().success());
    }
}
