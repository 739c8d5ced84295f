//! `TimestampRouter`: a new topic from the old one's name and the record's timestamp.

use penstock_connect::{Config, Problem, Record, RecordError, Settings, config};

use crate::each::Change;
use crate::java_date::JavaDate;
use crate::regex_router::checked_topic;

config! {
    /// Sends records to a topic named by their own topic and timestamp (UTC).
    pub(crate) struct TimestampRouterConfig {
        /// The new name; `${topic}` and `${timestamp}` are filled in.
        "topic.format" => topic: String = "${topic}-${timestamp}",
        /// How the timestamp is written, as Java's SimpleDateFormat.
        "timestamp.format" => timestamp: JavaDate = "yyyyMMdd",
    }
}

pub(crate) struct TimestampRouter(TimestampRouterConfig);

impl TimestampRouter {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, Vec<Problem>> {
        TimestampRouterConfig::read_all(settings).map(Self)
    }
}

impl Change for TimestampRouter {
    const READS_PAYLOADS: bool = false;

    fn change(&mut self, record: &mut Record) -> Result<(), RecordError> {
        let timestamp = record
            .timestamp
            .and_then(|millis| self.0.timestamp.format(millis))
            .ok_or_else(|| RecordError::field("the record has no timestamp to route it by"))?;
        let topic = self
            .0
            .topic
            .replace("${timestamp}", &timestamp)
            .replace("${topic}", &record.topic);
        record.topic = checked_topic(&topic)?;
        Ok(())
    }
}
