//! The services that tell a machine or a container who it is, with credentials that soon run out:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>,
//! <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html>,
//! <https://cloud.google.com/compute/docs/access/authenticate-workloads>.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, put};
use axum::{Json, Router};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use super::given::Given;
use super::{Served, TemporaryKeys};
use crate::Bucket;

/// What a container shows to be given credentials.
pub const CONTAINER_TOKEN: &str = "the-container";

const SESSION: &str = "a-session";
const ROLE: &str = "lake-writer";

/// The metadata services of one machine.
#[derive(Debug)]
pub struct Machine {
    server: Served,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// The S3 server with a user's keys, for roles of AWS.
    server: String,
    id: String,
    secret: String,
    /// Those given last.
    current: tokio::sync::Mutex<Option<(TemporaryKeys, Instant)>>,
    given: Given,
}

impl Machine {
    /// Starts services that give keys for the server of an S3 bucket, and tokens of Google's form. Each is
    /// good for `lifetime`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(bucket: &Bucket, lifetime: Duration) -> Self {
        let credentials = bucket.credentials();
        let value = |at: usize| {
            credentials
                .get(at)
                .map_or(String::new(), |pair| pair.1.to_owned())
        };
        let state = Arc::new(State {
            server: bucket.endpoint().to_owned(),
            id: value(0),
            secret: value(1),
            current: tokio::sync::Mutex::default(),
            given: Given::lasting(lifetime),
        });
        let roles = "/latest/meta-data/iam/security-credentials/";
        let router = Router::new()
            .route("/latest/api/token", put(|| async { SESSION }))
            .route(roles, get(role))
            .route(&format!("{roles}{ROLE}"), get(role_keys))
            .route("/v1/credentials", get(container_keys))
            .route(
                "/computeMetadata/v1/instance/service-accounts/default/token",
                get(google_token),
            )
            .with_state(state.clone());
        let server = Served::start(Served::bind().await, router);
        Self { server, state }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.server.port)
    }

    /// The keys and tokens that it has given.
    #[must_use]
    pub fn given(&self) -> &Given {
        &self.state.given
    }
}

impl State {
    /// The same keys until half of their time is over.
    async fn keys(&self) -> Json<Value> {
        let mut current = self.current.lock().await;
        let fresh = |until: Instant| until > Instant::now() + self.given.lifetime() / 2;
        let (keys, until) = match current.take().filter(|(_, until)| fresh(*until)) {
            Some(current) => current,
            None => {
                let keys = TemporaryKeys::ask(&self.server, &self.id, &self.secret).await;
                let until = self.given.note(&keys.id);
                (keys, until)
            }
        };
        let expiration = Utc::now() + (until - Instant::now());
        let answer = json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": keys.id,
            "SecretAccessKey": keys.secret,
            "Token": keys.token,
            "Expiration": expiration.to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        *current = Some((keys, until));
        Json(answer)
    }
}

/// Whether a header field has the value.
fn shows(headers: &HeaderMap, name: &str, value: &str) -> Result<(), StatusCode> {
    let shown = headers.get(name).is_some_and(|shown| shown == value);
    shown.then_some(()).ok_or(StatusCode::UNAUTHORIZED)
}

async fn role(headers: HeaderMap) -> Result<&'static str, StatusCode> {
    shows(&headers, "x-aws-ec2-metadata-token", SESSION).map(|()| ROLE)
}

async fn role_keys(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    shows(&headers, "x-aws-ec2-metadata-token", SESSION)?;
    Ok(state.keys().await)
}

async fn container_keys(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    shows(&headers, "authorization", CONTAINER_TOKEN)?;
    Ok(state.keys().await)
}

async fn google_token(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    shows(&headers, "metadata-flavor", "Google")?;
    let token = uuid::Uuid::new_v4().to_string();
    state.given.note(&token);
    Ok(Json(json!({
        "access_token": token,
        "expires_in": state.given.lifetime().as_secs(),
        "token_type": "Bearer",
    })))
}
