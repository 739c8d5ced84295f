//! Every format that files have, who reads it, and exports in it.

use penstock_tests::faults::{Fault, FaultProxy};
use penstock_tests::readers::Reader;
use penstock_tests::{Bucket, Deployment, eventually};

use crate::table::export;

/// A format of files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// As `format` has it.
    pub(crate) name: &'static str,
    pub(crate) reader: Reader,
    /// Gives the values as the format takes them, out of a topic of Avro values.
    converter: &'static str,
}

const AVRO: &str = "io.confluent.connect.avro.AvroConverter";
const RAW: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

pub(crate) const JSON_LINES: Format = of("jsonl", Reader::JsonLines, AVRO);
pub(crate) const JSON_ARRAY: Format = of("json", Reader::Json, AVRO);
pub(crate) const CSV: Format = of("csv", Reader::Csv, AVRO);
pub(crate) const AVRO_CONTAINER: Format = of("avro", Reader::Avro, AVRO);
pub(crate) const PARQUET: Format = of("parquet", Reader::Parquet, AVRO);
pub(crate) const RAW_BYTES: Format = of("bytes", Reader::AvroValues, RAW);

const FORMATS: [Format; 6] = [
    JSON_LINES,
    JSON_ARRAY,
    CSV,
    AVRO_CONTAINER,
    PARQUET,
    RAW_BYTES,
];

const fn of(name: &'static str, reader: Reader, converter: &'static str) -> Format {
    Format {
        name,
        reader,
        converter,
    }
}

impl Format {
    /// An export of `demo-2` in this format, by this name.
    pub(crate) fn export(
        self,
        deployment: &Deployment,
        bucket: &Bucket,
        endpoint: &str,
        name: &str,
        keys: &str,
    ) {
        let keys = format!("format={}\n{keys}", self.name);
        export(deployment, bucket, endpoint, name, &keys);
        let file = format!("{name}.properties");
        deployment.set(&file, "value.converter", self.converter);
    }
}

/// An export in each format, by the format's name, to a store that fails by this plan.
pub(crate) async fn export_each(
    deployment: &Deployment,
    bucket: &Bucket,
    plan: &[Fault],
    keys: &str,
) -> Vec<(Format, FaultProxy)> {
    let mut exports = Vec::new();
    for format in FORMATS {
        let proxy = FaultProxy::to(bucket.endpoint()).await;
        proxy.plan(plan.iter().cloned());
        format.export(deployment, bucket, proxy.url(), format.name, keys);
        exports.push((format, proxy));
    }
    exports
}

/// Waits until each export has met all of its plan.
pub(crate) async fn every_fault_was_met(exports: &[(Format, FaultProxy)]) {
    for (format, proxy) in exports {
        let what = format!(
            "faults that {} has not met: {:?}",
            format.name,
            proxy.unmet()
        );
        eventually(&what, async || proxy.is_over().then_some(())).await;
    }
}
