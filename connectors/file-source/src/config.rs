//! Configuration of the source.

use std::collections::BTreeMap;

use penstock_connect::config::{ByteSize, Config, ConfigKey, ConfigValue, Millis, Names};
use penstock_connect::{Problem, Settings, choice, config};
use penstock_contracts::ContractRef;
use penstock_formats::FieldPath;
use penstock_registry::SchemaRef;

use crate::consent::Levels;
use crate::place::FilePlace;
use crate::store::StoreKeys;
use crate::time::TimeFormat;

choice! {
    /// What files hold.
    pub enum FileFormat {
        /// What the name's ending says.
        Auto = "auto",
        /// Comma-separated values (RFC 4180).
        Csv = "csv",
        /// One JSON object a line.
        JsonLines = "jsonl",
    }
}

/// The character between columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiter(pub u8);

impl ConfigValue for Delimiter {
    const KIND: &'static str = "one ASCII character, or `tab`";

    fn parse(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            b"tab" | b"\\t" => Ok(Self(b'\t')),
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | b'"') => Ok(Self(*byte)),
            _ => Err(format!("must be one ASCII character, or tab, not {text:?}")),
        }
    }
}

/// The character around values that hold delimiters or line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote(pub Option<u8>);

impl ConfigValue for Quote {
    const KIND: &'static str = "one ASCII character, or `none`";

    fn parse(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            b"none" => Ok(Self(None)),
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(Self(Some(*byte))),
            _ => Err(format!(
                "must be one ASCII character, or none, not {text:?}"
            )),
        }
    }
}

/// The text that stands for null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NullText(pub String);

impl ConfigValue for NullText {
    const KIND: &'static str = "text, may be empty";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

config! {
    /// Takes the rows of CSV and JSON lines files into a topic, each once: from this machine or an
    /// object store, in the order of the files' names, plain or compressed (`.gz`, `.zst`). A file is
    /// known by its name and has to be complete when it appears. One task reads; further tasks of the
    /// connector have nothing to do.
    #[check(check)]
    pub struct FileSourceKeys {
        /// What to read on this machine: a file, a directory with everything below it, or a pattern (`in/*.csv`, `in/**/part-?.jsonl.gz`). In a directory, names that begin with `.` or `_` are left out.
        "file" => file: Option<FilePlace>,
        /// The same in a store: `s3://bucket/in/`, `gs://bucket/in/*.csv`, `az://container/in/a.csv`.
        "url" => url: Option<FilePlace>,
        /// Topic that rows are appended to.
        "topic" => topic: String,
        /// Schema that every row has to fit; its types say how values are read. Without it, events are JSON, and the values of CSV are text.
        "schema" => schema: Option<SchemaRef>,
        /// What files hold: `auto` (`.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.json` say it), `csv` or `jsonl`.
        "format" => format: FileFormat = "auto",
        /// How often to look for new files. Without it the connector is COMPLETED once it has read the files that are there; the next start reads those that are new by then.
        "poll.interval.ms" => poll_interval: Option<Millis>,
        /// What stands between columns. Without it, a tab in `.tsv` files, else a comma.
        "csv.delimiter" => delimiter: Option<Delimiter>,
        /// What stands around values with delimiters or line ends in them; twice within such a value it stands for itself.
        "csv.quote" => quote: Quote = "\"",
        /// The text that stands for null.
        "csv.null" => null: NullText = "",
        /// Names of the columns, for files without a header line.
        "csv.columns" => header: Names,
        /// Columns to leave out; `*` for all that the schema does not have. Other unknown columns stop the source.
        "columns.ignore" => ignore: Names,
        /// Column with the time of the event, which goes to `meta.timestamp`.
        "timestamp.column" => timestamp_column: Option<String>,
        /// How that time is written: `auto` (milliseconds since the epoch, or ISO 8601), `epoch.s`, `epoch.ms`, or a pattern such as `%d/%m/%Y %H:%M:%S`. Without a time zone it is UTC.
        "timestamp.format" => timestamp_format: TimeFormat = "auto",
        /// Make it the record's timestamp as well. Topics count their retention from there: rows that are older than `retention.ms` are soon deleted.
        "timestamp.record" => timestamp_record: bool = "false",
        /// Column with the person's consent levels (`1,2`, `[1,2]` or `1;2`; empty for none), which go to `meta.consent.levels`.
        "consent.column" => consent_column: Option<String>,
        /// Consent levels of all rows. Without this and `consent.column` there are none.
        "consent.levels" => consent_levels: Option<Levels>,
        /// Contract that all rows are under, which goes to `meta.contract.ref`.
        "contract" => contract: Option<ContractRef>,
        /// Field that names the event's contract.
        "meta.contract.ref" => contract_field: FieldPath = "strmMeta/eventContractRef",
        /// Field for the time of the event, in milliseconds since the epoch.
        "meta.timestamp" => timestamp_field: FieldPath = "strmMeta/timestamp",
        /// Field for the consent levels.
        "meta.consent.levels" => consent_field: FieldPath = "strmMeta/consentLevels",
        /// Largest row; a larger one is rejected without its data.
        "row.max.bytes" => max_row: ByteSize = "4mb",
        /// Most rows in a batch, which is one transaction.
        "batch.max.rows" => batch_rows: usize = "5000",
        /// Bytes of rows after which a batch is full.
        "batch.max.bytes" => batch_bytes: ByteSize = "4mb",
    }
}

/// All keys: those of rows, those of the store, and which columns belong to fields of other names.
#[derive(Clone, Debug)]
pub struct FileSourceConfig {
    /// What to read and what becomes of it.
    pub keys: FileSourceKeys,
    /// How to reach the store that the files are in.
    pub store: StoreKeys,
    /// Column by field: `columns.<field>=<column>`.
    pub columns: BTreeMap<FieldPath, String>,
}

const PREFIX: &str = "columns.";
const IGNORE: &str = "columns.ignore";

impl Config for FileSourceConfig {
    fn keys() -> Vec<ConfigKey> {
        let mut keys = FileSourceKeys::keys();
        let place = keys.iter().position(|key| key.name == IGNORE);
        let mapping = ConfigKey {
            name: "columns.<field>".to_owned(),
            kind: "text",
            default: None,
            required: false,
            secret: false,
            doc: "Column of a field that has another name (`columns.customer.id=customer_no`)."
                .to_owned(),
        };
        keys.insert(place.unwrap_or(keys.len()), mapping);
        keys.extend(StoreKeys::keys());
        keys
    }

