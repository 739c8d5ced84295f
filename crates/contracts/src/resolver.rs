//! Which contract an event is under, and what it means for the event's schema. What was found out
//! once is kept: an event of a known contract and schema costs one walk over its bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use penstock_connect::{Error, RecordError, RecordErrorKind};
use penstock_formats::{Encoding, FieldPath, Fields, Found, Payload, Scalar, Schema};
use penstock_registry::RegistryClient;

use crate::ContractRef;
use crate::batch::SpareFound;
use crate::contract::{Contract, Rules, State};
use crate::meta::MetaFields;
use crate::program::{Program, Purpose};
use crate::store::Contracts;
use crate::tagged::PersonalTags;

/// Schemas kept at the same time; a topic with more of them compiles some again.
const SCHEMAS: usize = 4096;

/// Where the rules for an event come from.
#[derive(Clone, Debug)]
pub enum ContractSource {
    /// The event names its contract.
    Event,
    /// All events are under this one.
    Fixed(ContractRef),
    /// There is no contract: the rules themselves.
    Listed(Arc<Rules>),
    /// There is no contract: the schema says by its tags what is personal.
    Tagged(TaggedRules),
}

/// Rules without the personal fields, which each schema names for itself.
#[derive(Clone, Debug)]
pub struct TaggedRules {
    /// The tags that count.
    pub tags: PersonalTags,
    /// The field whose equal values share a key.
    pub key_field: Option<FieldPath>,
    /// The field that says whom an event is about.
    pub data_subject_field: Option<FieldPath>,
}

impl TaggedRules {
    fn rules(&self, schema: Option<&Arc<Schema>>) -> Result<Arc<Rules>, RecordError> {
        let contract = |message: String| RecordError::new(RecordErrorKind::Contract, message);
        let schema = schema.ok_or_else(|| {
            contract(
                "the event comes without a schema whose tags could say what is personal".into(),
            )
        })?;
        let pii_fields = self.tags.fields(schema).map_err(|error| {
            contract(format!(
                "the tags of the event's schema cannot be followed: {error}"
            ))
        })?;
        Ok(Arc::new(Rules {
            key_field: self.key_field.clone(),
            pii_fields,
            validations: Vec::new(),
            data_subject_field: self.data_subject_field.clone(),
        }))
    }
}

/// Finds the fields of events by their contracts. One for each transform instance: it takes no lock
/// for what it has met before.
pub struct Resolver {
    contracts: Arc<Contracts>,
    registry: RegistryClient,
    source: ContractSource,
    meta: MetaFields,
    purpose: Purpose,
    generation: u64,
    schemas: Schemas,
}

/// What is known about events, by the uid of their schema (`None`: JSON without one).
#[derive(Default)]
struct Schemas {
    index: HashMap<Option<u64>, usize>,
    entries: Vec<SchemaEntry>,
    /// The schema of the event before, which is mostly the next one's.
    recent: Option<(Option<u64>, usize)>,
}

/// What is known about the events of one schema.
struct SchemaEntry {
    /// Finds the name of the contract; `None` when the schema has no such field.
    reference: Option<Fields>,
    known: Vec<Known>,
    /// Index of the one that the last event was under.
    last: usize,
}

struct Known {
    /// Empty for listed rules.
    reference: String,
    program: Result<Arc<Program>, RecordError>,
}

/// What memory says about an event.
enum Lookup<'v> {
    /// Its fields are found.
    Found(Arc<Program>),
    /// A contract of this name was not met with this schema before.
    New {
        reference: Cow<'v, str>,
        schema: Option<&'v Arc<Schema>>,
        entry: usize,
    },
}

/// What is wrong: with the event, or with a service that has to be asked.
enum Failure {
    Event(RecordError),
    Service(Error),
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        Self::Event(error)
    }
}

impl Resolver {
    /// A resolver that has met nothing yet.
    pub fn new(
        contracts: Arc<Contracts>,
        registry: RegistryClient,
        source: ContractSource,
        meta: MetaFields,
        purpose: Purpose,
    ) -> Self {
        Self {
            generation: contracts.generation(),
            contracts,
            registry,
            source,
            meta,
            purpose,
            schemas: Schemas::default(),
        }
    }

