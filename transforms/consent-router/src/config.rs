//! The router's properties: which streams to derive, and what each of them asks for.

use std::sync::Arc;

use penstock_connect::config::{Names, Secret};
use penstock_connect::{ConfigValue, choice, config};
use penstock_contracts::{
    ContractRef, ContractSource, Level, ListedFields, PersonalTags, Rules, TaggedRules,
};
use penstock_formats::FieldPath;

config! {
    /// Derives streams from an encrypted one: an event goes to each stream whose levels the person
    /// behind it has consented to, with the fields of those levels decrypted.
    #[check(streams_are_described)]
    pub struct ConsentRouterConfig {
        /// The derived streams (topics), in this order. Each needs `<name>.levels`.
        "streams" => streams: Names,
        /// The contract that all events are under; without it, each event names its own.
        "contract" => contract: Option<ContractRef>,
        /// Personal fields with their levels, where there are no contracts.
        "pii.fields" => pii_fields: Option<ListedFields>,
        /// Tags (`confluent:tags`) that mark fields of a schema as personal, with their levels, where
        /// there are no contracts.
        "pii.tags" => pii_tags: Option<PersonalTags>,
        /// Key of the keyed hash (HMAC-SHA256, written in hex) that stands for masked fields.
        "mask.seed" => mask_seed: Option<Secret>,
        /// Field that names the event's contract.
        "meta.contract.ref" => contract_field: FieldPath = "strmMeta/eventContractRef",
        /// Field that names the event's key; where a schema has no such field, the record key does.
        "meta.key.link" => key_link: FieldPath = "strmMeta/keyLink",
        /// Field with the levels that the person has consented to.
        "meta.consent.levels" => consent_levels: FieldPath = "strmMeta/consentLevels",
        ; /// What each stream asks for, by its name.
        .. by_stream: StreamConfig
    }
}

config! {
    /// What a derived stream asks for.
    #[check(mode_fits_levels)]
    pub struct StreamConfig {
        /// The level asked for (cumulative), or the levels (granular).
        "levels" => levels: Levels,
        /// `cumulative`: the event's highest level reaches the one asked for, and fields up to it are
        /// decrypted. `granular`: the event has all levels asked for, and exactly their fields are.
        "mode" => mode: Mode = "cumulative",
        /// What becomes of personal fields that are not decrypted: they stay encrypted, are masked
        /// (the same value always gives the same mask), nulled (empty where the schema knows no
        /// null), or dropped (in JSON; nulled where the schema wants them).
        "not.granted" => not_granted: NotGranted = "keep",
    }
}

choice! {
    /// How the levels asked for are compared with those of an event.
    pub enum Mode {
        /// One level, and all below it.
        Cumulative = "cumulative",
        /// Exactly these levels.
        Granular = "granular",
    }
}

choice! {
    /// What becomes of a field that is not granted.
    pub enum NotGranted {
        /// It stays encrypted.
        Keep = "keep",
        /// A keyed hash of its value takes its place.
        Mask = "mask",
        /// Null takes its place.
        Null = "null",
        /// It goes.
        Drop = "drop",
    }
}

/// Consent levels, with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(pub Vec<Level>);

impl ConfigValue for Levels {
    const KIND: &'static str = "consent levels with commas between them";

    fn parse(text: &str) -> Result<Self, String> {
        let levels = Names::parse(text)?
            .0
            .iter()
            .map(|level| {
                level.parse().map_err(|_| {
                    format!("must be consent levels (whole numbers from 0), not {level:?}")
                })
            })
            .collect::<Result<Vec<Level>, String>>()?;
        if levels.is_empty() {
            return Err("names no level".into());
        }
        Ok(Self(levels))
    }
}

impl ConsentRouterConfig {
    /// Where the rules for events come from.
    pub(crate) fn source(&self) -> ContractSource {
        match (&self.contract, &self.pii_fields, &self.pii_tags) {
            (Some(reference), ..) => ContractSource::Fixed(reference.clone()),
            (None, Some(fields), _) => ContractSource::Listed(Arc::new(Rules {
                key_field: None,
                pii_fields: fields.0.clone(),
                validations: Vec::new(),
                data_subject_field: None,
            })),
            (None, None, Some(tags)) => ContractSource::Tagged(TaggedRules {
                tags: tags.clone(),
                key_field: None,
                data_subject_field: None,
            }),
            (None, None, None) => ContractSource::Event,
        }
    }
}

/// The name that a derived stream has unless it is given another: `demo-2`, `demo-0-1`.
pub fn default_stream_name(source: &str, levels: &[Level]) -> String {
    levels
        .iter()
        .fold(source.to_owned(), |name, level| format!("{name}-{level}"))
}

fn mode_fits_levels(config: &StreamConfig) -> Vec<(&'static str, String)> {
    if config.mode == Mode::Cumulative && config.levels.0.len() != 1 {
        return vec![(
            "levels",
            "must be one level, since mode is cumulative; for a set of levels say mode=granular"
                .into(),
        )];
    }
    Vec::new()
}

fn streams_are_described(config: &ConsentRouterConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if config.streams.0.is_empty() {
        problems.push(("streams", "must name at least one stream".to_owned()));
    }
    for name in &config.streams.0 {
        if !config.by_stream.contains_key(name) {
            problems.push((
                "streams",
                format!("{name} has no levels; add {name}.levels=…"),
            ));
        }
    }
    for name in config.by_stream.keys() {
        if !config.streams.0.contains(name) {
            problems.push((
                "streams",
                format!("does not name {name}, which has keys of its own; add it or remove them"),
            ));
        }
    }
    let masks = config
        .by_stream
        .values()
        .any(|stream| stream.not_granted == NotGranted::Mask);
    if masks && config.mask_seed.is_none() {
        problems.push(("mask.seed", "is required, since not.granted=mask".into()));
    }
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
    problems
}
