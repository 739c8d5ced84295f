//! Somebody who looks at a stream through the WebSocket egress.

use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const LIMIT: Duration = Duration::from_secs(60);

/// One connection to `/ws/<stream>`.
#[derive(Debug)]
pub struct Viewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Viewer {
    pub(crate) async fn connect(url: &str) -> Self {
        let (socket, _) = connect_async(url)
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
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
