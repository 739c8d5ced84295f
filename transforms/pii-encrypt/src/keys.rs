//! The keys for a batch: known values are answered from memory, all others with one question to the
//! key store.

use std::borrow::Cow;
use std::sync::Arc;

use penstock_connect::{Error, Record, RecordError, RecordErrorKind};
use penstock_contracts::{EventBatch, Program};
use penstock_formats::{Found, Payload, Scalar};
use penstock_keys::{DataKey, KeyError, KeyRequest, KeyStore, Retry};

/// The keys of one batch.
pub(crate) struct BatchKeys {
    store: Arc<KeyStore>,
    /// The stream that keys belong to; `None`: the topic of each record.
    stream: Option<String>,
    by_event: Vec<Result<Arc<DataKey>, RecordError>>,
}

impl BatchKeys {
    pub(crate) fn new(store: Arc<KeyStore>, stream: Option<String>) -> Self {
        Self {
            store,
            stream,
            by_event: Vec::new(),
        }
    }

    /// The key of the event with this index within the batch.
    pub(crate) fn get(&self, index: usize) -> Result<&Arc<DataKey>, RecordError> {
        match self.by_event.get(index) {
            Some(Ok(key)) => Ok(key),
            Some(Err(error)) => Err(error.clone()),
            None => unreachable!("record {index} was not in the batch that was prepared"),
        }
    }

    /// Gets the keys for a batch whose events have been read.
    pub(crate) async fn get_for(
        &mut self,
        events: &EventBatch,
        records: &[Record],
    ) -> Result<(), Error> {
        let stream = self.stream.as_deref();
        let cached = self.store.cached();
        self.by_event.clear();
        let mut wanted = Vec::new();
        let mut requests = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let kept = record.value.as_ref().and_then(Payload::found);
            let request = match (events.get(index, kept), &record.value) {
                (Ok((program, found)), Some(value)) => request(
                    stream.unwrap_or(&record.topic),
                    program,
                    value.bytes(),
                    found,
                ),
                (Err(error), _) => Err(error.clone()),
                (Ok(_), None) => unreachable!("a record without a value has no program"),
            };
            let request = match request {
                Ok(request) => request,
                Err(error) => {
                    self.by_event.push(Err(error));
                    continue;
                }
            };
            self.by_event.push(match cached.current(&request) {
                Some(key) => Ok(key),
                None => {
                    wanted.push(index);
                    requests.push(request);
                    Err(no_key())
                }
            });
        }
        if requests.is_empty() {
            return Ok(());
        }
        let keys = self.store.current(&requests).await.map_err(unavailable)?;
        for (index, key) in wanted.into_iter().zip(keys) {
            self.by_event[index] = Ok(key);
        }
        Ok(())
    }
}

fn request<'a>(
    stream: &'a str,
    program: &Program,
    event: &'a [u8],
    found: &Found,
) -> Result<KeyRequest<'a>, RecordError> {
    let value = program.key_value(event, found)?;
    Ok(KeyRequest {
        stream,
        value,
        subject: subject(program, event, found)?,
    })
}

/// Whom the event is about. One of several would be lost to the others' erasure.
fn subject<'a>(
    program: &Program,
    event: &'a [u8],
    found: &Found,
) -> Result<Option<Cow<'a, str>>, RecordError> {
    let mut slots = program
        .data_subject
        .into_iter()
        .flat_map(|path| found.at(path));
    let Some(slot) = slots.next() else {
        return Ok(None);
    };
    let refuse = |problem: &str| {
        Err(RecordError::field(format!(
            "field '{}' says whom the event is about, and {problem}",
            program.fields.paths()[slot.path()]
        )))
    };
    if slots.next().is_some() {
        return refuse("is there several times");
    }
    match slot.scalar(event).map_err(RecordError::field)? {
        Scalar::Str(text) if !text.is_empty() => Ok(Some(text)),
        Scalar::Str(_) | Scalar::Null => Ok(None),
        other => refuse(&format!("holds {} instead of a string", other.kind())),
    }
}

/// No event passes without its key: the batch waits, or the task stops.
fn unavailable(error: KeyError) -> Error {
    let message = format!("cannot get the keys to encrypt with: {error}");
    match error.retry() {
        Retry::Backoff => Error::backoff(message),
        Retry::Never => Error::never(message),
    }
    .with_source(error)
}

/// Stands where a key is still to come; never leaves a batch that was prepared.
fn no_key() -> RecordError {
    RecordError::new(RecordErrorKind::Key, "there is no key for the event")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_service_that_is_away_is_waited_for_and_a_broken_one_is_not() {
        let away = KeyError::Unavailable {
            topic: "_penstock.keys".into(),
            reason: "no answer".into(),
        };
        let broken = KeyError::Invalid("no partitions".into());
        for (error, retry) in [
            (away, penstock_connect::Retry::Backoff),
            (broken, penstock_connect::Retry::Never),
        ] {
            assert_eq!(unavailable(error).retry, retry);
        }
    }
}
