//! `handle/name/x.y.z`: the name of one contract.

use std::fmt;
use std::str::FromStr;

use penstock_connect::ConfigValue;
use penstock_registry::SchemaRef;
use serde::{Deserialize, Serialize};

/// A reference to one contract, with the grammar of a [`SchemaRef`]: names of letters, digits, `_`
/// and `-`, and a version of three numbers as the last segment (`streammachine/example/1.3.0`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContractRef(SchemaRef);

/// A text that is not a contract reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a contract reference: expected handle/name/x.y.z with names of letters, digits, '_' and '-'"
)]
pub struct InvalidContractRef {
    text: String,
}

impl ContractRef {
    /// Reads `handle/name/x.y.z`.
    pub fn parse(text: &str) -> Result<Self, InvalidContractRef> {
        SchemaRef::parse(text)
            .ok()
            .filter(|reference| reference.as_str() == text)
            .map(Self)
            .ok_or_else(|| InvalidContractRef {
                text: text.chars().take(200).collect(),
            })
    }

    /// The reference as written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ContractRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContractRef {
    type Err = InvalidContractRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ContractRef {
    type Error = InvalidContractRef;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ContractRef> for String {
    fn from(reference: ContractRef) -> Self {
        reference.as_str().to_owned()
    }
}

impl ConfigValue for ContractRef {
    const KIND: &'static str = "a contract reference (handle/name/x.y.z)";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}
