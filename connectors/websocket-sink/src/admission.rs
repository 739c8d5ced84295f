//! Who may watch: bearer tokens, and the origins of web pages.
//!
//! A browser lets any page connect to any WebSocket, so without a check every page that a user opens
//! could read the user's streams. A page's origin has to be listed, or be the very host that it
//! connects to (see [`penstock_listen::origin`]).
//!
//! A browser names no origin where a page asks its own host for server-sent events, and a name can be made
//! to point here while the page is open. So whoever names no origin names a host that cannot be feigned,
//! brings a token, or asks for a WebSocket, which no page can do without its origin.

use axum::http::{HeaderMap, StatusCode, Uri, header};
use penstock_listen::Tokens;
use penstock_listen::origin::{host, is_literal, is_own};

/// The rules for viewers.
pub(crate) struct Admission {
    origins: Vec<String>,
    tokens: Tokens,
}

impl Admission {
    /// `tokens` are separated by commas, blanks or line ends; without any, everybody may watch.
    pub(crate) fn new(origins: Vec<String>, tokens: Option<&str>) -> Self {
        let tokens = tokens.map(Tokens::parse).unwrap_or_default();
        Self { origins, tokens }
    }

    pub(crate) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Lets a viewer in, or says why not.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<(), (StatusCode, &'static str)> {
        let host = host(headers, uri);
        let admitted = match headers.get(header::ORIGIN) {
            Some(origin) => origin.to_str().is_ok_and(|origin| {
                self.is_listed(origin) || host.is_some_and(|host| is_own(origin, host))
            }),
            None => {
                self.has_tokens()
                    || headers.contains_key(header::SEC_WEBSOCKET_KEY)
                    || host.is_some_and(|host| is_literal(host) || self.is_listed_host(host))
            }
        };
        if !admitted {
            return Err((
                StatusCode::FORBIDDEN,
                match headers.contains_key(header::ORIGIN) {
                    true => "Pages of this origin may not watch (ws.origins).",
                    false => {
                        "Not by this name: a page could have had it made to point here. Ask localhost or an IP \
                         address, or let ws.origins list the origin of this name, or ws.auth.tokens name tokens."
                    }
                },
            ));
        }
        if !self.tokens.admit(headers) {
            return Err((
                StatusCode::UNAUTHORIZED,
                "Not authorised. Send Authorization: Bearer with a token that this sink knows.",
            ));
        }
        Ok(())
    }

    fn is_listed_host(&self, host: &str) -> bool {
        let hosts = self
            .origins
            .iter()
            .filter_map(|origin| origin.split_once("://"));
        hosts
            .map(|(_, listed)| listed)
            .any(|listed| listed.eq_ignore_ascii_case(host))
    }

    fn is_listed(&self, origin: &str) -> bool {
        self.origins
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(origin))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn status(admission: &Admission, pairs: &[(&'static str, &str)]) -> u16 {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        admission
            .admit(&headers, &Uri::from_static("/sse/demo"))
            .map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn a_page_watches_from_its_own_host_or_a_listed_origin() {
        let admission = Admission::new(vec!["https://ops.example".to_owned()], None);
        for (origin, host, expected) in [
            (None, "127.0.0.1:8082", 200),
            (Some("http://127.0.0.1:8082"), "127.0.0.1:8082", 200),
            (Some("http://localhost:8082"), "localhost:8082", 200),
            (Some("http://[::1]:8082"), "[::1]:8082", 200),
            (Some("https://ops.example"), "127.0.0.1:8082", 200),
            (Some("http://127.0.0.1:9999"), "127.0.0.1:8082", 403),
            (Some("https://evil.example"), "127.0.0.1:8082", 403),
            // A name that was made to point here.
            (Some("http://evil.example:8082"), "evil.example:8082", 403),
            (Some("null"), "127.0.0.1:8082", 403),
        ] {
            let mut pairs = vec![("host", host)];
            pairs.extend(origin.map(|origin| ("origin", origin)));
            assert_eq!(status(&admission, &pairs), expected, "{origin:?} {host}");
        }
    }

    #[test]
    fn who_names_no_origin_names_a_host_that_cannot_be_feigned() {
        let open = Admission::new(vec!["https://ops.example".to_owned()], None);
        for (host, expected) in [
            ("localhost:8082", 200),
            ("127.0.0.1:8082", 200),
            ("[::1]:8082", 200),
            ("ops.example", 200),
            ("ops.example:8082", 403),
            ("evil.example:8082", 403),
        ] {
            assert_eq!(status(&open, &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(&open, &[]), 403);
        let evil = ("host", "evil.example:8082");
        // No page can send this without its origin.
        let handshake = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(status(&open, &[evil, handshake]), 200);
        let guarded = Admission::new(vec![], Some("a"));
        assert_eq!(status(&guarded, &[evil]), 401);
        assert_eq!(
            status(&guarded, &[evil, ("authorization", "Bearer a")]),
            200
        );
    }

    #[test]
    fn one_of_the_tokens_is_needed_if_there_are_any() {
        let admission = Admission::new(vec![], Some("a, b"));
        assert_eq!(status(&admission, &[]), 401);
        assert_eq!(status(&admission, &[("authorization", "Bearer c")]), 401);
        assert_eq!(status(&admission, &[("authorization", "Bearer b")]), 200);
    }
}
