//! `ConsentRouter`: derives streams from an encrypted one, each with the events whose people have
//! consented to it and with the fields decrypted that it may have.

mod config;
mod event;
mod fields;
mod plan;
mod stream;

use std::sync::Arc;

use async_trait::async_trait;
use penstock_connect::{Error, Outputs, Placement, Record, RecordError, TaskContext, Transform};
use penstock_contracts::{Contracts, EventBatch, MetaFields, Purpose, Resolver};
use penstock_formats::{EditBuffer, Payload};
use penstock_keys::KeyStore;
use penstock_registry::RegistryClient;

pub use config::{
    ConsentRouterConfig, Levels, Mode, NotGranted, StreamConfig, default_stream_name,
};
use fields::{Event, FieldTreatment};
use plan::{BatchPlan, EventKey};
use stream::DerivedStream;

/// Sends each event to the derived streams that its consent levels allow.
pub struct ConsentRouter {
    resolver: Resolver,
    events: EventBatch,
    plan: BatchPlan,
    streams: Vec<DerivedStream>,
    treatment: FieldTreatment,
    edits: EditBuffer,
}

impl ConsentRouter {
    /// A router with keys from this store.
    pub fn new(
        config: ConsentRouterConfig,
        context: TaskContext,
        contracts: Arc<Contracts>,
        registry: RegistryClient,
        store: Arc<KeyStore>,
    ) -> Self {
        let streams: Vec<DerivedStream> = config
            .streams
            .0
            .iter()
            .filter_map(|name| {
                Some(DerivedStream::new(
                    name,
                    config.by_stream.get(name)?,
                    &context,
                ))
            })
            .collect();
        let source = config.source();
        let meta = MetaFields {
            contract_ref: config.contract_field,
            key_link: config.key_link,
            consent_levels: config.consent_levels,
            ..MetaFields::default()
        };
        Self {
            resolver: Resolver::new(contracts, registry, source, meta, Purpose::Route),
            events: EventBatch::new(),
            plan: BatchPlan::new(store, streams.len()),
            streams,
            treatment: FieldTreatment::new(config.mask_seed.as_ref().map(|seed| seed.reveal())),
            edits: EditBuffer::new(),
        }
    }

    /// The values that the event has in the streams it passes to, with the streams' indices.
    fn values(
        &mut self,
        index: usize,
        record: &Record,
    ) -> Result<Vec<(usize, Payload)>, RecordError> {
        let kept = record.value.as_ref().and_then(Payload::found);
        let (program, found) = self.events.get(index, kept).map_err(Clone::clone)?;
        let Some(value) = &record.value else {
            unreachable!("a record without a value has no program")
        };
        if self.plan.passes(index).contains(&true) {
            program.check_containers(value.bytes(), found)?;
        }
        let (key, erased) = match self.plan.key(index) {
            EventKey::Usable(key) => (Some(&**key), false),
            EventKey::NotNeeded => (None, false),
            EventKey::Erased => (None, true),
            EventKey::Rejected(error) => return Err(error.clone()),
        };
        let event = Event {
            program,
            found,
            bytes: value.bytes(),
            schema: value.schema().map(|schema| schema.kind()),
            key,
        };
        self.treatment.begin(&event);
        let mut values = Vec::with_capacity(self.streams.len());
        for (number, stream) in self.streams.iter().enumerate() {
            if !self.plan.passes(index)[number] {
                continue;
            }
            let mut edits = self.edits.begin();
            self.treatment.treat(&event, stream, &mut edits)?;
            let mut value = value.clone();
            if !edits.is_empty() {
                value.edit(found, edits).map_err(RecordError::field)?;
            }
            values.push((number, value));
        }
        for (number, stream) in self.streams.iter().enumerate() {
            match self.plan.passes(index)[number] {
                true => stream.counters.passed.inc(),
                false => stream.counters.withheld.inc(),
            }
            if erased && self.plan.passes(index)[number] {
                stream.counters.erased.inc();
            }
        }
        Ok(values)
    }

    /// The record as it goes to one stream: same key, and the partition that it came from, so that
    /// order is kept.
    fn derive(&self, mut record: Record, number: usize, value: Payload) -> Record {
        if let Some(origin) = &record.origin().partition {
            record.placement = Placement::Partition(origin.partition);
        }
        record.topic = self.streams[number].topic.clone();
        record.value = Some(value);
        record
    }
}

#[async_trait]
impl Transform for ConsentRouter {
    async fn prepare(&mut self, records: &[Record]) -> Result<(), Error> {
        self.events.read(&mut self.resolver, records).await?;
        self.plan.make(&self.events, records, &self.streams).await
    }

    fn apply(&mut self, index: usize, record: Record, out: &mut Outputs) {
        if record.value.is_none() {
            return out.filter(record, "tombstone");
        }
        let mut values = match self.values(index, &record) {
            Ok(values) => values,
            Err(error) => return out.reject(record, error),
        };
        let Some((last, last_value)) = values.pop() else {
            return out.filter(record, "no consent");
        };
        for (number, value) in values {
            out.pass(self.derive(record.clone(), number, value));
        }
        out.pass(self.derive(record, last, last_value));
    }

    fn handles_personal_data(&self) -> bool {
        true
    }
}