    /// Forgets what has changed since the last batch; once per batch.
    pub fn refresh(&mut self) {
        let generation = self.contracts.generation();
        if generation != self.generation || self.schemas.entries.len() > SCHEMAS {
            self.schemas = Schemas::default();
            self.generation = generation;
        }
    }

    /// Finds the fields of an event if its contract was met with its schema before; else `None`, and
    /// [`Resolver::find`] is to be asked. Most events are found by this, and need not await anything.
    /// Where the payload has kept what the same program found, `found` is left alone.
    pub fn find_known(
        &mut self,
        value: Option<&Payload>,
        found: &mut Found,
    ) -> Result<Option<Arc<Program>>, RecordError> {
        match self.look_up(value, found)? {
            Lookup::Found(program) => Ok(Some(program)),
            Lookup::New { .. } => Ok(None),
        }
    }

    pub(crate) fn spare(&self) -> &SpareFound {
        &self.contracts.spare
    }

    /// Finds the fields of an event. The inner error is about the event; the outer one means that
    /// the registry has to be asked and does not answer.
    pub async fn find(
        &mut self,
        value: Option<&Payload>,
        found: &mut Found,
    ) -> Result<Result<Arc<Program>, RecordError>, Error> {
        match self.try_find(value, found).await {
            Ok(program) => Ok(Ok(program)),
            Err(Failure::Event(error)) => Ok(Err(error)),
            Err(Failure::Service(error)) => Err(error),
        }
    }

    async fn try_find(
        &mut self,
        value: Option<&Payload>,
        found: &mut Found,
    ) -> Result<Arc<Program>, Failure> {
        let (reference, schema, entry) = match self.look_up(value, found)? {
            Lookup::Found(program) => return Ok(program),
            Lookup::New {
                reference,
                schema,
                entry,
            } => (reference, schema, entry),
        };
        let program = self.resolve(&reference, schema).await?;
        let entry = &mut self.schemas.entries[entry];
        entry.last = entry.known.len();
        entry.known.push(Known {
            reference: reference.into_owned(),
            program: program.clone(),
        });
        let program = program?;
        let (bytes, _) = event(value)?;
        program
            .fields
            .find(bytes, found)
            .map_err(RecordError::malformed)?;
        Ok(program)
    }

