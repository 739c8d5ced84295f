//! Waiting for what happens in another process.

use std::time::{Duration, Instant};

/// Far above what anything here takes on an idle machine: it bounds a hang, it asserts nothing.
const LIMIT: Duration = Duration::from_secs(60);

/// Asks `probe` until it returns something.
///
/// # Panics
/// When it has returned nothing for a minute.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
