//! The encrypter's properties.

use penstock_connect::config;
use penstock_contracts::{ContractRef, ListedFields};
use penstock_formats::FieldPath;

config! {
    /// Encrypts the personal fields of events in place (AES-SIV in Tink's format, base64), names the
    /// key in the event, and makes that name the record's key. What cannot be encrypted is rejected.
    #[check(fields_are_listed_whole)]
    pub struct PiiEncryptConfig {
        /// The contract that all events are under; without it, each event names its own.
        "contract" => contract: Option<ContractRef>,
        /// Personal fields with their levels, where there are no contracts.
        "pii.fields" => pii_fields: Option<ListedFields>,
        /// With `pii.fields`: the field whose equal values share a key.
        "key.field" => key_field: Option<FieldPath>,
        /// With `pii.fields`: the field that says whom an event is about, for erasure.
        "data.subject.field" => data_subject_field: Option<FieldPath>,
        /// The stream that keys belong to; without it, the topic that the records go to.
        "key.stream" => key_stream: Option<String>,
        /// Field that names the event's contract.
        "meta.contract.ref" => contract_field: FieldPath = "strmMeta/eventContractRef",
        /// Field for the name of the key. Where a schema has no such field, only the record key has it.
        "meta.key.link" => key_link: FieldPath = "strmMeta/keyLink",
    }
}

fn fields_are_listed_whole(config: &PiiEncryptConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    match (&config.pii_fields, &config.contract) {
        (Some(_), Some(_)) => problems.push((
            "pii.fields",
            "says the same as contract in another way; keep one of them".to_owned(),
        )),
        (Some(_), None) if config.key_field.is_none() => {
            problems.push((
                "key.field",
                "is required, since pii.fields is given".to_owned(),
            ));
        }
        (Some(_), None) => {}
        (None, _) => {
            let needless = [
                ("key.field", config.key_field.is_some()),
                ("data.subject.field", config.data_subject_field.is_some()),
            ];
            for (key, _) in needless.into_iter().filter(|(_, given)| *given) {
                problems.push((
                    key,
                    "goes with pii.fields; contracts name theirs".to_owned(),
                ));
            }
        }
    }
    problems
}
