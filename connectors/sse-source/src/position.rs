//! The durable position: the last event's id, and the events of late beside it.

use std::sync::Arc;

use penstock_connect::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::recent::{Identity, Recent};

/// As it is stored: `{"last_event_id": "…", "recent": "<base64 of 8 bytes for each event>"}`. Both may
/// be left out by who sets a position by hand.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    last_event_id: String,
    #[serde(default)]
    recent: String,
}

/// Where the source is.
#[derive(Default)]
pub(crate) struct Position {
    /// Empty before the first id.
    pub(crate) id: Arc<str>,
    pub(crate) recent: Recent,
}

impl Position {
    pub(crate) fn load(stored: Option<Value>) -> Result<Self, Error> {
        let Some(stored) = stored else {
            return Ok(Self::default());
        };
        let unusable = |why: &str| {
            Error::never(format!(
                "the stored position cannot be used ({why}); delete it to begin anew, or set \
                 {{\"last_event_id\": \"…\"}}"
            ))
        };
        let stored: Stored =
            serde_json::from_value(stored).map_err(|error| unusable(&error.to_string()))?;
        let id: Arc<str> = stored.last_event_id.into();
        let recent = Recent::load(&stored.recent, &id)
            .ok_or_else(|| unusable("recent is not base64 of ids"))?;
        Ok(Self { id, recent })
    }

    /// Takes an event in, from the topic that it names, if it names one; whether it is new. Only a new
    /// one moves the position: what is sent again may lie before it.
    pub(crate) fn take(
        &mut self,
        identity: Option<Identity>,
        id: Arc<str>,
        topic: Option<&str>,
    ) -> bool {
        let is_new = self.recent.insert(identity, &id, topic);
        if is_new {
            self.id = id;
        }
        is_new
    }

    /// A connection is made that resumes here.
    pub(crate) fn resume(&mut self) {
        self.recent.resume(&self.id);
    }

    pub(crate) fn store(&self) -> Value {
        let stored = Stored {
            last_event_id: self.id.to_string(),
            recent: self.recent.store(&self.id),
        };
        // A struct of two strings is always a JSON object.
        serde_json::to_value(stored).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_position_is_the_id_verbatim_with_the_events_of_late() {
        let id: Arc<str> = r#"[{"topic":"a","timestamp":1}]"#.into();
        let mut position = Position {
            id: Arc::clone(&id),
            recent: Recent::default(),
        };
        position.take(Some(Identity::of_id("one")), Arc::clone(&id), None);
        let stored = position.store();
        assert_eq!(stored["last_event_id"], *id);
        let mut loaded = Position::load(Some(stored)).unwrap();
        assert_eq!(loaded.id, id);
        assert!(!loaded.take(Some(Identity::of_id("one")), id, None));
    }

    #[test]
    fn a_position_set_by_hand_needs_the_id_alone() {
        let position = Position::load(Some(json!({"last_event_id": "17"}))).unwrap();
        assert_eq!(&*position.id, "17");
    }

    #[test]
    fn a_position_of_another_shape_is_refused() {
        for stored in [json!({"offset": 3}), json!("17"), json!({"recent": "?"})] {
            assert!(Position::load(Some(stored)).is_err());
        }
    }
}
