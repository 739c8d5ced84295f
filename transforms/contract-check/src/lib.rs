//! `ContractCheck`: an event goes on only if its contract is active, is for the event's schema, and
//! holds; what the gateway has to say about the event (nonce, time of acceptance) is filled in.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use penstock_connect::prometheus::{IntCounter, IntCounterVec};
use penstock_connect::{
    Error, Outputs, Record, RecordError, RecordErrorKind, TaskContext, Transform, config,
};
use penstock_contracts::{
    ContractRef, ContractSource, Contracts, EventBatch, MetaFields, Program, Purpose, Resolver,
    slashed,
};
use penstock_formats::{EditBuffer, Edits, FieldPath, Found, Payload, Scalar};
use penstock_registry::RegistryClient;

config! {
    /// Checks events against their contract: active, for the event's schema, key field not empty,
    /// validations met, personal fields present in the schema. Fills in nonce and time of
    /// acceptance where they are null. Belongs at the intake, before PiiEncrypt.
    pub struct ContractCheckConfig {
        /// The contract that all events are under; without it, each event names its own.
        "contract" => contract: Option<ContractRef>,
        /// Field that names the event's contract.
        "meta.contract.ref" => contract_field: FieldPath = "strmMeta/eventContractRef",
        /// Field for a random number that tells events apart.
        "meta.nonce" => nonce: FieldPath = "strmMeta/nonce",
        /// Field for the time of acceptance, in milliseconds since the epoch.
        "meta.timestamp" => timestamp: FieldPath = "strmMeta/timestamp",
        /// Field for the name of the key; an event that arrives with one is refused.
        "meta.key.link" => key_link: FieldPath = "strmMeta/keyLink",
        /// Field with the levels that the person has consented to, which have to be whole numbers.
        "meta.consent.levels" => consent_levels: FieldPath = "strmMeta/consentLevels",
    }
}

/// Refuses events that break their contract.
pub struct ContractCheck {
    resolver: Resolver,
    events: EventBatch,
    edits: EditBuffer,
    key_link: FieldPath,
    /// Consent levels of the event at hand.
    consent: Vec<i64>,
    /// When the batch was accepted, in milliseconds since the epoch.
    now: i64,
    counters: Counters,
}

impl ContractCheck {
    /// A check over these contracts; the registry says which schema a contract's `schemaRef` is.
    pub fn new(
        config: ContractCheckConfig,
        context: TaskContext,
        contracts: Arc<Contracts>,
        registry: RegistryClient,
    ) -> Self {
        let source = match config.contract {
            Some(reference) => ContractSource::Fixed(reference),
            None => ContractSource::Event,
        };
        let meta = MetaFields {
            contract_ref: config.contract_field,
            nonce: config.nonce,
            timestamp: config.timestamp,
            key_link: config.key_link.clone(),
            consent_levels: config.consent_levels,
        };
        Self {
            resolver: Resolver::new(contracts, registry, source, meta, Purpose::Check),
            events: EventBatch::new(),
            edits: EditBuffer::new(),
            key_link: config.key_link,
            consent: Vec::new(),
            now: 0,
            counters: Counters::new(&context),
        }
    }

    fn check(&mut self, index: usize, record: &mut Record) -> Result<(), RecordError> {
        let kept = record.value.as_mut().and_then(Payload::take_found);
        let (program, found) = self
            .events
            .get(index, kept.as_deref())
            .map_err(Clone::clone)?;
        let Some(value) = &mut record.value else {
            unreachable!("a record without a value has no program")
        };
        self.refuse_key_link(program, found)?;
        program.validate(value.bytes(), found)?;
        program.key_value(value.bytes(), found)?;
        // A router could do nothing with the event, and whoever sent it would not hear of that.
        program.consent(value.bytes(), found, &mut self.consent)?;
        let mut edits = self.edits.begin();
        fill_in(program, found, program.nonce, &mut edits, || {
            i64::from(rand::random::<i32>())
        })?;
        fill_in(program, found, program.timestamp, &mut edits, || self.now)?;
        if edits.is_empty() {
            value.keep_found(match kept {
                Some(kept) if kept.is_by(&program.fields) => kept,
                _ => self.events.take_found(index),
            });
            return Ok(());
        }
        value.edit(found, edits).map_err(RecordError::field)
    }

    fn refuse_key_link(&self, program: &Program, found: &Found) -> Result<(), RecordError> {
        let mut slots = program.key_link.into_iter().flat_map(|path| found.at(path));
        if slots.all(|slot| slot.is_null() || slot.is_absent()) {
            return Ok(());
        }
        Err(RecordError::new(
            RecordErrorKind::Validation,
            format!(
                "Field: '{}' is filled in when the event is encrypted, and has to be null in an event that is sent",
                slashed(&self.key_link)
            ),
        ))
    }
}

/// Puts a number where null stands.
fn fill_in(
    program: &Program,
    found: &Found,
    path: Option<usize>,
    edits: &mut Edits<'_>,
    number: impl Fn() -> i64,
) -> Result<(), RecordError> {
    for slot in path.into_iter().flat_map(|path| found.at(path)) {
        if slot.is_null() || slot.is_absent() {
            slot.replace(&program.fields, &Scalar::Int(number()), edits)
                .map_err(RecordError::field)?;
        }
    }
    Ok(())
}

#[async_trait]
impl Transform for ContractCheck {
    async fn prepare(&mut self, records: &[Record]) -> Result<(), Error> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        self.events.read(&mut self.resolver, records).await
    }

    fn apply(&mut self, index: usize, mut record: Record, out: &mut Outputs) {
        match self.check(index, &mut record) {
            Ok(()) => {
                self.counters.accepted.inc();
                out.pass(record);
            }
            Err(error) => {
                self.counters.refused(error.kind);
                out.reject(record, error);
            }
        }
    }

    fn handles_personal_data(&self) -> bool {
        true
    }
}

struct Counters {
    checked: IntCounterVec,
    connector: Arc<str>,
    accepted: IntCounter,
}

impl Counters {
    fn new(context: &TaskContext) -> Self {
        let checked = context.metrics.counter(
            "penstock_contract_checked_events_total",
            "Events that were held against their contract, by outcome: accepted, or what was wrong",
            &["connector", "outcome"],
        );
        Self {
            accepted: checked.with_label_values(&[&*context.connector, "accepted"]),
            connector: context.connector.clone(),
            checked,
        }
    }

    fn refused(&self, kind: RecordErrorKind) {
        self.checked
            .with_label_values(&[&*self.connector, kind.as_str()])
            .inc();
    }
}
