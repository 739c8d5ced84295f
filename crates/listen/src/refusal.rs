//! A refusal that its sender gets to read, though the body of the request was not read to its end.
//!
//! Over HTTP/1 a server that answers early and closes leaves bytes in its socket, for which the kernel
//! resets the connection; a sender that is still writing then sees the reset in place of the answer. Over
//! HTTP/2 the stream is reset behind the answer, which is in order (RFC 9113, 8.1) and which clients such
//! as curl 7 take for a failure all the same. [`hear_out`] reads on and throws away, within bounds, before
//! the answer goes out (nginx calls this a lingering close).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

/// How long the rest of a body is read at most.
const LINGER: Duration = Duration::from_secs(5);

/// How long to wait for more of it.
const SILENCE: Duration = Duration::from_secs(1);

/// Middleware: before an answer is sent, what its handler left of the request's body is read and thrown away.
///
/// Not for a sender that waits for `100 Continue` before it sends its body.
pub async fn hear_out(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let waits = request.headers().contains_key(header::EXPECT);
    let (back, mut left) = oneshot::channel();
    let lent = |body| {
        Body::new(Lent {
            body,
            read: !waits,
            back: Some(back),
        })
    };
    let response = next.run(request.map(lent)).await;
    if let Ok(rest) = left.try_recv() {
        discard(rest).await;
    }
    response
}

async fn discard(mut body: Body) {
    let deadline = Instant::now() + LINGER;
    let rest = async { while let Ok(Some(Ok(_))) = timeout(SILENCE, frame(&mut body)).await {} };
    // Whoever sends on after that long is cut off.
    let _ = timeout_at(deadline, rest).await;
}

async fn frame(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// A body that comes back when its reader drops it before its end.
struct Lent {
    body: Body,
    /// Whether the sender is sending: it was asked to, or did not wait to be asked.
    read: bool,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.read = true;
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (true, Some(back)) = (self.read && !self.body.is_end_stream(), self.back.take()) {
            // Nobody waits for it when the request was given up.
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}
