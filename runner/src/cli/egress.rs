//! `penstock egress STREAM`: the events of a stream as they come, one JSON line each.

use clap::Args;
use futures::StreamExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::client::Client;
use super::{CliError, CliResult, output};

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
    pub(super) async fn run(self, client: &Client) -> CliResult {
        let base = match self.from {
            Some(base) => base,
            None => {
                let listen = client
                    .connector_setting("WebSocketSink", "ws.listen")
                    .await?;
                let listen = listen.ok_or_else(|| {
                    CliError(
                        "the worker has no WebSocketSink to look through; add one (see egress.properties of the demo)"
                            .to_owned(),
                    )
                })?;
                format!("ws://{listen}")
            }
        };
        let url = format!("{}/ws/{}", base.trim_end_matches('/'), self.stream);
        let mut request = url.as_str().into_client_request()?;
        if let Ok(token) = std::env::var("PENSTOCK_TOKEN") {
            request
                .headers_mut()
                .insert("authorization", format!("Bearer {token}").parse()?);
        }
        let (mut socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .map_err(|error| CliError(format!("cannot look at {url}: {error}")))?;
        let mut left = self.count.unwrap_or(usize::MAX);
        while left > 0 {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    output::line(text.as_str());
                    left -= 1;
                }
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(CliError(format!("{url}: {error}"))),
            }
        }
        Ok(())
    }
}
