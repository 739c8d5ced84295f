//! The encrypter's properties.

use std::sync::Arc;

use penstock_connect::config;
use penstock_contracts::{
    ContractRef, ContractSource, ListedFields, PersonalTags, Rules, TaggedRules,
};
use penstock_formats::FieldPath;

config! {
    /// Encrypts the personal fields of events in place (AES-SIV in Tink's format, base64), names the
    /// key in the event, and makes that name the record's key. What cannot be encrypted is rejected.
    #[check(rules_come_from_one_place)]
    pub struct PiiEncryptConfig {
        /// The contract that all events are under; without it, each event names its own.
        "contract" => contract: Option<ContractRef>,
        /// Personal fields with their levels, where there are no contracts.
        "pii.fields" => pii_fields: Option<ListedFields>,
        /// Tags (`confluent:tags`) that mark fields of a schema as personal, with their levels, where
        /// there are no contracts.
        "pii.tags" => pii_tags: Option<PersonalTags>,
        /// With `pii.fields` or `pii.tags`: the field whose equal values share a key.
        "key.field" => key_field: Option<FieldPath>,
        /// With `pii.fields` or `pii.tags`: the field that says whom an event is about, for erasure.
        "data.subject.field" => data_subject_field: Option<FieldPath>,
        /// The stream that keys belong to, and are exported by. Without it, the topic that the records are
        /// bound for; so it has to be given where a transform behind this one sends them elsewhere.
        "key.stream" => key_stream: Option<String>,
        /// Field that names the event's contract.
        "meta.contract.ref" => contract_field: FieldPath = "strmMeta/eventContractRef",
        /// Field for the name of the key. Where a schema has no such field, only the record key has it.
        "meta.key.link" => key_link: FieldPath = "strmMeta/keyLink",
    }
}

impl PiiEncryptConfig {
    /// Where the rules for events come from.
    pub(crate) fn source(&self) -> ContractSource {
        let (key_field, data_subject_field) =
            (self.key_field.clone(), self.data_subject_field.clone());
        match (&self.contract, &self.pii_fields, &self.pii_tags) {
            (Some(reference), ..) => ContractSource::Fixed(reference.clone()),
            (None, Some(fields), _) => ContractSource::Listed(Arc::new(Rules {
                key_field,
                pii_fields: fields.0.clone(),
                validations: Vec::new(),
                data_subject_field,
            })),
            (None, None, Some(tags)) => ContractSource::Tagged(TaggedRules {
                tags: tags.clone(),
                key_field,
                data_subject_field,
            }),
            (None, None, None) => ContractSource::Event,
        }
    }
}

fn rules_come_from_one_place(config: &PiiEncryptConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let given = [
        ("contract", config.contract.is_some()),
        ("pii.fields", config.pii_fields.is_some()),
        ("pii.tags", config.pii_tags.is_some()),
    ];
    let mut given = given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(key, _)| key);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        problems.push((
            second,
            format!("says in another way what {first} says; keep one of them"),
        ));
    }
    let own = match (&config.pii_fields, &config.pii_tags) {
        (Some(_), _) => Some("pii.fields"),
        (None, Some(_)) => Some("pii.tags"),
        (None, None) => None,
    };
    if let Some(own) = own
        && config.key_field.is_none()
    {
        problems.push(("key.field", format!("is required, since {own} is given")));
    }
    let needless = [
        ("key.field", config.key_field.is_some()),
        ("data.subject.field", config.data_subject_field.is_some()),
    ];
    for (key, _) in needless
        .into_iter()
        .filter(|(_, given)| *given && own.is_none())
    {
        problems.push((
            key,
            "goes with pii.fields or pii.tags; contracts name theirs".to_owned(),
        ));
    }
    problems
}
