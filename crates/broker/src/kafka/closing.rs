//! Clients that close behind the backs of those who used them.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The threads on which clients close. Dropping this waits for them: librdkafka must not be at work any
/// more when the process ends.
#[derive(Debug, Default)]
pub(super) struct Closing(Mutex<Vec<JoinHandle<()>>>);

impl Closing {
    fn close<T: Send + 'static>(&self, client: T) {
        let closing = std::thread::Builder::new()
            .name("kafka-close".to_owned())
            .spawn(move || drop(client));
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        // Where no thread can be started, the client has been dropped here.
        threads.extend(closing);
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let threads = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// A client that has nothing under way when it is dropped. Closing it would take 100 ms, after which
/// its wrapper looks again whether it is closed.
pub(super) struct Idle<T: Send + 'static> {
    client: Option<T>,
    closing: Arc<Closing>,
}

impl<T: Send + 'static> Idle<T> {
    pub(super) fn new(client: T, closing: Arc<Closing>) -> Self {
        Self {
            client: Some(client),
            closing,
        }
    }
}

impl<T: Send + 'static> Deref for Idle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.client {
            Some(client) => client,
            None => unreachable!("it is taken when this is dropped"),
        }
    }
}

impl<T: Send + 'static> Drop for Idle<T> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            self.closing.close(client);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    /// Closes when it is allowed to.
    struct Slow(Receiver<()>, Arc<AtomicBool>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.recv().unwrap();
            self.1.store(true, Ordering::Release);
        }
    }

    #[test]
    fn a_client_closes_behind_whoever_drops_it_but_before_the_last_user_is_gone() {
        let closing = Arc::new(Closing::default());
        let closed = Arc::new(AtomicBool::new(false));
        let (allow, allowed) = sync_channel(1);
        drop(Idle::new(Slow(allowed, closed.clone()), closing.clone()));
        assert!(!closed.load(Ordering::Acquire));
        allow.send(()).unwrap();
        drop(closing);
        assert!(closed.load(Ordering::Acquire));
    }
}
