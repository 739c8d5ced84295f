//! Why a request about a connector is not fulfilled.

use penstock_connect::Problem;

/// What can go wrong with a request about a connector.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectorError {
    #[error("{0} not found")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Refused(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
    #[error("{0}")]
    Failed(String),
}

impl ConnectorError {
    pub(super) fn no_connector(name: &str) -> Self {
        Self::NotFound(format!("Connector {name}"))
    }
}

impl From<penstock_broker::Error> for ConnectorError {
    fn from(error: penstock_broker::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for ConnectorError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