    fn look_up<'v>(
        &mut self,
        value: Option<&'v Payload>,
        found: &mut Found,
    ) -> Result<Lookup<'v>, RecordError> {
        let (bytes, schema) = event(value)?;
        let index = self.schemas.entry(schema, &self.meta);
        let entry = &mut self.schemas.entries[index];
        let by_event = matches!(self.source, ContractSource::Event);
        // Most events are under the same contract as the one before: one walk finds out.
        if let Some(Known {
            reference,
            program: Ok(program),
        }) = entry.known.get(entry.last)
        {
            let kept = value.and_then(Payload::found);
            let found = match kept.filter(|kept| kept.is_by(&program.fields)) {
                Some(kept) => kept,
                None => {
                    let walked = program.fields.find(bytes, found);
                    walked.map_err(RecordError::malformed)?;
                    &*found
                }
            };
            if !by_event || is_named(program.contract_ref, found, bytes, reference)? {
                return Ok(Lookup::Found(program.clone()));
            }
        }
        let reference = match &self.source {
            ContractSource::Event => {
                let fields = entry
                    .reference
                    .as_ref()
                    .ok_or_else(|| no_reference(&self.meta))?;
                fields.find(bytes, found).map_err(RecordError::malformed)?;
                contract_name(Some(0), found, bytes)?
            }
            ContractSource::Fixed(reference) => Cow::Owned(reference.as_str().to_owned()),
            ContractSource::Listed(_) | ContractSource::Tagged(_) => Cow::Borrowed(""),
        };
        let known = |known: &Known| known.reference == reference;
        let Some(known) = entry.known.iter().position(known) else {
            return Ok(Lookup::New {
                reference,
                schema,
                entry: index,
            });
        };
        let program = entry.known[known].program.clone()?;
        entry.last = known;
        program
            .fields
            .find(bytes, found)
            .map_err(RecordError::malformed)?;
        Ok(Lookup::Found(program))
    }

    /// What the contract means for the schema. The inner result holds as long as the contract does;
    /// an error may be another one next time and is not kept.
    async fn resolve(
        &self,
        reference: &str,
        schema: Option<&Arc<Schema>>,
    ) -> Result<Result<Arc<Program>, RecordError>, Failure> {
        match &self.source {
            ContractSource::Listed(rules) => return Ok(self.compile(rules, None, schema)),
            ContractSource::Tagged(tagged) => {
                let rules = tagged.rules(schema);
                return Ok(rules.and_then(|rules| self.compile(&rules, None, schema)));
            }
            ContractSource::Event | ContractSource::Fixed(_) => {}
        }
        let contract = self
            .contracts
            .get(reference)
            .filter(|contract| self.takes(contract.state))
            .ok_or_else(|| not_supported(reference, ""))?;
        if let Some(error) = self.other_schema(&contract, schema).await? {
            return Ok(Err(error));
        }
        let rules = contract.rules.clone();
        Ok(self.compile(&rules, Some(contract), schema))
    }

    /// Only an active contract accepts events; what was accepted goes on under any that is settled.
    fn takes(&self, state: State) -> bool {
        match self.purpose {
            Purpose::Check => state == State::Active,
            Purpose::Encrypt | Purpose::Route => state.is_frozen(),
        }
    }

    /// Why the event's schema is not the contract's. A router takes any that has the fields: events
    /// may lie encrypted under a schema that was derived for the ciphertexts.
    async fn other_schema(
        &self,
        contract: &Contract,
        schema: Option<&Arc<Schema>>,
    ) -> Result<Option<RecordError>, Failure> {
        let reference = contract.reference.as_str();
        let schema = match (self.purpose, schema) {
            (Purpose::Route, _) | (Purpose::Encrypt, None) => return Ok(None),
            (Purpose::Check, None) => {
                let why = format!(
                    " It is for schema '{}', and the event comes without a schema.",
                    contract.schema_ref
                );
                return Ok(Some(not_supported(reference, &why)));
            }
            (_, Some(schema)) => schema,
        };
        let wanted = match self.registry.by_ref(&contract.schema_ref).await {
            Ok(wanted) => wanted,
            Err(error) if error.is_about_schema() => {
                // The sender learns which schema; the registry's words are for the log.
                tracing::warn!(contract = reference, "the contract's schema: {error}");
                let why = if error.is_not_found() {
                    "is not in the registry"
                } else {
                    "cannot be used"
                };
                let why = format!(" Its schema '{}' {why}.", contract.schema_ref);
                return Err(Failure::Event(not_supported(reference, &why)));
            }
            Err(error) => {
                let message = format!(
                    "cannot look up schema {} of contract {reference}",
                    contract.schema_ref
                );
                return Err(Failure::Service(Error::backoff(message).with_source(error)));
            }
        };
        let same =
            wanted.uid() == schema.uid() || (wanted.id().is_some() && wanted.id() == schema.id());
        if same {
            return Ok(None);
        }
        let why = format!(
            " It is for schema '{}', and the event has another.",
            contract.schema_ref
        );
        Ok(Some(not_supported(reference, &why)))
    }

    fn compile(
        &self,
        rules: &Arc<Rules>,
        contract: Option<Arc<Contract>>,
        schema: Option<&Arc<Schema>>,
    ) -> Result<Arc<Program>, RecordError> {
        let label = match &contract {
            Some(contract) => format!("contract {}", contract.reference),
            None => "what is said to be personal".to_owned(),
        };
        let compile = || {
            let schema = schema.map(Arc::as_ref);
            Program::compile(rules, contract.clone(), schema, &self.meta, self.purpose)
                .map(Arc::new)
        };
        let compiled = match &contract {
            // Checking and encrypting are done one after the other, mostly by one worker: with one
            // program, the fields that one of them finds serve the other.
            Some(contract) if self.purpose != Purpose::Route => {
                let schema = schema.map(|schema| schema.uid());
                self.contracts
                    .program(contract, schema, &self.meta, compile)
            }
            _ => compile(),
        };
        compiled.map_err(|problems| {
            let message = format!("{label} does not fit the event's schema: {problems}");
            RecordError::new(RecordErrorKind::Contract, message)
        })
    }
}

