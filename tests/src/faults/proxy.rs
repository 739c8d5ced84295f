//! The proxy: a plan, what came by, a guard, and the server behind.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::fault::{Effect, Fault};
use super::line::{Breaker, Lines};
use super::operation::{Operation, Request};

/// Time for the beginning of an answer to leave before its connection breaks.
const LEAVING: Duration = Duration::from_millis(100);

/// Pieces in which an answer drips.
const PIECES: u32 = 10;

/// A request that came by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it does.
    pub operation: Operation,
    /// The object's name.
    pub object: Option<String>,
    /// Whether it met a fault.
    pub struck: bool,
    /// The server's answer, if the request came to the server and was answered.
    pub status: Option<u16>,
}

/// Looks at the header fields of a request; `Err` is the status and the code with which it is refused.
pub type Guard = Box<dyn Fn(&HeaderMap) -> Result<(), (u16, &'static str)> + Send + Sync>;

/// A proxy on a loopback port of its own, in front of one server, until it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    url: String,
    state: Arc<Shared>,
    listener: JoinHandle<()>,
}

struct Shared {
    /// Scheme, host and port.
    upstream: String,
    guard: Option<Guard>,
    http: reqwest::Client,
    plan: Mutex<Vec<Fault>>,
    seen: Mutex<Vec<Seen>>,
}

impl FaultProxy {
    /// Puts a proxy in front of the server with this base address. Without a plan it forwards.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(upstream: &str) -> Self {
        Self::new(upstream, None).await
    }

    /// As [`FaultProxy::to`]; requests that the guard refuses do not come to the server.
    ///
    /// # Panics
    /// As [`FaultProxy::to`].
    pub async fn guarded(upstream: &str, guard: Guard) -> Self {
        Self::new(upstream, Some(guard)).await
    }

    async fn new(upstream: &str, guard: Option<Guard>) -> Self {
        // Signatures are made over the whole path, so that clients have to see all of it.
        let upstream = reqwest::Url::parse(upstream).expect("the server's address");
        let path = upstream.path().trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let http = reqwest::Client::builder()
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("the client can be made");
        let state = Arc::new(Shared {
            upstream: upstream.origin().ascii_serialization(),
            guard,
            http,
            plan: Mutex::default(),
            seen: Mutex::default(),
        });
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&state))
            .into_make_service_with_connect_info::<Breaker>();
        let listener = tokio::spawn(async move {
            axum::serve(Lines(listener), router)
                .await
                .expect("serving goes on");
        });
        Self {
            url: format!("http://{address}{path}"),
            state,
            listener,
        }
    }

    /// The address to give to clients in place of the server's.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Adds faults to the plan. A request meets the first that strikes; those behind it do not see
    /// it.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state.plan).extend(faults);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        lock(&self.state.plan).clear();
    }

    /// The faults of the plan that have not struck at all: a test that leaves some has not tested
    /// what it says.
    #[must_use]
    pub fn unmet(&self) -> Vec<Fault> {
        let plan = lock(&self.state.plan);
        plan.iter()
            .filter(|fault| !fault.has_struck())
            .cloned()
            .collect()
    }

    /// Whether every fault of the plan has struck as often as it was to.
    #[must_use]
    pub fn is_over(&self) -> bool {
        lock(&self.state.plan).iter().all(Fault::is_over)
    }

    /// All requests so far, in the order in which they came.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// How many requests that do this have come.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        let seen = lock(&self.state.seen);
        seen.iter()
            .filter(|seen| seen.operation == operation)
            .count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.upstream).finish()
    }
}

impl Shared {
    /// Notes a request; returns its place in the list and the fault that it meets.
    fn meet(&self, request: &Request) -> (usize, Option<Fault>) {
        let fault = lock(&self.plan)
            .iter_mut()
            .find_map(|fault| fault.strikes(request).then(|| fault.clone()));
        let mut seen = lock(&self.seen);
        seen.push(Seen {
            operation: request.operation,
            object: request.object.clone(),
            struck: fault.is_some(),
            status: None,
        });
        (seen.len() - 1, fault)
    }

    /// Has the server do what is asked.
    async fn forward(&self, at: usize, request: HttpRequest) -> Response {
        let (parts, body) = request.into_parts();
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let Ok(body) = to_bytes(body, usize::MAX).await else {
            // The client is gone.
            return StatusCode::BAD_REQUEST.into_response();
        };
        let answer = self
            .http
            .request(parts.method, format!("{}{target}", self.upstream))
            .headers(end_to_end(&parts.headers))
            .body(body)
            .send()
            .await;
        let whole = async {
            let answer = answer?;
            let (status, headers) = (answer.status(), end_to_end(answer.headers()));
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        };
        let Ok((status, headers, body)) = whole.await else {
            return (StatusCode::BAD_GATEWAY, "the server does not answer").into_response();
        };
        lock(&self.seen)[at].status = Some(status.as_u16());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

async fn handle(
    State(state): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Breaker>,
    request: HttpRequest,
) -> Response {
    let read = Request::read(request.method(), request.uri(), request.headers());
    if let Some(Err((status, code))) = state.guard.as_ref().map(|guard| guard(request.headers())) {
        return refuse(status, code);
    }
    let (at, fault) = state.meet(&read);
    let Some(fault) = fault else {
        return state.forward(at, request).await;
    };
    if let Effect::Delay(time) = fault.effect {
        tokio::time::sleep(time).await;
        return state.forward(at, request).await;
    }
    let done = if fault.done {
        Some(state.forward(at, request).await)
    } else {
        None
    };
    match fault.effect {
        Effect::Refuse(status, code) => refuse(status, code),
        Effect::Silence => std::future::pending().await,
        Effect::Drip(time) => drip(done.unwrap_or_default(), time).await,
        Effect::Cut(bytes) => cut(done.unwrap_or_default(), bytes, line).await,
        Effect::Reset | Effect::Delay(_) => {
            line.reset();
            Response::default()
        }
    }
}

/// An answer as S3 refuses.
fn refuse(status: u16, code: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>So the test wants it.</Message></Error>"
    );
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// The same answer, which breaks off after so many bytes of its body.
async fn cut(answer: Response, bytes: usize, line: Breaker) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // A body without bytes to cut would arrive whole.
    let length = whole.len().max(bytes + 1);
    parts.headers.insert(header::CONTENT_LENGTH, length.into());
    let beginning = whole.slice(..bytes.min(whole.len()));
    let body = Body::from_stream(stream::unfold(Some(beginning), move |rest| {
        let line = line.clone();
        async move {
            if let Some(beginning) = rest {
                return Some((Ok::<Bytes, std::io::Error>(beginning), None));
            }
            tokio::time::sleep(LEAVING).await;
            line.reset();
            Some((Err(std::io::ErrorKind::ConnectionReset.into()), None))
        }
    }));
    Response::from_parts(parts, body)
}

/// The same answer, whose body comes in pieces, for so long.
async fn drip(answer: Response, time: Duration) -> Response {
    let (parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let size = whole.len().div_ceil(PIECES as usize).max(1);
    let body = Body::from_stream(stream::unfold(whole, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(time / PIECES).await;
        let piece = rest.split_to(size.min(rest.len()));
        Some((Ok::<Bytes, std::io::Error>(piece), rest))
    }));
    Response::from_parts(parts, body)
}

/// Header fields without those that concern one connection.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    const OF_ONE_CONNECTION: [HeaderName; 3] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        HeaderName::from_static("keep-alive"),
    ];
    let mut headers = headers.clone();
    for name in OF_ONE_CONNECTION {
        headers.remove(name);
    }
    headers
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
