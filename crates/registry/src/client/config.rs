//! The settings of a registry client.

use std::fmt;
use std::time::Duration;

/// A text that shows itself nowhere: not in `Debug`, not in errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the client shows who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all, or by the user information within the URLs.
    #[default]
    None,
    /// `basic.auth.user.info`.
    Basic {
        /// User name, or API key.
        user: String,
        /// Password, or API secret.
        password: Secret,
    },
    /// `bearer.auth.token`.
    Bearer(Secret),
}

/// Where the registry is and how patiently to ask it.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Base URLs of one registry, tried in order (`http://127.0.0.1:8081`,
    /// `https://host/apis/ccompat/v7`). User information in a URL is used as basic authentication.
    pub urls: Vec<String>,
    /// Credentials.
    pub auth: Auth,
    /// How long one HTTP request may take.
    pub timeout: Duration,
    /// How long one question may take in all, with every URL and every wait between attempts.
    pub max_wait: Duration,
    /// Certificates in PEM to trust besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Client certificate and private key in PEM, for mutual TLS.
    pub identity_pem: Option<Secret>,
    /// How many schemas each cache holds.
    pub cache_capacity: usize,
    /// How long an id, GUID or reference stays unknown, or of no use, before it is asked for again.
    pub unknown_for: Duration,
}

impl RegistryConfig {
    /// Settings with the usual times: 5 s a request, 15 s in all, 10,000 schemas a cache, 2 s for
    /// what is unknown.
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            urls: urls.into_iter().map(Into::into).collect(),
            auth: Auth::None,
            timeout: Duration::from_secs(5),
            max_wait: Duration::from_secs(15),
            ca_pem: None,
            identity_pem: None,
            cache_capacity: 10_000,
            unknown_for: Duration::from_secs(2),
        }
    }
}
