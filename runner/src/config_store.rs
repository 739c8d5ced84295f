//! Configuration that came over REST: connectors and contracts, kept in the compacted topic
//! `_penstock.configs`, so that it survives a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_broker::{Broker, OutRecord, Result};
use serde::{Deserialize, Serialize};

use crate::compacted;
use crate::ends::Ends;

/// Name of the topic.
pub(crate) const TOPIC: &str = "_penstock.configs";

/// Makes the topic if it is not there.
pub(crate) fn create_topic(broker: &dyn Broker, replication: Option<i32>) -> Result<()> {
    compacted::create(broker, TOPIC, 1, replication)
}

/// A stored connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredConnector {
    /// Its settings as written, references unresolved.
    pub(crate) config: BTreeMap<String, String>,
    /// The settings of the file it was first started from, as they were when REST changed it: a file
    /// whose content has changed since then wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<BTreeMap<String, String>>,
    /// `RUNNING`, `PAUSED`, `STOPPED` or `COMPLETED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// Up to where a sink with `read.until=end` reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ends: Option<Arc<Ends>>,
    /// Deleted over REST although its file is still given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
}

/// The store, with all it holds in memory.
pub(crate) struct Store {
    broker: Arc<dyn Broker>,
    /// Connectors by name.
    pub(crate) connectors: BTreeMap<String, StoredConnector>,
    /// Contracts by ref, as JSON documents.
    pub(crate) contracts: BTreeMap<String, serde_json::Value>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("connectors", &self.connectors.keys())
            .finish_non_exhaustive()
    }
}

const CONNECTOR: &str = "connector-";
const CONTRACT: &str = "contract-";

impl Store {
    /// Reads the whole topic. A record that cannot be read is left out with a note in the log.
    pub(crate) fn open(broker: Arc<dyn Broker>) -> Result<Self> {
        let mut store = Self {
            broker,
            connectors: BTreeMap::new(),
            contracts: BTreeMap::new(),
        };
        let broker = store.broker.clone();
        compacted::read(broker.as_ref(), TOPIC, [0], |message| {
            let key = String::from_utf8_lossy(message.key.as_deref().unwrap_or_default());
            store.fold(&key, message.value.as_deref(), message.offset);
        })?;
        Ok(store)
    }

    fn fold(&mut self, key: &str, value: Option<&[u8]>, offset: i64) {
        let unreadable =
            || tracing::warn!("{TOPIC} offset {offset}: {key} cannot be read and is left out");
        if let Some(name) = key.strip_prefix(CONNECTOR) {
            match value.map(serde_json::from_slice) {
                Some(Ok(connector)) => {
                    self.connectors.insert(name.to_owned(), connector);
                }
                Some(Err(_)) => unreadable(),
                None => {
                    self.connectors.remove(name);
                }
            }
        } else if let Some(reference) = key.strip_prefix(CONTRACT) {
            match value.map(serde_json::from_slice) {
                Some(Ok(contract)) => {
                    self.contracts.insert(reference.to_owned(), contract);
                }
                Some(Err(_)) => unreadable(),
                None => {
                    self.contracts.remove(reference);
                }
            }
        }
    }

    /// Stores a connector, or forgets it with `None`; durable when this returns.
    pub(crate) fn put_connector(
        &mut self,
        name: &str,
        connector: Option<StoredConnector>,
    ) -> Result<()> {
        let value = connector
            .as_ref()
            .and_then(|connector| serde_json::to_vec(connector).ok());
        self.write(&format!("{CONNECTOR}{name}"), value.as_deref())?;
        match connector {
            Some(connector) => self.connectors.insert(name.to_owned(), connector),
            None => self.connectors.remove(name),
        };
        Ok(())
    }

    /// Stores a contract, or forgets it with `None`; durable when this returns.
    pub(crate) fn put_contract(
        &mut self,
        reference: &str,
        contract: Option<serde_json::Value>,
    ) -> Result<()> {
        let value = contract
            .as_ref()
            .map(|contract| contract.to_string().into_bytes());
        self.write(&format!("{CONTRACT}{reference}"), value.as_deref())?;
        match contract {
            Some(contract) => self.contracts.insert(reference.to_owned(), contract),
            None => self.contracts.remove(reference),
        };
        Ok(())
    }

    fn write(&self, key: &str, value: Option<&[u8]>) -> Result<()> {
        let out = OutRecord::new(TOPIC, value).key(key.as_bytes());
        compacted::write(self.broker.as_ref(), &[out.partition(0)]).map(drop)
    }
}
