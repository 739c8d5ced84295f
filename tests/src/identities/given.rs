//! Keys and tokens that were given for a short time, and who comes with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::faults::Guard;

/// The keys and tokens that a service has given, each good for the same time.
#[derive(Debug, Clone)]
pub struct Given {
    lifetime: Duration,
    by_name: Arc<Mutex<HashMap<String, Entry>>>,
}

/// What became of an access key or token.
#[derive(Debug)]
struct Entry {
    until: Instant,
    used: bool,
}

impl Given {
    pub(super) fn lasting(lifetime: Duration) -> Self {
        Self {
            lifetime,
            by_name: Arc::default(),
        }
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Takes note of one that is given now, by its id; returns when it runs out.
    pub(super) fn note(&self, name: &str) -> Instant {
        let until = Instant::now() + self.lifetime;
        let entry = Entry { until, used: false };
        self.lock().insert(name.to_owned(), entry);
        until
    }

    /// Keeps out whoever comes with what has run out, as stores do, and takes note of what is used.
    #[must_use]
    pub fn guard(&self) -> Guard {
        let given = self.clone();
        Box::new(move |headers| given.admit(headers))
    }

    /// How many have been used.
    ///
    /// # Panics
    /// When a request has panicked.
    #[must_use]
    pub fn used(&self) -> usize {
        self.lock().values().filter(|entry| entry.used).count()
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), (u16, &'static str)> {
        let shown = headers.get("authorization").and_then(|it| it.to_str().ok());
        let shown = shown.unwrap_or_default();
        let name = match shown.split_once("Credential=") {
            Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
            None => shown.strip_prefix("Bearer ").unwrap_or_default(),
        };
        match self.lock().get_mut(name) {
            None => Err((401, "InvalidAccessKeyId")),
            Some(entry) if entry.until < Instant::now() => Err((400, "ExpiredToken")),
            Some(entry) => {
                entry.used = true;
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.by_name.lock().expect("no holder of this lock panics")
    }
}
