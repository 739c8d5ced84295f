//! `penstock egress STREAM`: the events of a stream as they come, one JSON line each.

use std::fmt::Display;

use clap::Args;
use futures::StreamExt;
use penstock_websocket_sink::frames_lost;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::client::Client;
use super::resources::segment;
use super::{CliError, CliResult, listeners, output};

/// Arguments of `egress`.
#[derive(Debug, Args)]
pub(super) struct Egress {
    /// The stream.
    stream: String,
    /// Address of a WebSocketSink (ws://host:port); found through the worker by default.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// End after this many events.
    #[arg(short = 'n', long)]
    count: Option<usize>,
}

impl Egress {
    pub(super) async fn run(self, client: &Client, worker: &str) -> CliResult {
        let base = match self.from {
            Some(base) => base,
            None => listeners::EGRESS.find(client, worker).await?,
        };
        let mut view = View::of(&base, &self.stream).await?;
        let mut left = self.count.unwrap_or(usize::MAX);
        while left > 0 {
            match view.next().await? {
                Seen::Event(text) => {
                    if output::try_line(&text).is_err() {
                        // Whoever read this has gone away.
                        return Ok(());
                    }
                    left -= 1;
                }
                Seen::Lost(frames) => {
                    output::note(&format!("{frames} events came too fast to be shown"));
                }
            }
        }
        Ok(())
    }
}

/// What a viewer sees next.
pub(super) enum Seen {
    /// An event, as JSON.
    Event(Utf8Bytes),
    /// So many events were lost, since this viewer was too slow.
    Lost(u64),
}

/// A look at a stream through a WebSocketSink.
pub(super) struct View {
    url: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl View {
    /// A look at a stream, from its next event on. `base` is the egress' address (`ws://host:port`).
    pub(super) async fn of(base: &str, stream: &str) -> Result<Self, CliError> {
        let url = format!("{}/ws/{}", base.trim_end_matches('/'), segment(stream));
        let failed = |why: &dyn Display| CliError(format!("cannot look at {url}: {why}"));
        let mut request = url
            .as_str()
            .into_client_request()
            .map_err(|error| failed(&error))?;
        if let Ok(token) = std::env::var("PENSTOCK_TOKEN") {
            let bearer = format!("Bearer {token}").parse();
            let bearer = bearer.map_err(|_| failed(&"PENSTOCK_TOKEN is no token"))?;
            request.headers_mut().insert("authorization", bearer);
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => Ok(Self { url, socket }),
            // The egress says why in words.
            Err(WsError::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.into_body().unwrap_or_default();
                let text = String::from_utf8_lossy(&body);
                Err(failed(&format!("{} (HTTP {status})", text.trim_end())))
            }
            Err(WsError::Io(error)) => Err(failed(&error)),
            Err(error) => Err(failed(&error)),
        }
    }

    /// What comes next. An error once the egress has ended.
    pub(super) async fn next(&mut self) -> Result<Seen, CliError> {
        loop {
            let why = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(match frames_lost(&text) {
                        Some(frames) => Seen::Lost(frames),
                        None => Seen::Event(text),
                    });
                }
                Some(Ok(Message::Close(Some(close)))) => close.reason.to_string(),
                Some(Ok(Message::Close(None))) | None => "the connection was closed".to_owned(),
                Some(Ok(_)) => continue,
                Some(Err(error)) => error.to_string(),
            };
            return Err(CliError(format!("{}: {why}", self.url)));
        }
    }
}
