//! Static bearer tokens. Only their digests are kept and compared, so that neither the memory nor
//! the time of a comparison tells a token.

use std::collections::HashSet;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

/// The tokens of which a request has to bring one; without any, everybody is let in.
#[derive(Default)]
pub struct Tokens(HashSet<[u8; 32]>);

impl Tokens {
    /// Reads tokens that are separated by commas, blanks or line ends.
    pub fn parse(text: &str) -> Self {
        Self(
            text.split(|c: char| c == ',' || c.is_whitespace())
                .filter(|token| !token.is_empty())
                .map(|token| digest(token.as_bytes()))
                .collect(),
        )
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the request brings one of the tokens, or none is needed.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        self.is_empty() || bearer(headers).is_some_and(|token| self.0.contains(&digest(token)))
    }
}

/// The token of `Authorization: Bearer <token>`; the scheme's case does not matter (RFC 7235).
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn admits(tokens: &str, authorization: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        Tokens::parse(tokens).admit(&headers)
    }

    #[test]
    fn one_of_the_tokens_is_needed_if_there_are_any() {
        for (tokens, authorization, expected) in [
            ("", None, true),
            ("a,b", None, false),
            ("a,b", Some("Bearer b"), true),
            ("a\nb\n", Some("bearer  b"), true),
            ("a,b", Some("Bearer ab"), false),
            ("a,b", Some("Bearer "), false),
            ("a,b", Some("Basic b"), false),
            ("a,b", Some("b"), false),
        ] {
            assert_eq!(
                admits(tokens, authorization),
                expected,
                "{tokens:?} {authorization:?}"
            );
        }
    }
}
