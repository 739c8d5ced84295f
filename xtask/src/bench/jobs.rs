//! The jobs that are compared: how each is started.

use std::path::Path;

/// How events lie in a topic, by the generator's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Avro,
    Json,
    Plain,
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
}

/// The personal fields of the demo event.
pub(super) const FIELDS: &str = "uniqueIdentifier,consistentValue,someSensitiveValue";

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

impl Job {
    pub(super) fn all() -> Vec<Self> {
        use Format::{Avro, Json};
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
            Self::Floor(format) | Self::Encrypt(format) | Self::CheckEncrypt(format) => format,
            Self::Copy => Format::Json,
            Self::ConnectMask | Self::Mask => Format::Plain,
        }
    }

    /// Whether it writes a file instead of a topic.
    pub(super) fn writes_file(self) -> bool {
        matches!(self, Self::ConnectMask | Self::Mask)
    }

    /// Whether no plaintext may be left in its topic.
    pub(super) fn encrypts(self) -> bool {
        !matches!(self, Self::Copy | Self::ConnectMask | Self::Mask)
    }

    /// The worker's connector file: `name` names connector and output topic, `file` the output file.
    pub(super) fn connector(self, name: &str, file: &Path) -> String {
        let topic = self.format().name();
        if self.writes_file() {
            let file = file.display().to_string();
            let file = file.replace("-plain-0.out", "-{topic}-{partition}.out");
            return format!(
                "name={name}\n\
                 connector.class=FileSink\n\
                 topics={topic}\n\
                 file={file}\n\
                 value.converter=org.apache.kafka.connect.json.JsonConverter\n\
                 value.converter.schemas.enable=false\n\
                 transforms=mask\n\
                 transforms.mask.type=org.apache.kafka.connect.transforms.MaskField$Value\n\
                 transforms.mask.fields={FIELDS}\n"
            );
        }
        let chain = match self {
            Self::CheckEncrypt(_) => "check,encrypt,route",
            _ => "encrypt,route",
        };
        let check = match self {
            Self::CheckEncrypt(_) => "transforms.check.type=ContractCheck\n",
            _ => "",
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
        format!(
            "name={name}\n\
             connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector\n\
             topics={topic}\n\
             file={file}\n\
             transforms=mask\n\
             transforms.mask.type=org.apache.kafka.connect.transforms.MaskField$Value\n\
             transforms.mask.fields={FIELDS}\n"
        )
    }
}
