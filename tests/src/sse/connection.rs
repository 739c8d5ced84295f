//! One client's connection: it writes the events that the client wants, until told otherwise.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::broadcast::Receiver;
use tokio::sync::mpsc::Sender;

use super::history::Position;
use super::server::State;

/// Something that happens to the connections that are open, after a number of events.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    /// The events published before.
    pub(crate) after: usize,
    pub(crate) kind: Kind,
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Close,
    /// The connection stays open and carries nothing any more.
    Silence,
    /// Bytes that are no event of the history.
    Raw(String),
}

/// Bytes on their way to the client, compressed so that each event can be read at once.
pub(crate) struct Wire {
    sender: Sender<Bytes>,
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl Wire {
    pub(crate) fn new(sender: Sender<Bytes>, gzip: bool) -> Self {
        let gzip = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        Self { sender, gzip }
    }

    /// Returns false once the client is gone.
    async fn write(&mut self, text: &str) -> bool {
        let bytes = match &mut self.gzip {
            None => Bytes::copy_from_slice(text.as_bytes()),
            Some(encoder) => {
                encoder
                    .write_all(text.as_bytes())
                    .and_then(|()| encoder.flush())
                    .expect("a vector takes all bytes");
                std::mem::take(encoder.get_mut()).into()
            }
        };
        self.sender.send(bytes).await.is_ok()
    }
}

/// Serves one client.
pub(crate) async fn serve(
    state: Arc<State>,
    mut position: Position,
    mut interrupts: Receiver<Interrupt>,
    mut wire: Wire,
) {
    let mut published = state.published();
    published.mark_changed();
    if !wire.write(":ok\n\n").await {
        return;
    }
    let mut next = 0;
    loop {
        let interrupt = tokio::select! {
            biased;
            interrupt = interrupts.recv() => match interrupt {
                Ok(interrupt) => Some(interrupt),
                Err(_) => return,
            },
            _ = published.changed() => None,
            () = wire.sender.closed() => return,
        };
        let end = interrupt.as_ref().map(|interrupt| interrupt.after);
        for event in state.events(next, end) {
            next += 1;
            if position.wants(&event) {
                position.advance(&event);
                let id = position.id();
                let text = format!("event: message\nid: {id}\ndata: {}\n\n", event.data);
                if !wire.write(&text).await {
                    return;
                }
            }
        }
        match interrupt.map(|interrupt| interrupt.kind) {
            None => {}
            Some(Kind::Close) => return,
            Some(Kind::Silence) => {
                wire.sender.closed().await;
                return;
            }
            // A client that is gone is noticed above.
            Some(Kind::Raw(text)) => {
                let _ = wire.write(&text).await;
            }
        }
    }
}
