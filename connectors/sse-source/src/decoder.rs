//! Bytes to events, as the HTML standard says
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>).
//!
//! Parsers at hand end the stream at bytes that are not UTF-8, or replace them, and hold events of any
//! size. Here data stays bytes, so that a malformed event can be kept as it was sent while the stream
//! goes on, and an event beyond the limit is dropped piece by piece as it comes. Tests hold this
//! decoder to one of those parsers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// An event as it was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// `event:`; `message` without one.
    pub(crate) kind: String,
    /// The last `id:` so far, empty before the first.
    pub(crate) id: Arc<str>,
    /// That `id:` came with the event, or since the one before it.
    pub(crate) own_id: bool,
    /// The `data:` lines, joined with line feeds; `None` for an event beyond the limit.
    pub(crate) data: Option<Bytes>,
}

/// Decodes one connection's bytes.
pub(crate) struct Decoder {
    /// Bytes of one event that are held at most.
    limit: usize,
    state: State,
    /// The line at hand, as far as it came in earlier chunks.
    line: Vec<u8>,
    /// The line at hand is longer than the limit; its end is waited for.
    skipping: bool,
    data: Vec<u8>,
    has_data: bool,
    oversized: bool,
    kind: String,
    id: Arc<str>,
    /// An `id:` came since the last event.
    own_id: bool,
    retry: Option<Duration>,
    events: VecDeque<ServerEvent>,
}

#[derive(PartialEq)]
enum State {
    /// A byte order mark may stand here.
    Start,
    Line,
    /// A line feed here belongs to the carriage return before it.
    AfterReturn,
}

impl Decoder {
    /// A decoder for events up to `limit` bytes. `id` is the last one of the connection before.
    pub(crate) fn new(limit: usize, id: Arc<str>) -> Self {
        Self {
            limit,
            state: State::Start,
            line: Vec::new(),
            skipping: false,
            data: Vec::new(),
            has_data: false,
            oversized: false,
            kind: String::new(),
            id,
            own_id: false,
            retry: None,
            events: VecDeque::new(),
        }
    }

    /// The next event that is complete.
    pub(crate) fn next_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// The pause that the server asked for, the first time that this is asked after it.
    pub(crate) fn take_retry(&mut self) -> Option<Duration> {
        self.retry.take()
    }

    /// Takes bytes in; complete events are queued.
    pub(crate) fn feed(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            if self.state == State::AfterReturn {
                self.state = State::Line;
                chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', chunk) else {
                self.hold(chunk);
                return;
            };
            let (line, rest) = chunk.split_at(end);
            if rest.first() == Some(&b'\r') {
                self.end_line(line);
                self.state = State::AfterReturn;
            } else {
                self.end_line(line);
                self.state = State::Line;
            }
            chunk = rest.get(1..).unwrap_or_default();
        }
    }

    /// Keeps the beginning of a line until its end comes.
    fn hold(&mut self, part: &[u8]) {
        if self.skipping {
            return;
        }
        if self.is_too_long(part) {
            self.drop_line(part);
            self.skipping = true;
        } else {
            self.line.extend_from_slice(part);
        }
    }

    /// Whether the line would be with `part`.
    fn is_too_long(&self, part: &[u8]) -> bool {
        self.line.len() + part.len() > self.limit.saturating_add(LONGEST_NAME)
    }

    /// The line is too long: if it is not a comment, the event is too large.
    fn drop_line(&mut self, part: &[u8]) {
        if self.line.first().or(part.first()) != Some(&b':') {
            self.oversize();
        }
        self.line.clear();
    }

    fn oversize(&mut self) {
        self.oversized = true;
        self.has_data = true;
        self.data = Vec::new();
    }

    fn end_line(&mut self, end: &[u8]) {
        if self.skipping {
            self.skipping = false;
        } else if self.is_too_long(end) {
            self.drop_line(end);
        } else if self.line.is_empty() {
            self.take_line(end);
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(end);
            self.take_line(&line);
            line.clear();
            self.line = line;
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        let line = match self.state {
            State::Start => line.strip_prefix(BOM).unwrap_or(line),
            _ => line,
        };
        if line.is_empty() {
            self.dispatch();
            return;
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => self.add_data(value),
            b"event" => self.kind = String::from_utf8_lossy(value).into_owned(),
            b"id" if !value.contains(&0) => {
                self.id = String::from_utf8_lossy(value).into();
                self.own_id = true;
            }
            b"retry" => {
                let digits = std::str::from_utf8(value)
                    .ok()
                    .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                if let Some(milliseconds) = digits.and_then(|text| text.parse().ok()) {
                    self.retry = Some(Duration::from_millis(milliseconds));
                }
            }
            // Comments and fields that nobody knows.
            _ => {}
        }
    }

    fn add_data(&mut self, value: &[u8]) {
        if self.oversized {
            return;
        }
        if self.data.len() + value.len() > self.limit {
            self.oversize();
            return;
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
    }

    /// An empty line: the event is complete. One without data is none, but its id counts.
    fn dispatch(&mut self) {
        let kind = std::mem::take(&mut self.kind);
        if !self.has_data {
            return;
        }
        let data = std::mem::take(&mut self.data);
        let oversized = std::mem::take(&mut self.oversized);
        let own_id = std::mem::take(&mut self.own_id);
        self.has_data = false;
        self.events.push_back(ServerEvent {
            kind: if kind.is_empty() {
                "message".to_owned()
            } else {
                kind
            },
            id: Arc::clone(&self.id),
            own_id,
            data: (!oversized).then(|| data.into()),
        });
    }
}

/// What a line may have beside its value: a name, a colon and a blank.
const LONGEST_NAME: usize = 16;

#[cfg(test)]
mod tests;
