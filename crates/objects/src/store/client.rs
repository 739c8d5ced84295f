//! How long requests may stand still, how often they are tried again, and the way that they take.

use std::time::Duration;

use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use penstock_connect::config::Secret;
use penstock_transfer::Connector;
use url::{Host, Url};

use super::environment::variable;

/// Longest that a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest that a request is tried again in place, but for one that nobody answers: that is made again
/// once. Then the runner decides, and goes on trying.
const RETRY: Duration = Duration::from_secs(30);

/// How often a request is tried again in place.
pub(super) const RETRIES: usize = 6;

/// Longest pause between two tries.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// A proxy that stands between the worker and the store.
#[derive(Clone, Debug, Default)]
pub struct Proxy {
    /// `http://proxy:3128`.
    pub url: Option<String>,
    /// The user that it asks for.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
}

impl Proxy {
    /// The URL with user and password in it.
    pub(super) fn full_url(&self) -> Option<String> {
        let url = self.url.as_deref()?;
        let (Some(user), Some((scheme, rest))) = (&self.user, url.split_once("://")) else {
            return Some(url.to_owned());
        };
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let password = self
            .password
            .as_ref()
            .map_or("", |password| password.reveal());
        Some(format!(
            "{scheme}://{}:{}@{rest}",
            encode(user),
            encode(password)
        ))
    }
}

/// Longest that a connection may take where a request may stand still for so long.
pub(super) fn connect(timeout: Duration) -> Duration {
    CONNECT.min(timeout)
}

/// How long after its start a request is not tried again any more.
pub(super) fn retry_for(timeout: Duration) -> Duration {
    RETRY.max(timeout.saturating_mul(2))
}

pub(super) fn retries(timeout: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: PAUSE,
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: retry_for(timeout),
    }
}

/// `timeout`: a request fails when nothing of it has moved for so long.
///
/// `endpoint`: the address where the store is not at its vendor's; only such a one may speak plain HTTP.
pub(super) fn options(proxy: &Proxy, timeout: Duration, endpoint: Option<&str>) -> ClientOptions {
    let options = ClientOptions::new()
        .with_timeout(timeout)
        .with_connect_timeout(connect(timeout))
        .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")));
    match proxy.full_url() {
        Some(url) => options
            .with_proxy_url(url)
            .with_proxy_excludes(machine_hosts()),
        None => options,
    }
}

/// What makes the connections of a store with such options.
pub(super) fn connector(timeout: Duration) -> Connector {
    Connector::new(timeout, connect(timeout))
}

/// Hosts of the services that tell a machine or a container who it is. A proxy would be told who the
/// proxy is.
fn machine_hosts() -> String {
    const USUAL: [&str; 6] = [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "metadata.google.internal",
    ];
    let given = [
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "GCE_METADATA_HOST",
        "IDENTITY_ENDPOINT",
    ];
    let given = given.iter().filter_map(|name| host(&variable(name)?));
    let given = given.map(|host| match host {
        Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    });
    let usual = USUAL.into_iter().map(str::to_owned);
    given.chain(usual).collect::<Vec<_>>().join(",")
}

/// The host of a URL, or of `host:port`.
fn host(address: &str) -> Option<Host> {
    let url = match address.contains("://") {
        true => Url::parse(address),
        false => Url::parse(&format!("http://{address}")),
    };
    Some(url.ok()?.host()?.to_owned())
}

/// Whether a URL names its host by an IP address.
pub(super) fn is_ip_address(url: &str) -> bool {
    matches!(host(url), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{host, is_ip_address};

    #[test]
    fn hosts_are_told_from_what_stands_around_them() {
        for (address, expected) in [
            ("http://169.254.170.23/v1/credentials", "169.254.170.23"),
            ("http://[fd00:ec2::23]:80/v1", "[fd00:ec2::23]"),
            ("[fd00:ec2::254]:80", "[fd00:ec2::254]"),
            ("metadata:8080", "metadata"),
            ("metadata.google.internal", "metadata.google.internal"),
            ("http://user:secret@metadata/path?query", "metadata"),
        ] {
            assert_eq!(host(address).unwrap().to_string(), expected);
        }
        assert_eq!(host("http://:80"), None);
    }

    #[test]
    fn addresses_are_told_from_names() {
        for (url, expected) in [
            ("http://127.0.0.1:9000", true),
            ("https://10.1.2.3/", true),
            ("http://127.1", true),
            ("http://[::1]:9000", true),
            ("http://minio:9000", false),
            ("https://s3.eu-west-1.amazonaws.com", false),
            ("http://10.minio.internal:9000", false),
        ] {
            assert_eq!(is_ip_address(url), expected, "{url}");
        }
    }
}
