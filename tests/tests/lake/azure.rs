//! Exports to Azure, and what is wrong with them.

use penstock_tests::readers::Reader;
use penstock_tests::senders::Senders;
use penstock_tests::{Bucket, Estate, on_both_brokers};

use crate::guide;
use crate::refusals::failure;
use crate::table::{every_event_once, export, export_with};

on_both_brokers! {
    async fn a_killed_worker_leaves_every_event_in_the_container_once(estate: Estate) {
        let deployment = estate.deploy("demo");
        deployment.set("demo-2.properties", "consumer.override.session.timeout.ms", "6000");
        deployment.remove("files.properties");
        let bucket = Bucket::azure().await;
        export(
            &deployment,
            &bucket,
            bucket.endpoint(),
            "parquet",
            "format=parquet\ncompression=zstd\nrotate.records=120\nrotate.idle.ms=1500",
        );
        // The same in the words of the page, with what is in the environment.
        let file = guide::connector(&deployment, "lake-azure");
        for (key, value) in [
            ("url", &*format!("{}/lines", bucket.url())),
            ("azure.account.name", bucket.account()),
            ("endpoint", bucket.endpoint()),
            ("value.converter", "io.confluent.connect.avro.AvroConverter"),
            ("consumer.override.session.timeout.ms", "6000"),
            ("rotate.records", "50"),
            ("rotate.idle.ms", "1500"),
        ] {
            deployment.set(&file, key, value);
        }
        let keys = format!(
            "azure.account.name={}\nendpoint={}\nrotate.records=80\nrotate.idle.ms=1500",
            bucket.account(),
            bucket.endpoint()
        );
        export_with(&deployment, &bucket, "environment", &keys);
        let mut variables = bucket.credentials();
        variables.extend([
            ("LAKE_ACCOUNT_KEY", variables[0].1),
            // What is empty is not set: this would come before the key.
            ("AZURE_STORAGE_TOKEN", ""),
        ]);
        let mut worker = deployment.start_with(&variables).await;
        let senders = Senders::start(&deployment.gateway(), 4);
        for events in [150, 250] {
            senders.acknowledge(events).await;
            worker.kill();
            worker = deployment.start_with(&variables).await;
        }
        senders.acknowledge(150).await;
        let sent = senders.stop().await;
        for folder in ["lines", "environment"] {
            every_event_once(&bucket, folder, Reader::JsonLines, &sent).await;
        }
        every_event_once(&bucket, "parquet", Reader::Parquet, &sent).await;
        assert!(worker.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_and_credentials_that_are_wrong_are_told_before_the_first_record() {
    let estate = Estate::embedded();
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    let bucket = Bucket::azure().await;
    let (account, key) = (bucket.account(), bucket.credentials()[0].1);
    let own = |name: &str, keys: &str| {
        let keys = format!("endpoint={}\n{keys}", bucket.endpoint());
        export_with(&deployment, &bucket, name, &keys);
    };
    own(
        "missing",
        &format!("azure.account.name={account}\nazure.account.key={key}"),
    );
    deployment.set("missing.properties", "url", "az://there-is-none/x");
    own(
        "key",
        &format!("azure.account.name={account}\nazure.account.key=bm90LXRoZS1rZXk="),
    );
    own(
        "no-key",
        &format!("azure.account.name={account}\nazure.account.key=not-the-key"),
    );
    own(
        "sas",
        &format!("azure.account.name={account}\nazure.sas.token=?sv=2022-11-02&sig=bm9uZQ%3D%3D"),
    );
    own(
        "connection",
        &format!("azure.connection.string=AccountName={account};AccountKey=bm90LXRoZS1rZXk="),
    );
    let worker = deployment.spawn(&[]);
    let container = bucket.url();
    let refused = |origin: &str, code: &str| {
        format!(
            "{container} cannot be written: the store does not let these credentials ({origin}) in; correct them, \
             or let this machine through the account's firewall [{code}]"
        )
    };
    for (name, expected) in [
        (
            "missing",
            "az://there-is-none cannot be written: there is no such container; make it, or correct its name",
        ),
        (
            "key",
            &*refused("azure.account.key", "AuthorizationFailure"),
        ),
        (
            "no-key",
            &*format!("{container} cannot be used: azure.account.key has a key that is not base64"),
        ),
        ("sas", &*refused("azure.sas.token", "AuthorizationFailure")),
        (
            "connection",
            &*refused("azure.connection.string", "AuthorizationFailure"),
        ),
    ] {
        assert_eq!(failure(&deployment, name).await, expected, "{name}");
    }
    for secret in ["bm90LXRoZS1rZXk", "not-the-key", "bm9uZQ"] {
        assert!(!worker.output().contains(secret), "{secret}");
    }
    assert!(worker.stop().success());
}
