//! What a viewer gets: frames over WebSocket or server-sent events, and word of frames it lost.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{SinkExt, StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::hub::Viewer;
use crate::ring::News;

/// What stands around the number of frames in a notice.
const NOTICE: (&str, &str) = (r#"{"penstock":{"dropped":"#, "}}");

/// Tells a viewer how many frames it lost.
fn notice(dropped: u64) -> Utf8Bytes {
    format!("{}{dropped}{}", NOTICE.0, NOTICE.1).into()
}

/// How many frames were lost, if that is what this frame tells; `None` for an event.
pub fn frames_lost(frame: &str) -> Option<u64> {
    let number = frame.strip_prefix(NOTICE.0)?.strip_suffix(NOTICE.1)?;
    number.parse().ok()
}

/// What to send, in order.
fn lines(news: News) -> impl Iterator<Item = Utf8Bytes> {
    let notice = (news.dropped > 0).then(|| notice(news.dropped));
    notice.into_iter().chain(news.frames)
}

/// Serves one WebSocket until either side ends. A viewer that takes nothing for two pings, or
/// answers none, is gone.
pub(crate) async fn web_socket(socket: WebSocket, mut viewer: Viewer, ping: Duration) {
    let (mut outgoing, mut incoming) = socket.split();
    let patience = ping * 2;
    let mut pings = interval_at(Instant::now() + ping, ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let sent = tokio::select! {
            message = incoming.next() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                // Pongs, and whatever a viewer has to say: it is there.
                Some(Ok(_)) => {
                    heard = Instant::now();
                    continue;
                }
            },
            _ = pings.tick() => {
                if heard.elapsed() > patience {
                    return;
                }
                timeout(patience, outgoing.send(Message::Ping(Default::default()))).await
            }
            news = viewer.news() => match news {
                Some(news) => {
                    let mut messages = stream::iter(lines(news).map(|line| Ok(Message::Text(line))));
                    timeout(patience, outgoing.send_all(&mut messages)).await
                }
                None => {
                    let going_away = CloseFrame { code: close_code::AWAY, reason: Utf8Bytes::from_static("the sink stops") };
                    // Whether the viewer hears it does not matter.
                    let _ = timeout(patience, outgoing.send(Message::Close(Some(going_away)))).await;
                    return;
                }
            },
        };
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Serves the same as server-sent events.
pub(crate) fn event_stream(viewer: Viewer, ping: Duration) -> impl IntoResponse {
    let events = stream::unfold(viewer, |mut viewer| async move {
        let news = viewer.news().await?;
        Some((stream::iter(lines(news)), viewer))
    })
    .flatten()
    .map(|line| Ok::<_, Infallible>(Event::default().data(line.as_str())));
    Sse::new(events).keep_alive(KeepAlive::new().interval(ping))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_told_from_an_event() {
        assert_eq!(notice(42).as_str(), r#"{"penstock":{"dropped":42}}"#);
        assert_eq!(frames_lost(&notice(42)), Some(42));
        for event in [
            "null",
            r#"{"penstock":{"dropped":"42"}}"#,
            r#"{"penstock":{"dropped":42},"more":1}"#,
        ] {
            assert_eq!(frames_lost(event), None, "{event}");
        }
    }
}
