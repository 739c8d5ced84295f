//! `object_store`'s requests, sent as [`send`](crate::send) does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::{Body, Client, NoProxy, Proxy, Request};

use crate::{client, send};

/// Makes clients for a store, from the proxy, its exceptions and `allow_http` of its options. The timeout of these holds
/// for what is asked of the machine itself (its role, its account).
#[derive(Debug)]
pub struct Connector {
    silence: Duration,
    connect: Duration,
    plain_http: bool,
}

impl Connector {
    /// Requests fail when nothing of them has moved for `silence`; a connection may take `connect`,
    /// which the options say as well.
    pub fn new(silence: Duration, connect: Duration) -> Self {
        Self {
            silence,
            connect,
            plain_http: false,
        }
    }

    /// Clients may speak plain HTTP where the options do not allow it, too: `object_store` refuses it for
    /// the security token service, and one's own may stand behind such an address, as the store may.
    #[must_use]
    pub fn with_plain_http(self, plain_http: bool) -> Self {
        Self { plain_http, ..self }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let value = |key: ClientConfigKey| options.get_config_value(&key);
        // The services of the machine itself are given less time for a connection: where there are
        // none, nothing answers.
        let ours = ClientOptions::new().with_connect_timeout(self.connect);
        let timeout = ClientConfigKey::ConnectTimeout;
        if value(timeout) != ours.get_config_value(&timeout) {
            return ReqwestConnector::default().connect(options);
        }
        let allowed = value(ClientConfigKey::AllowHttp).is_some_and(|allowed| allowed == "true");
        let plain = allowed || self.plain_http;
        let mut client = client(self.connect).http1_only().https_only(!plain);
        if let Some(url) = value(ClientConfigKey::ProxyUrl) {
            let excludes = value(ClientConfigKey::ProxyExcludes);
            let excludes = excludes.and_then(|hosts| NoProxy::from_string(&hosts));
            let proxy = Proxy::all(url).map_err(unusable)?.no_proxy(excludes);
            client = client.proxy(proxy);
        }
        Ok(HttpClient::new(Service {
            client: client.build().map_err(unusable)?,
            silence: self.silence,
        }))
    }
}

/// Without the proxy's URL: a password may stand in it.
fn unusable(error: reqwest::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "HTTP",
        source: Box::new(error.without_url()),
    }
}

#[derive(Debug)]
struct Service {
    client: Client,
    silence: Duration,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let url = head.uri.to_string().parse();
        let url = url.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let mut request = Request::new(head.method, url);
        *request.headers_mut() = head.headers;
        if body.content_length() > 0 {
            *request.body_mut() = Some(Body::wrap(body));
        }
        let response = send(&self.client, request, self.silence).await?;
        let (head, body) = http::Response::from(response).into_parts();
        let body = Interrupted(body);
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}

/// The body of an answer. What is missing of one that breaks off can be asked for again.
struct Interrupted(Body);

impl HttpBody for Interrupted {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let interrupted =
            |error: reqwest::Error| HttpError::new(HttpErrorKind::Interrupted, error.without_url());
        Pin::new(&mut self.0)
            .poll_frame(context)
            .map(|frame| frame.map(|frame| frame.map_err(interrupted)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
