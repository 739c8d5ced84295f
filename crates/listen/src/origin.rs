//! Who sends a request: a program, or a page in somebody's browser.
//!
//! A browser lets any page send requests to any address, so without a check every page that a user opens
//! could give orders to what listens on the user's machine. A page's origin has to be the very host that
//! it asks. That counts only for `localhost` and IP addresses: a name could be made to point here by
//! whoever owns it.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// The host that a request asks, with its port: HTTP/2 has it in the URI. None when there are several.
pub fn host<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Option<&'r str> {
    let mut given = headers.get_all(header::HOST).iter();
    match (given.next(), given.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) => uri.authority().map(|authority| authority.as_str()),
        (Some(_), Some(_)) => None,
    }
}

/// Whether a page sent the request that does not come from the host that it asks.
pub fn is_foreign(headers: &HeaderMap, uri: &Uri) -> bool {
    headers.get_all(header::ORIGIN).iter().any(|origin| {
        let own = origin
            .to_str()
            .ok()
            .zip(host(headers, uri))
            .is_some_and(|(origin, host)| is_own(origin, host));
        !own
    })
}

/// Whether a page of this origin comes from the host that it asks, and that host cannot be feigned.
pub fn is_own(origin: &str, host: &str) -> bool {
    let Some((_scheme, origin_host)) = origin.split_once("://") else {
        return false;
    };
    origin_host.eq_ignore_ascii_case(host) && is_literal(host)
}

/// Whether a host, with or without a port, is `localhost` or an IP address: what nobody can make point
/// elsewhere.
pub fn is_literal(host: &str) -> bool {
    name(host).is_some_and(|name| {
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

/// Whether the request names this machine itself as its host: `localhost`, `127.0.0.1` or `[::1]`.
pub fn asks_loopback(headers: &HeaderMap, uri: &Uri) -> bool {
    host(headers, uri).and_then(name).is_some_and(|name| {
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback())
    })
}

/// Whether a proxy says that it passes the request on for somebody else.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-")
    })
}

/// The name of `name:port`, or the address in `[address]:port`; none if it is neither.
fn name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_fits = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
    };
    port_fits.then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_page_is_foreign_unless_it_comes_from_the_literal_host_that_it_asks() {
        let here = Uri::from_static("/connectors");
        for (origin, host, foreign) in [
            (None, "127.0.0.1:8083", false),
            (None, "worker.example:8083", false),
            (Some("http://127.0.0.1:8083"), "127.0.0.1:8083", false),
            (Some("http://localhost:8083"), "LOCALHOST:8083", false),
            (Some("http://[::1]:8083"), "[::1]:8083", false),
            (Some("http://127.0.0.1:9999"), "127.0.0.1:8083", true),
            (Some("https://evil.example"), "127.0.0.1:8083", true),
            // A name that was made to point here.
            (Some("http://evil.example:8083"), "evil.example:8083", true),
            (
                Some("http://127.0.0.1.evil.example"),
                "127.0.0.1.evil.example",
                true,
            ),
            (Some("null"), "127.0.0.1:8083", true),
        ] {
            let mut pairs = vec![("host", host)];
            pairs.extend(origin.map(|origin| ("origin", origin)));
            assert_eq!(
                is_foreign(&headers(&pairs), &here),
                foreign,
                "{origin:?} {host}"
            );
        }
        let own = ("origin", "http://127.0.0.1:8083");
        let with_two_hosts = [
            own,
            ("host", "127.0.0.1:8083"),
            ("host", "evil.example:8083"),
        ];
        assert!(is_foreign(&headers(&with_two_hosts), &here));
        let over_http2 = Uri::from_static("http://127.0.0.1:8083/connectors");
        assert!(!is_foreign(&headers(&[own]), &over_http2));
        assert!(is_foreign(&headers(&[own]), &here), "asks nobody");
    }

    #[test]
    fn only_literal_names_of_this_machine_are_loopback() {
        let here = Uri::from_static("/");
        for (host, loopback) in [
            ("127.0.0.1:8083", true),
            ("127.0.0.1", true),
            ("localhost:8083", true),
            ("[::1]:8083", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("192.0.2.1:8083", false),
            ("evil.example:8083", false),
            ("localhost.evil.example", false),
            ("[::1", false),
            ("[::1].evil.example", false),
            ("localhost:evil", false),
            ("", false),
        ] {
            let given = headers(&[("host", host)]);
            assert_eq!(asks_loopback(&given, &here), loopback, "{host}");
        }
        assert!(!asks_loopback(&headers(&[]), &here));
    }

    #[test]
    fn proxies_are_known_by_what_they_add() {
        for name in [
            "forwarded",
            "via",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-host",
        ] {
            assert!(is_forwarded(&headers(&[(name, "x")])), "{name}");
        }
        assert!(!is_forwarded(&headers(&[("host", "x"), ("accept", "x")])));
    }
}
