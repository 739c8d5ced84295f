//! Where a worker's connectors listen, as seen from here.

use std::net::{IpAddr, SocketAddr};

use penstock_connect::config::{ConfigValue, ListenAddress};
use reqwest::Url;

use super::CliError;
use super::client::Client;

/// A kind of connector that listens, by the settings that say where and how.
#[derive(Debug)]
pub(super) struct Listener {
    class: &'static str,
    address: &'static str,
    /// Given, it turns TLS on.
    certificate: Option<&'static str>,
    /// Without TLS.
    scheme: &'static str,
    /// The option that names such a place by hand.
    option: &'static str,
}

/// The intake of events.
pub(super) const GATEWAY: Listener = Listener {
    class: "HttpSource",
    address: "http.listen",
    certificate: Some("http.tls.certificate"),
    scheme: "http",
    option: "--gateway",
};

/// The egress that people look through.
pub(super) const EGRESS: Listener = Listener {
    class: "WebSocketSink",
    address: "ws.listen",
    certificate: None,
    scheme: "ws",
    option: "--from",
};

impl Listener {
    /// Class of the connectors.
    pub(super) fn class(&self) -> &'static str {
        self.class
    }

    /// URL of the first connector of this kind that the worker runs.
    pub(super) async fn find(&self, client: &Client, worker: &str) -> Result<String, CliError> {
        let connectors = client.get("/connectors?expand=info").await?;
        let mut connectors = connectors.as_object().into_iter().flatten();
        connectors
            .find_map(|(_, connector)| {
                let config = &connector["info"]["config"];
                self.url(|key| config[key].as_str(), worker)
            })
            .unwrap_or_else(|| {
                Err(CliError(format!(
                    "the worker has no {}; name the address of another one's with {} URL",
                    self.class, self.option
                )))
            })
    }

    /// URL of a connector with these settings; `None` if it is of another kind.
    pub(super) fn url<'a>(
        &self,
        setting: impl Fn(&str) -> Option<&'a str>,
        worker: &str,
    ) -> Option<Result<String, CliError>> {
        let class = setting("connector.class")?;
        // Java class names end in the short one.
        if class.rsplit('.').next() != Some(self.class) {
            return None;
        }
        let listen = setting(self.address)?;
        let Some(address) = ListenAddress::parse(listen)
            .ok()
            .map(|listen| listen.address)
            .filter(|address| address.port() > 0)
        else {
            return Some(Err(CliError(format!(
                "only the worker knows the address behind {}={listen}; name it with {} URL",
                self.address, self.option
            ))));
        };
        let secure = self.certificate.is_some_and(|key| setting(key).is_some());
        let place = seen_from_here(address, worker);
        let scheme = self.scheme;
        Some(Ok(if secure {
            format!("{scheme}s://{place}")
        } else {
            format!("{scheme}://{place}")
        }))
    }
}

/// Host and port of what listens on the worker's machine: the wildcard address is no address to
/// connect to, and loopback is that machine's own.
fn seen_from_here(listen: SocketAddr, worker: &str) -> String {
    let worker = Url::parse(worker).ok();
    let Some(host) = worker.as_ref().and_then(Url::host_str) else {
        return listen.to_string();
    };
    let here = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    if listen.ip().is_unspecified() || (listen.ip().is_loopback() && !here) {
        format!("{host}:{}", listen.port())
    } else {
        listen.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn gateway(listen: &str, certificate: Option<&str>, worker: &str) -> String {
        let setting = |key: &str| match key {
            "connector.class" => Some("HttpSource"),
            "http.listen" => Some(listen),
            "http.tls.certificate" => certificate,
            _ => None,
        };
        GATEWAY
            .url(setting, worker)
            .unwrap()
            .unwrap_or_else(|e| e.0)
    }

    #[test]
    fn a_worker_elsewhere_is_where_its_listeners_are() {
        for (listen, worker, expected) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8083", "127.0.0.1:8080"),
            ("[::1]:8080", "http://localhost:8083", "[::1]:8080"),
            ("0.0.0.0:8080", "http://127.0.0.1:8083", "127.0.0.1:8080"),
            ("0.0.0.0:8080", "http://[::1]:8083", "[::1]:8080"),
            ("0.0.0.0:8080", "http://remote:8083/", "remote:8080"),
            ("[::]:8080", "https://remote", "remote:8080"),
            ("127.0.0.1:8080", "http://remote:8083", "remote:8080"),
            (":8080", "http://remote:8083", "remote:8080"),
            ("192.0.2.7:8080", "http://remote:8083", "192.0.2.7:8080"),
        ] {
            let found = gateway(listen, None, worker);
            assert_eq!(
                found,
                format!("http://{expected}"),
                "{listen} seen by {worker}"
            );
        }
    }

    #[test]
    fn a_certificate_makes_it_https() {
        let found = gateway(":8443", Some("tls/cert.pem"), "http://remote:8083");
        assert_eq!(found, "https://remote:8443");
    }

    #[test]
    fn an_address_that_only_the_worker_knows_has_to_be_named() {
        for listen in ["${env:LISTEN}", "127.0.0.1:0"] {
            let found = gateway(listen, None, "http://remote:8083");
            assert!(found.ends_with("name it with --gateway URL"), "{found}");
        }
    }

    #[test]
    fn a_connector_of_another_kind_is_passed_over() {
        let setting = |key: &str| (key == "connector.class").then_some("FileSink");
        assert!(EGRESS.url(setting, "http://remote:8083").is_none());
    }
}
