//! `PiiEncrypt`: personal fields are encrypted where they stand, under the current key of the event's
//! key-field value; nothing passes that could not be encrypted.

mod config;
mod keys;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_connect::prometheus::IntCounter;
use penstock_connect::{
    Error, Outputs, Placement, Record, RecordError, RecordErrorKind, TaskContext, Transform,
};
use penstock_contracts::{
    ContractSource, Contracts, EventBatch, MetaFields, Program, Purpose, Resolver, Rules,
};
use penstock_formats::{Edit, Encoding, Payload, Scalar, Slot};
use penstock_keys::{DataKey, KeyStore};
use penstock_registry::RegistryClient;

pub use config::PiiEncryptConfig;
use keys::BatchKeys;

/// Encrypts the personal fields of events.
pub struct PiiEncrypt {
    resolver: Resolver,
    events: EventBatch,
    keys: BatchKeys,
    scratch: Scratch,
    encrypted: IntCounter,
}

/// Buffers for one field, reused.
#[derive(Default)]
struct Scratch {
    ciphertext: Vec<u8>,
    base64: String,
}

impl PiiEncrypt {
    /// An encrypter with keys from this store.
    pub fn new(
        config: PiiEncryptConfig,
        context: TaskContext,
        contracts: Arc<Contracts>,
        registry: Arc<RegistryClient>,
        store: Arc<KeyStore>,
    ) -> Self {
        let source = match (config.contract, config.pii_fields) {
            (Some(reference), _) => ContractSource::Fixed(reference),
            (None, Some(fields)) => ContractSource::Listed(Arc::new(Rules {
                key_field: config.key_field,
                pii_fields: fields.0,
                validations: Vec::new(),
                data_subject_field: config.data_subject_field,
            })),
            (None, None) => ContractSource::Event,
        };
        let meta = MetaFields {
            contract_ref: config.contract_field,
            key_link: config.key_link,
            ..MetaFields::default()
        };
        let encrypted = context.metrics.counter(
            "penstock_encrypted_fields_total",
            "Personal values that were encrypted",
            &["connector"],
        );
        Self {
            resolver: Resolver::new(contracts, registry, source, meta, Purpose::Encrypt),
            events: EventBatch::new(),
            keys: BatchKeys::new(store, config.key_stream),
            scratch: Scratch::default(),
            encrypted: encrypted.with_label_values(&[&*context.connector]),
        }
    }

    fn encrypt(&mut self, index: usize, record: &mut Record) -> Result<(), RecordError> {
        let (program, found) = self.events.get(index).map_err(Clone::clone)?;
        let key = self.keys.get(index)?;
        let Some(value) = &mut record.value else {
            unreachable!("a record without a value has no program")
        };
        let event = value.bytes().clone();
        let mut edits = Vec::with_capacity(found.slots().len());
        let mut fields = 0;
        for slot in found.slots() {
            if program.level(slot).is_some() {
                if slot.is_null() || slot.is_absent() {
                    continue;
                }
                edits.push(self.scratch.encrypt(program, slot, &event, &key.key)?);
                fields += 1;
            } else if Some(slot.path()) == program.key_link {
                edits.push(name_key(program, slot, &key.key)?);
            }
        }
        value.edit(found, edits).map_err(RecordError::field)?;
        record.key = Some(Payload::new(key.key.link().to_owned(), Encoding::Text));
        record.placement = Placement::Hash(key.placement);
        self.encrypted.inc_by(fields);
        Ok(())
    }
}

impl Scratch {
    fn encrypt(
        &mut self,
        program: &Program,
        slot: &Slot,
        event: &[u8],
        key: &DataKey,
    ) -> Result<Edit, RecordError> {
        let value = slot.scalar(event).map_err(RecordError::field)?;
        let Scalar::Str(text) = &value else {
            return Err(RecordError::field(format!(
                "field '{}' is personal and holds {}; only strings and lists of strings can be encrypted so far",
                program.fields.paths()[slot.path()],
                value.kind()
            )));
        };
        self.ciphertext.clear();
        key.encrypt(text.as_bytes(), &mut self.ciphertext);
        self.base64.clear();
        STANDARD.encode_string(&self.ciphertext, &mut self.base64);
        slot.replace(&program.fields, &Scalar::Str(Cow::Borrowed(&self.base64)))
            .map_err(RecordError::field)
    }
}

/// Puts the key's name into the event. One that is there already would be taken for ours.
fn name_key(program: &Program, slot: &Slot, key: &DataKey) -> Result<Edit, RecordError> {
    if !slot.is_null() && !slot.is_absent() {
        return Err(RecordError::new(
            RecordErrorKind::Field,
            format!(
                "field '{}' names a key already: the event was encrypted before, or its sender made the name up",
                program.fields.paths()[slot.path()]
            ),
        ));
    }
    slot.replace(&program.fields, &Scalar::Str(Cow::Borrowed(key.link())))
        .map_err(RecordError::field)
}

#[async_trait]
impl Transform for PiiEncrypt {
    async fn prepare(&mut self, records: &[Record]) -> Result<(), Error> {
        self.events.read(&mut self.resolver, records).await?;
        self.keys.get_for(&self.events, records).await
    }

    fn apply(&mut self, index: usize, mut record: Record, out: &mut Outputs) {
        match self.encrypt(index, &mut record) {
            Ok(()) => out.pass(record),
            Err(error) => out.reject(record, error),
        }
    }

    fn handles_personal_data(&self) -> bool {
        true
    }
}