    fn doc() -> String {
        FileSourceKeys::doc()
    }

    fn read(settings: &mut Settings, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let mappings: Vec<String> = settings
            .keys()
            .filter(|key| key.starts_with(PREFIX) && *key != IGNORE)
            .map(str::to_owned)
            .collect();
        let mut columns = BTreeMap::new();
        for key in mappings {
            let Some(setting) = settings.take(&key) else {
                continue;
            };
            let mut refuse = |message: String| {
                problems.push(settings.problem_at(setting.line, Some(key.clone()), message));
            };
            match FieldPath::parse(&key[PREFIX.len()..]) {
                Err(error) => refuse(error.to_string()),
                Ok(_) if setting.value().trim().is_empty() => refuse("is empty".to_owned()),
                Ok(field) => {
                    columns.insert(field, setting.value().trim().to_owned());
                }
            }
        }
        let given = settings.clone();
        // Both, so that all problems are reported at once.
        let keys = FileSourceKeys::read(settings, problems);
        let store = StoreKeys::read(settings, problems);
        let (keys, store) = (keys?, store?);
        for (key, message) in store.check_for(keys.place().bucket.as_ref()) {
            problems.push(given.problem(key, message));
        }
        (problems.len() == before).then_some(Self {
            keys,
            store,
            columns,
        })
    }
}

impl FileSourceKeys {
    /// What to read.
    pub(crate) fn place(&self) -> &FilePlace {
        match (&self.file, &self.url) {
            (Some(place), _) | (None, Some(place)) => place,
            (None, None) => unreachable!("a configuration with neither is refused"),
        }
    }
}

fn check(config: &FileSourceKeys) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    match (&config.file, &config.url) {
        (None, None) => problems.push(("file", "is required (or url)".to_owned())),
        (Some(_), Some(_)) => problems.push((
            "url",
            "says in another way what file says; keep one of them".to_owned(),
        )),
        _ => {}
    }
    let at_least_1 = || "must be at least 1".to_owned();
    if config.max_row.0 == 0 {
        problems.push(("row.max.bytes", at_least_1()));
    }
    if config.batch_rows == 0 {
        problems.push(("batch.max.rows", at_least_1()));
    }
    if config.batch_bytes.0 == 0 {
        problems.push(("batch.max.bytes", at_least_1()));
    }
    if config.poll_interval.is_some_and(|time| time.0.is_zero()) {
        problems.push(("poll.interval.ms", at_least_1()));
    }
    if config.consent_column.is_some() && config.consent_levels.is_some() {
        problems.push((
            "consent.levels",
            "says in another way what consent.column says; keep one of them".to_owned(),
        ));
    }
    if let (Quote(Some(quote)), Some(Delimiter(delimiter))) = (config.quote, config.delimiter)
        && quote == delimiter
    {
        problems.push(("csv.quote", "is the same as csv.delimiter".to_owned()));
    }
    if config.timestamp_record && config.timestamp_column.is_none() {
        problems.push((
            "timestamp.record",
            "needs timestamp.column beside it".to_owned(),
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<FileSourceConfig, Vec<String>> {
        let text = format!("file=in\ntopic=t\n{text}");
        FileSourceConfig::read_all(Settings::parse("f.properties", &text).unwrap())
            .map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn place_and_topic_are_enough() {
        let config = read("").unwrap();
        assert_eq!(config.keys.quote, Quote(Some(b'"')));
        assert_eq!(config.keys.null, NullText(String::new()));
        assert!(config.columns.is_empty());
    }

    #[test]
    fn columns_of_fields_are_collected_beside_the_ones_to_ignore() {
        let config = read("columns.customer.id=customer_no\ncolumns.ignore=a,b").unwrap();
        let field = FieldPath::parse("customer/id").unwrap();
        assert_eq!(config.columns[&field], "customer_no");
        assert_eq!(config.keys.ignore.0, ["a", "b"]);
    }

    #[test]
    fn a_place_is_required_and_azure_needs_an_account() {
        let problems = |text: &str| {
            let settings = Settings::parse("f", text).unwrap();
            let found = FileSourceConfig::read_all(settings).unwrap_err();
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(problems("topic=t"), ["f: file: is required (or url)"]);
        assert_eq!(
            problems("topic=t\nurl=az://lake/in\naws.region=x"),
            [
                "f:3: aws.region: means nothing for az://",
                "f: azure.account.name: is required (or azure.connection.string)",
            ]
        );
        assert!(read("columns.a=b").is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line() {
        for (text, expected) in [
            (
                "columns.=a",
                "f.properties:3: columns.: field path '' has an empty segment",
            ),
            (
                "csv.delimiter=ab",
                "f.properties:3: csv.delimiter: must be one ASCII character, or tab, not \"ab\"",
            ),
            (
                "consent.column=c\nconsent.levels=1",
                "f.properties:4: consent.levels: says in another way what consent.column says; keep one of them",
            ),
            (
                "consent.levels=1,high",
                "f.properties:3: consent.levels: must be consent levels such as 1,2",
            ),
            (
                "timestamp.record=true",
                "f.properties:3: timestamp.record: needs timestamp.column beside it",
            ),
            (
                "timestamp.format=yyyy",
                "f.properties:3: timestamp.format: must be auto, epoch.s, epoch.ms or a pattern such as %d/%m/%Y %H:%M:%S, not \"yyyy\"",
            ),
            (
                "url=s3://lake/in",
                "f.properties:3: url: says in another way what file says; keep one of them",
            ),
            (
                "aws.access.key.id=a",
                "f.properties: aws.secret.access.key: is required with aws.access.key.id",
            ),
            (
                "aws.region=eu-west-1",
                "f.properties:3: aws.region: means nothing for files on this machine",
            ),
            (
                "gcs.credentials.path=a\ngcs.credentials.json={}",
                "f.properties:4: gcs.credentials.json: give either gcs.credentials.path or gcs.credentials.json, not both",
            ),
            (
                "colums.ignore=a",
                "f.properties:3: colums.ignore: unknown key; did you mean columns.ignore?",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), [expected]);
        }
    }
}
