//! Somebody who looks at a stream through the WebSocket egress.

use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::eventually;

const LIMIT: Duration = Duration::from_secs(60);

/// One connection to `/ws/<stream>`.
#[derive(Debug)]
pub struct Viewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Viewer {
    pub(crate) async fn connect(url: &str) -> Self {
        // The worker is healthy before its connectors listen.
        let socket = eventually(url, async || Some(connect_async(url).await.ok()?.0)).await;
        Self { socket }
    }

    /// The next event.
    ///
    /// # Panics
    /// When none comes within a minute, or what comes is not JSON.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = timeout(LIMIT, self.socket.next())
                .await
                .expect("a frame arrives")
                .expect("the connection stays open")
                .expect("the frame is whole");
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).expect("a frame is JSON");
            }
        }
    }
}
