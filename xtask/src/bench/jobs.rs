//! The jobs that are compared: how each is started.

use std::path::Path;

use super::bucket;

/// How events lie in a topic, by the generator's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Avro,
    Json,
    Plain,
}

/// What the files of an export are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Jsonl,
    Parquet,
}

/// Where a job's events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Nowhere,
    Topic,
    File,
    Bucket(Files),
}

/// One job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// The bare loop that only copies.
    Copy,
    /// The bare loop that encrypts.
    Floor(Format),
    /// The worker: contract and key looked up, fields encrypted.
    Encrypt(Format),
    /// The worker: contract checked before, as at an intake.
    CheckEncrypt(Format),
    /// Kafka Connect masking fields, into a file.
    ConnectMask,
    /// The worker masking fields, into a file.
    Mask,
    /// The bare loop that only reads.
    ExportFloor(Format),
    /// The worker writing files into a bucket.
    Export(Files, Format),
    /// Kafka Connect writing a file.
    ExportConnect,
}

/// The transform that masks the personal fields of the demo event.
const MASK: &str = "transforms=mask\n\
    transforms.mask.type=org.apache.kafka.connect.transforms.MaskField$Value\n\
    transforms.mask.fields=uniqueIdentifier,consistentValue,someSensitiveValue\n";

/// The converter for JSON alone.
const SCHEMALESS: &str = "value.converter=org.apache.kafka.connect.json.JsonConverter\n\
    value.converter.schemas.enable=false\n";

impl Format {
    /// The name that the generator and the floor know.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Avro => "avro",
            Self::Json => "json",
            Self::Plain => "plain",
        }
    }
}

impl Files {
    /// The name that the worker knows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

impl Job {
    pub(super) fn all() -> Vec<Self> {
        use Files::{Jsonl, Parquet};
        use Format::{Avro, Json, Plain};
        vec![
            Self::Copy,
            Self::Floor(Json),
            Self::Encrypt(Json),
            Self::CheckEncrypt(Json),
            Self::Floor(Avro),
            Self::Encrypt(Avro),
            Self::CheckEncrypt(Avro),
            Self::ConnectMask,
            Self::Mask,
            Self::ExportFloor(Plain),
            Self::Export(Jsonl, Plain),
            Self::ExportConnect,
            Self::ExportFloor(Avro),
            Self::Export(Jsonl, Avro),
            Self::Export(Parquet, Avro),
        ]
    }

    pub(super) fn name(self) -> &'static str {
        use Format::Avro;
        match self {
            Self::Copy => "floor-copy-json",
            Self::Floor(Avro) => "floor-avro",
            Self::Floor(_) => "floor-json",
            Self::Encrypt(Avro) => "encrypt-avro",
            Self::Encrypt(_) => "encrypt-json",
            Self::CheckEncrypt(Avro) => "check-encrypt-avro",
            Self::CheckEncrypt(_) => "check-encrypt-json",
            Self::ConnectMask => "connect-mask",
            Self::Mask => "mask",
            Self::ExportFloor(Avro) => "export-floor-avro",
            Self::ExportFloor(_) => "export-floor-plain",
            Self::Export(Files::Jsonl, Avro) => "export-jsonl-avro",
            Self::Export(Files::Jsonl, _) => "export-jsonl",
            Self::Export(Files::Parquet, _) => "export-parquet",
            Self::ExportConnect => "export-connect",
        }
    }

    /// Whether its first run makes the keys for its topic.
    pub(super) fn makes_keys(self) -> bool {
        matches!(self, Self::Encrypt(_))
    }

    /// The name of that first run.
    pub(super) fn name_with_new_keys(self) -> &'static str {
        match self {
            Self::Encrypt(Format::Avro) => "encrypt-avro-new-keys",
            _ => "encrypt-json-new-keys",
        }
    }

    /// How the events lie that it reads; they are in the topic of that name.
    pub(super) fn format(self) -> Format {
        match self {
            Self::Floor(format)
            | Self::Encrypt(format)
            | Self::CheckEncrypt(format)
            | Self::ExportFloor(format)
            | Self::Export(_, format) => format,
            Self::Copy => Format::Json,
            Self::ConnectMask | Self::Mask | Self::ExportConnect => Format::Plain,
        }
    }

    /// Where its events go.
    pub(super) fn output(self) -> Output {
        match self {
            Self::Copy | Self::Floor(_) | Self::Encrypt(_) | Self::CheckEncrypt(_) => Output::Topic,
            Self::ConnectMask | Self::Mask | Self::ExportConnect => Output::File,
            Self::ExportFloor(_) => Output::Nowhere,
            Self::Export(files, _) => Output::Bucket(files),
        }
    }

    /// Whether no plaintext may be left in its topic.
    pub(super) fn encrypts(self) -> bool {
        matches!(
            self,
            Self::Floor(_) | Self::Encrypt(_) | Self::CheckEncrypt(_)
        )
    }

    /// The worker's connector file: `name` names connector, output topic and prefix in the bucket, `file` the
    /// output file.
    pub(super) fn connector(self, name: &str, file: &Path) -> String {
        let topic = self.format().name();
        match self {
            Self::Mask => {
                let file = file.display().to_string();
                let file = file.replace("-plain-0.out", "-{topic}-{partition}.out");
                format!(
                    "name={name}\n\
                     connector.class=FileSink\n\
                     topics={topic}\n\
                     file={file}\n\
                     {SCHEMALESS}\
                     {MASK}"
                )
            }
            Self::Export(files, format) => {
                let converter = match format {
                    Format::Plain => SCHEMALESS,
                    Format::Avro | Format::Json => "",
                };
                let compression = match files {
                    Files::Jsonl => "none",
                    Files::Parquet => "zstd",
                };
                format!(
                    "name={name}\n\
                     connector.class=ObjectSink\n\
                     topics={topic}\n\
                     read.until=end\n\
                     url=s3://{}/{name}\n\
                     endpoint=${{env:AWS_ENDPOINT_URL}}\n\
                     format={}\n\
                     compression={compression}\n\
                     {converter}",
                    bucket::NAME,
                    files.name()
                )
            }
            _ => self.pipeline(name),
        }
    }

    fn pipeline(self, name: &str) -> String {
        let topic = self.format().name();
        let (chain, check) = match self {
            Self::CheckEncrypt(_) => (
                "check,encrypt,route",
                "transforms.check.type=ContractCheck\n",
            ),
            _ => ("encrypt,route", ""),
        };
        format!(
            "name={name}\n\
             connector.class=TopicPipeline\n\
             topics={topic}\n\
             transforms={chain}\n\
             {check}\
             transforms.encrypt.type=PiiEncrypt\n\
             transforms.encrypt.key.stream={name}\n\
             transforms.route.type=RegexRouter\n\
             transforms.route.regex=.*\n\
             transforms.route.replacement={name}\n"
        )
    }

    /// Kafka Connect's connector file.
    pub(super) fn connect_connector(self, name: &str, file: &Path) -> String {
        let topic = self.format().name();
        let file = file.display();
        let mask = if self == Self::ConnectMask { MASK } else { "" };
        format!(
            "name={name}\n\
             connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector\n\
             topics={topic}\n\
             file={file}\n\
             {mask}"
        )
    }
}
