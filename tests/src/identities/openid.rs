//! An OpenID provider, as far as a store looks at one: <https://openid.net/specs/openid-connect-discovery-1_0.html>.

use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{Served, Signer};

/// A provider that vouches for subjects.
#[derive(Debug)]
pub struct OpenId {
    server: Served,
    signer: Signer,
}

impl OpenId {
    /// Starts one with a new key.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = Served::bind().await;
        let port = listener.local_addr().expect("it is bound").port();
        let signer = Signer::new();
        let (about, keys) = (
            json!({
                "issuer": issuer(port),
                "jwks_uri": format!("{}/keys", issuer(port)),
                "authorization_endpoint": format!("{}/authorize", issuer(port)),
                "token_endpoint": format!("{}/token", issuer(port)),
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }),
            signer.key_set(),
        );
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(|| async { Json(about) }),
            )
            .route("/keys", get(|| async { Json(keys) }));
        Self {
            server: Served::start(listener, router),
            signer,
        }
    }

    /// Where its description is.
    #[must_use]
    pub fn discovery(&self) -> String {
        format!(
            "{}/.well-known/openid-configuration",
            issuer(self.server.port)
        )
    }

    /// A token for the subject, to be shown to this audience within the hour.
    #[must_use]
    pub fn token(&self, subject: &str, audience: &str) -> String {
        self.token_of(subject, audience, Utc::now())
    }

    /// A token for the subject that has run out a minute ago.
    #[must_use]
    pub fn expired_token(&self, subject: &str, audience: &str) -> String {
        let before = TimeDelta::hours(1) + TimeDelta::minutes(1);
        self.token_of(subject, audience, Utc::now() - before)
    }

    /// A token for an hour from then on.
    fn token_of(&self, subject: &str, audience: &str, issued: DateTime<Utc>) -> String {
        let issued = issued.timestamp();
        self.signer.token(&json!({
            "iss": issuer(self.server.port),
            "sub": subject,
            "aud": audience,
            "iat": issued,
            "exp": issued + 3600,
        }))
    }
}

fn issuer(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
