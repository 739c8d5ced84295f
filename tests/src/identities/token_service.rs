//! A security token service that passes on what that of a store gives, and has it run out soon:
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>,
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, Uri};
use chrono::{SecondsFormat, Utc};
use reqwest::Url;

use super::Served;
use super::given::Given;
use super::sts::part;
use crate::Bucket;

/// The service in front of one store's.
#[derive(Debug)]
pub struct TokenService {
    server: Served,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// The store with a service of its own.
    server: String,
    given: Given,
    shown: Mutex<Vec<String>>,
    roles: Mutex<Vec<String>>,
    http: reqwest::Client,
}

impl TokenService {
    /// Starts a service before that of an S3 bucket's server, whose keys are good for `lifetime`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn before(bucket: &Bucket, lifetime: Duration) -> Self {
        let state = Arc::new(State {
            server: bucket.endpoint().to_owned(),
            given: Given::lasting(lifetime),
            shown: Mutex::default(),
            roles: Mutex::default(),
            http: reqwest::Client::new(),
        });
        let router = Router::new().fallback(exchange).with_state(state.clone());
        let server = Served::start(Served::bind().await, router);
        Self { server, state }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    /// The keys that it has given.
    #[must_use]
    pub fn given(&self) -> &Given {
        &self.state.given
    }

    /// The tokens that were shown to it, in their order.
    ///
    /// # Panics
    /// When a request has panicked.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        let shown = self.state.shown.lock();
        shown.expect("no holder of this lock panics").clone()
    }

    /// What was asked of it with a user's keys, as forms, in their order.
    ///
    /// # Panics
    /// When a request has panicked.
    #[must_use]
    pub fn roles(&self) -> Vec<String> {
        let roles = self.state.roles.lock();
        roles.expect("no holder of this lock panics").clone()
    }
}

/// Exchanges a token, or a user's signature, for keys.
async fn exchange(
    Shared(state): Shared<Arc<State>>,
    request: Uri,
    headers: HeaderMap,
    form: Bytes,
) -> (StatusCode, String) {
    let mut url = Url::parse(&state.server).expect("the store's address");
    url.set_query(request.query());
    let token = url.query_pairs().find(|(key, _)| key == "WebIdentityToken");
    let (book, shown, headers) = match token {
        Some((_, token)) => (&state.shown, token.into_owned(), HeaderMap::new()),
        // The signature holds for the address that was asked, which stands in the headers.
        None => (
            &state.roles,
            String::from_utf8_lossy(&form).into_owned(),
            headers,
        ),
    };
    let book = book.lock();
    book.expect("no holder of this lock panics").push(shown);
    let answer = state.http.post(url).headers(headers).body(form);
    let answer = answer.send().await;
    let answer = answer.expect("the store's token service answers");
    let status = answer.status();
    let text = answer.text().await.expect("the answer is text");
    let (Some(id), Some(expiration)) = (part(&text, "AccessKeyId"), part(&text, "Expiration"))
    else {
        return (status, text);
    };
    let left = state.given.note(id) - Instant::now();
    let soon = (Utc::now() + left).to_rfc3339_opts(SecondsFormat::Millis, true);
    (status, text.replace(expiration, &soon))
}