impl Schemas {
    /// Index of what is known about a schema.
    fn entry(&mut self, schema: Option<&Arc<Schema>>, meta: &MetaFields) -> usize {
        let uid = schema.map(|schema| schema.uid());
        match self.recent {
            Some((recent, index)) if recent == uid => return index,
            _ => {}
        }
        let index = *self.index.entry(uid).or_insert_with(|| {
            let entry = SchemaEntry::new(schema.map(Arc::as_ref), meta);
            self.entries.push(entry);
            self.entries.len() - 1
        });
        self.recent = Some((uid, index));
        index
    }
}

impl SchemaEntry {
    fn new(schema: Option<&Schema>, meta: &MetaFields) -> Self {
        let path = std::slice::from_ref(&meta.contract_ref);
        let reference = match schema {
            Some(schema) => Fields::compile(schema, path).ok(),
            None => Some(Fields::schemaless_json(path)),
        };
        Self {
            reference,
            known: Vec::new(),
            last: 0,
        }
    }
}

/// The bytes of an event and its schema; `None` for JSON without one.
fn event(value: Option<&Payload>) -> Result<(&[u8], Option<&Arc<Schema>>), RecordError> {
    let payload = value.ok_or_else(|| {
        RecordError::new(
            RecordErrorKind::Contract,
            "the record has no value (a tombstone), so that no contract can be applied to it",
        )
    })?;
    match payload.encoding() {
        Encoding::Registered(schema) => Ok((payload.bytes(), Some(schema))),
        Encoding::Json => Ok((payload.bytes(), None)),
        Encoding::Text | Encoding::Bytes => Err(RecordError::schema(
            "the value is neither Avro nor JSON, so that its fields cannot be found: use a converter that reads it as one of these",
        )),
    }
}

/// Whether the event names this contract.
fn is_named(
    path: Option<usize>,
    found: &Found,
    event: &[u8],
    name: &str,
) -> Result<bool, RecordError> {
    match path.and_then(|path| found.first(path)) {
        Some(slot) if slot.is_plainly(event, name) => Ok(true),
        _ => Ok(contract_name(path, found, event)? == *name),
    }
}

/// The name of the contract in an event; empty when there is none.
fn contract_name<'a>(
    path: Option<usize>,
    found: &Found,
    event: &'a [u8],
) -> Result<Cow<'a, str>, RecordError> {
    let Some(slot) = path.and_then(|path| found.first(path)) else {
        return Ok(Cow::Borrowed(""));
    };
    match slot.scalar(event).map_err(RecordError::malformed)? {
        Scalar::Str(text) => Ok(text),
        _ => Ok(Cow::Borrowed("")),
    }
}

fn no_reference(meta: &MetaFields) -> RecordError {
    RecordError::new(
        RecordErrorKind::Contract,
        format!(
            "the event's schema has no field {} that names a contract; name the contract in the transform (contract=handle/name/x.y.z), or the field (meta.contract.ref)",
            meta.contract_ref
        ),
    )
}

/// The text of a refusal for a contract that cannot be used. The reference comes from a stranger:
/// what is far too long to be one is cut.
fn not_supported(reference: &str, why: &str) -> RecordError {
    let shown: String = reference
        .chars()
        .filter(|c| !c.is_control())
        .take(255)
        .collect();
    RecordError::new(
        RecordErrorKind::Contract,
        format!("Invalid event contract: {shown}. Not supported.{why}"),
    )
}
