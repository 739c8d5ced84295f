//! What goes wrong, and with which requests.

use std::time::Duration;

use super::operation::{Operation, Request};

/// One fault of a plan. It strikes the first request that it fits, unless told otherwise.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(super) effect: Effect,
    /// Whether the server has done what was asked when the fault strikes.
    pub(super) done: bool,
    operation: Option<Operation>,
    object: Option<String>,
    skipped: usize,
    times: Option<usize>,
    met: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    Refuse(u16, &'static str),
    Reset,
    Silence,
    Delay(Duration),
    Cut(usize),
    Drip(Duration),
}

impl Fault {
    /// The request is answered with this status, as a store does that is busy or ill, and is not done.
    #[must_use]
    pub fn answer(status: u16) -> Self {
        let code = match status {
            429 | 503 => "SlowDown",
            _ => "InternalError",
        };
        Self::refuse(status, code)
    }

    /// The request is answered with this status and one of S3's codes, and is not done.
    #[must_use]
    pub fn refuse(status: u16, code: &'static str) -> Self {
        Self::new(Effect::Refuse(status, code), false)
    }

    /// The connection is reset; the request is not done.
    #[must_use]
    pub fn reset() -> Self {
        Self::new(Effect::Reset, false)
    }

    /// No answer comes as long as the client waits; the request is not done.
    #[must_use]
    pub fn silence() -> Self {
        Self::new(Effect::Silence, false)
    }

    /// The request is done after a time.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self::new(Effect::Delay(time), false)
    }

    /// The request is done, and the connection breaks after so many bytes of the answer's body.
    #[must_use]
    pub fn cut(bytes: usize) -> Self {
        Self::new(Effect::Cut(bytes), true)
    }

    /// The request is done, and the answer's body comes in pieces, for so long.
    #[must_use]
    pub fn drip(time: Duration) -> Self {
        Self::new(Effect::Drip(time), true)
    }

    fn new(effect: Effect, done: bool) -> Self {
        Self {
            effect,
            done,
            operation: None,
            object: None,
            skipped: 0,
            times: Some(1),
            met: 0,
        }
    }

    /// Only requests that do this.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only requests for objects whose name contains this.
    #[must_use]
    pub fn naming(mut self, part: &str) -> Self {
        self.object = Some(part.into());
        self
    }

    /// Not the first `count` requests that it fits.
    #[must_use]
    pub fn after(mut self, count: usize) -> Self {
        self.skipped = count;
        self
    }

    /// So many requests in a row instead of one.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }

    /// Every request from then on, until [`heal`](super::FaultProxy::heal).
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// The server does what was asked before the client meets the fault: only the answer is lost.
    #[must_use]
    pub fn once_done(mut self) -> Self {
        self.done = true;
        self
    }

    /// Whether it strikes this request, which counts from now on.
    pub(super) fn strikes(&mut self, request: &Request) -> bool {
        let fits = self
            .operation
            .is_none_or(|wanted| wanted == request.operation)
            && self.object.as_ref().is_none_or(|part| {
                request
                    .object
                    .as_ref()
                    .is_some_and(|name| name.contains(part))
            });
        if !fits || self.is_over() {
            return false;
        }
        self.met += 1;
        self.met > self.skipped
    }

    /// Whether it has struck as often as it was to.
    pub(super) fn is_over(&self) -> bool {
        self.times
            .is_some_and(|times| self.met >= self.skipped + times)
    }

    /// Whether it has struck at all.
    pub(super) fn has_struck(&self) -> bool {
        self.met > self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_the_requests_that_it_counts_down_to() {
        let part = |object: &str| Request {
            operation: Operation::Part,
            object: Some(object.into()),
        };
        let mut fault = Fault::reset()
            .on(Operation::Part)
            .naming("b/")
            .after(1)
            .times(2);
        let met: Vec<bool> = ["b/1", "a/1", "b/2", "b/3", "b/4"]
            .map(|object| fault.strikes(&part(object)))
            .into();
        assert_eq!(met, [false, false, true, true, false]);
        assert!(fault.is_over());

        let mut outage = Fault::answer(503).always();
        assert!((0..100).all(|_| outage.strikes(&part("a"))));
        assert!(!outage.is_over() && outage.has_struck());
        let mut other = Fault::answer(503).on(Operation::Complete);
        assert!(!other.strikes(&part("a")) && !other.has_struck());
    }
}
