//! `PiiEncrypt`: personal fields are encrypted where they stand, under the current key of the event's
//! key-field value; nothing passes that could not be encrypted.

mod config;
mod keys;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use penstock_connect::prometheus::IntCounter;
use penstock_connect::{
    Error, Outputs, Placement, Record, RecordError, RecordErrorKind, TaskContext, Transform,
};
use penstock_contracts::{Contracts, EventBatch, MetaFields, Program, Purpose, Resolver};
use penstock_formats::{EditBuffer, Edits, Encoding, Payload, Scalar, Slot};
use penstock_keys::{DataKey, KeyStore};
use penstock_registry::RegistryClient;

pub use config::PiiEncryptConfig;
use keys::BatchKeys;

/// Encrypts the personal fields of events.
pub struct PiiEncrypt {
    resolver: Resolver,
    events: EventBatch,
    keys: BatchKeys,
    scratch: Base64,
    edits: EditBuffer,
    encrypted: IntCounter,
}

/// The ciphertext of one field in base64; the buffer is reused.
#[derive(Default)]
struct Base64(Vec<u8>);

impl PiiEncrypt {
    /// An encrypter with keys from this store.
    pub fn new(
        config: PiiEncryptConfig,
        context: TaskContext,
        contracts: Arc<Contracts>,
        registry: RegistryClient,
        store: Arc<KeyStore>,
    ) -> Self {
        let source = config.source();
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
            scratch: Base64::default(),
            edits: EditBuffer::new(),
            encrypted: encrypted.with_label_values(&[&*context.connector]),
        }
    }

    fn encrypt(&mut self, index: usize, record: &mut Record) -> Result<(), RecordError> {
        let kept = record.value.as_mut().and_then(Payload::take_found);
        let (program, found) = self
            .events
            .get(index, kept.as_deref())
            .map_err(Clone::clone)?;
        let key = self.keys.get(index)?;
        let Some(value) = &mut record.value else {
            unreachable!("a record without a value has no program")
        };
        let event = value.bytes().clone();
        program.check_containers(&event, found)?;
        let mut edits = self.edits.begin();
        let mut fields = 0;
        for slot in found.slots() {
            if program.level(slot).is_some() {
                if slot.is_null() || slot.is_absent() {
                    continue;
                }
                self.scratch
                    .encrypt(program, slot, &event, key, &mut edits)?;
                fields += 1;
            } else if Some(slot.path()) == program.key_link {
                name_key(program, slot, key, &mut edits)?;
            }
        }
        value.edit(found, edits).map_err(RecordError::field)?;
        let name = self.edits.copy(key.link().as_bytes());
        record.key = Some(Payload::new(name, Encoding::Text));
        record.placement = Placement::Hash(key.placement());
        self.encrypted.inc_by(fields);
        if let Some(kept) = kept {
            self.events.recycle(kept);
        }
        Ok(())
    }
}

impl Base64 {
    fn encrypt(
        &mut self,
        program: &Program,
        slot: &Slot,
        event: &[u8],
        key: &DataKey,
        edits: &mut Edits<'_>,
    ) -> Result<(), RecordError> {
        let text = match slot.scalar(event) {
            Ok(Scalar::Str(text)) => text,
            Ok(other) => return Err(not_encryptable(program, slot, other.kind())),
            Err(error) => return Err(not_encryptable(program, slot, &error.to_string())),
        };
        self.0.clear();
        key.encrypt_base64(text.as_bytes(), &mut self.0);
        let Ok(ciphertext) = std::str::from_utf8(&self.0) else {
            unreachable!("base64 is ASCII")
        };
        let ciphertext = Scalar::Str(Cow::Borrowed(ciphertext));
        slot.replace(&program.fields, &ciphertext, edits)
            .map_err(RecordError::field)
    }
}

fn not_encryptable(program: &Program, slot: &Slot, what: &str) -> RecordError {
    RecordError::field(format!(
        "field '{}' is personal, and only strings and lists of strings can be encrypted so far; there is something else: {what}",
        program.fields.paths()[slot.path()]
    ))
}

/// Puts the key's name into the event. One that is there already would be taken for ours.
fn name_key(
    program: &Program,
    slot: &Slot,
    key: &DataKey,
    edits: &mut Edits<'_>,
) -> Result<(), RecordError> {
    if !slot.is_null() && !slot.is_absent() {
        return Err(RecordError::new(
            RecordErrorKind::Field,
            format!(
                "field '{}' names a key already: the event was encrypted before, or its sender made the name up",
                program.fields.paths()[slot.path()]
            ),
        ));
    }
    let link = Scalar::Str(Cow::Borrowed(key.link()));
    slot.replace(&program.fields, &link, edits)
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
