//! Schemas that the files of connectors name.

use std::sync::Arc;

use penstock_connect::Error;
use penstock_connect::config::ConfigValue;
use penstock_formats::Schema;

use crate::{RegistryClient, Retry, SchemaRef};

impl ConfigValue for SchemaRef {
    const KIND: &'static str = "a schema reference (handle/name/x.y.z)";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl RegistryClient {
    /// The schema that the key `schema` of a connector names. One that is not there fails the task; a
    /// registry that does not answer is asked again by the task's next run.
    pub async fn configured(&self, reference: &SchemaRef) -> Result<Arc<Schema>, Error> {
        self.by_ref(reference).await.map_err(|error| {
            let message = format!("schema: {reference} cannot be had");
            match error.retry() {
                Retry::Never => Error::never(message),
                Retry::Backoff => Error::reconnect(message),
            }
            .with_source(error)
        })
    }
}
