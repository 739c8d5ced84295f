//! Export: the keys of a stream in the clear.

use tokio::sync::mpsc::Sender;

use crate::error::KeyError;
use crate::fold::{self, Standing};
use crate::link::KeyLink;
use crate::mac::Digest;
use crate::record::{DataRecord, Value};
use crate::request::ExportedKey;
use crate::shared::Shared;

/// Sends every key of `stream` that is or was current, until the receiver is gone.
pub(crate) fn stream(
    shared: &Shared,
    stream: &str,
    sender: &Sender<Result<ExportedKey, KeyError>>,
) -> Result<(), KeyError> {
    let view = shared.local.view()?;
    let was_current = |scope: &Digest, link: KeyLink| -> Result<bool, KeyError> {
        let live = view.live(scope)?;
        let standing = live
            .iter()
            .zip(fold::standings(&live))
            .find(|(entry, _)| entry.link == link);
        Ok(standing.is_some_and(|(_, standing)| {
            matches!(standing, Standing::Current | Standing::Superseded)
        }))
    };
    let export = |link: KeyLink,
                  created: i64,
                  data: &DataRecord<'_>|
     -> Result<Option<ExportedKey>, KeyError> {
        if !was_current(&data.scope, link)? {
            return Ok(None);
        }
        let key = shared.unwrap(&view, link, created, data)?;
        Ok(Some(ExportedKey {
            key_link: link.to_string(),
            encryption_key: key.keyset.to_tink_json(),
            expires_at: created.saturating_add(data.window),
        }))
    };
    view.each_record(|link, created, bytes| {
        let data = match Value::decode(bytes) {
            Ok(Value::Data(data)) if data.stream == stream => data,
            _ => return true,
        };
        match export(link, created, &data).transpose() {
            Some(exported) => sender.blocking_send(exported).is_ok(),
            None => true,
        }
    })
}
