//! Azure Blob Storage.

use std::time::Duration;

use object_store::azure::{AzureAccessKey, AzureConfigKey, MicrosoftAzureBuilder, split_sas};
use penstock_connect::Error;
use penstock_connect::config::Secret;

use super::client::{self, Proxy};
use super::environment::{beginning_with, variable};
use super::{Store, refused};

/// Where a container is and who may write to it.
#[derive(Clone, Debug)]
pub struct Azure {
    /// The container's name.
    pub container: String,
    /// The storage account.
    pub account: String,
    /// `http://127.0.0.1:10000/devstoreaccount1`, where it is not at Azure.
    pub endpoint: Option<String>,
    /// Who writes.
    pub credentials: AzureCredentials,
    /// Where that comes from, for messages: `azure.account.key`.
    pub origin: &'static str,
    /// The way to it.
    pub proxy: Proxy,
    /// Longest that it may say nothing.
    pub timeout: Duration,
}

/// Who writes.
#[derive(Clone, Debug)]
pub enum AzureCredentials {
    /// The account's key.
    Key(Secret),
    /// A shared access signature, with or without its question mark.
    Sas(Secret),
    /// What the environment has (`AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_CLIENT_ID` …), or the machine's
    /// managed identity.
    Environment,
}

/// The parts of a connection string that say where and who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionString {
    /// The storage account.
    pub account: String,
    /// The address, where it is not Azure's public one.
    pub endpoint: Option<String>,
    /// The account's key.
    pub key: Option<Secret>,
    /// A shared access signature.
    pub sas: Option<Secret>,
}

impl ConnectionString {
    /// `DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let part = |name: &str| {
            text.split(';')
                .filter_map(|part| part.split_once('='))
                .find(|(key, value)| key.trim().eq_ignore_ascii_case(name) && !value.is_empty())
                .map(|(_, value)| value.trim().to_owned())
        };
        let secret = |name: &str| {
            part(name).and_then(|value| penstock_connect::ConfigValue::parse(&value).ok())
        };
        let Some(account) = part("AccountName") else {
            return Err("has no AccountName");
        };
        let endpoint = part("BlobEndpoint").or_else(|| {
            let suffix = part("EndpointSuffix").filter(|suffix| suffix != "core.windows.net")?;
            let protocol = part("DefaultEndpointsProtocol").unwrap_or_else(|| "https".to_owned());
            Some(format!("{protocol}://{account}.blob.{suffix}"))
        });
        Ok(Self {
            endpoint,
            key: secret("AccountKey"),
            sas: secret("SharedAccessSignature"),
            account,
        })
    }
}

impl Azure {
    /// A client for the container. Nothing is sent yet.
    pub fn store(&self) -> Result<Store, Error> {
        let name = format!("az://{}", self.container);
        let builder = self.builder(&name)?;
        let builder = builder
            .with_account(&self.account)
            .with_container_name(&self.container)
            .with_retry(client::retries(self.timeout))
            .with_client_options(client::options(
                &self.proxy,
                self.timeout,
                self.endpoint.as_deref(),
            ))
            .with_http_connector(client::connector(self.timeout));
        let builder = match &self.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.trim_end_matches('/').to_owned()),
            None => builder,
        };
        let store = builder.build().map_err(|error| refused(&name, error))?;
        Ok(Store::in_parts(store, name)
            .entered_with(self.origin)
            .waiting(self.timeout))
    }

    /// A builder that has the credentials. What is wrong with a secret is not said in the library's words,
    /// which may quote it.
    fn builder(&self, name: &str) -> Result<MicrosoftAzureBuilder, Error> {
        let wrong = |what| Error::never(format!("{name} cannot be used: {} {what}", self.origin));
        let builder = MicrosoftAzureBuilder::new();
        Ok(match &self.credentials {
            AzureCredentials::Key(key) => {
                AzureAccessKey::try_new(key.reveal())
                    .map_err(|_| wrong("has a key that is not base64"))?;
                builder.with_access_key(key.reveal())
            }
            AzureCredentials::Sas(sas) => {
                let sas = sas.reveal().trim_start_matches('?');
                split_sas(sas)
                    .map_err(|_| wrong("is not a shared access signature (sv=…&sig=…)"))?;
                builder.with_config(AzureConfigKey::SasKey, sas)
            }
            AzureCredentials::Environment => environment(),
        })
    }
}

/// What the environment sets, the address of a managed identity among it.
fn environment() -> MicrosoftAzureBuilder {
    let set = beginning_with("AZURE_");
    let builder = set.fold(
        MicrosoftAzureBuilder::new(),
        |builder, (name, value)| match name.parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        },
    );
    match variable("IDENTITY_ENDPOINT") {
        Some(url) => builder.with_msi_endpoint(url),
        None => builder,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_connection_string_says_where_and_who() {
        let text = "DefaultEndpointsProtocol=https;AccountName=lake;AccountKey=a2V5PT0=;EndpointSuffix=core.windows.net";
        let parsed = ConnectionString::parse(text).unwrap();
        assert_eq!((parsed.account.as_str(), parsed.endpoint), ("lake", None));
        assert_eq!(parsed.key.unwrap().reveal(), "a2V5PT0=");
        let parsed = ConnectionString::parse(
            "AccountName=lake;SharedAccessSignature=sv=2024&sig=x%3D;EndpointSuffix=core.chinacloudapi.cn",
        )
        .unwrap();
        assert_eq!(
            parsed.endpoint.unwrap(),
            "https://lake.blob.core.chinacloudapi.cn"
        );
        assert_eq!(parsed.sas.unwrap().reveal(), "sv=2024&sig=x%3D");
        assert_eq!(
            ConnectionString::parse("AccountKey=x").unwrap_err(),
            "has no AccountName"
        );
    }
}
