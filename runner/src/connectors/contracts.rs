//! Contracts that come and go over REST, stored beside the connectors.

use penstock_contracts::{ChangeError, Contract};

use super::{ConnectorError, Connectors};

impl Connectors {
    /// Adds a contract: it is stored before events are held against it.
    pub(crate) async fn put_contract(&self, contract: Contract) -> Result<(), ConnectorError> {
        let conflict = |error: ChangeError| ConnectorError::Conflict(error.to_string());
        let mut store = self.changes.lock().await;
        let contracts = &self.services.contracts;
        contracts.check(&contract).map_err(conflict)?;
        if let Some(store) = &mut *store {
            let document = contract.to_json();
            tokio::task::block_in_place(|| {
                store.put_contract(contract.reference.as_str(), Some(document))
            })?;
        }
        contracts.put(contract).map_err(conflict)?;
        Ok(())
    }

    /// Deletes a contract that came over REST and that no event can name yet: one that was approved
    /// could come back with fewer personal fields under the same name.
    pub(crate) async fn delete_contract(&self, reference: &str) -> Result<(), ConnectorError> {
        let mut store = self.changes.lock().await;
        let Some(store) = &mut *store else {
            return Ok(());
        };
        if !store.contracts.contains_key(reference) {
            return Err(match self.services.contracts.get(reference) {
                None => ConnectorError::NotFound(format!("contract {reference}")),
                Some(_) => ConnectorError::Conflict(format!(
                    "contract {reference} is in a file of contracts.dir: delete it there"
                )),
            });
        }
        if let Some(contract) = self.services.contracts.get(reference)
            && contract.state.is_frozen()
        {
            return Err(ConnectorError::Conflict(format!(
                "contract {reference} is {}, and only a DRAFT or one IN_REVIEW can be deleted; to put it out of use, \
                 create it again with \"state\": \"ARCHIVED\"",
                contract.state
            )));
        }
        tokio::task::block_in_place(|| store.put_contract(reference, None))?;
        self.services.contracts.remove(reference);
        Ok(())
    }
}
