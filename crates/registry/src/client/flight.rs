//! Single flight: those who want the same answer at the same time share one request.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::error::RegistryError;

type Flight<T> = Shared<BoxFuture<'static, Result<T, RegistryError>>>;

/// Requests under way, by key.
pub(super) struct Flights<K, T: Clone> {
    under_way: Mutex<HashMap<K, Flight<T>>>,
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self {
            under_way: Mutex::new(HashMap::new()),
        }
    }

    /// Joins the request for `key`, or begins it with `start`. The request is a task of its own: a
    /// caller that goes away does not take it along.
    pub(super) async fn join(
        &self,
        key: K,
        start: impl FnOnce() -> BoxFuture<'static, Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let flight = {
            let mut under_way = self.lock();
            // One that has ended and was not yet taken out would answer with old news.
            let joined = under_way
                .get(&key)
                .filter(|flight| flight.peek().is_none())
                .cloned();
            joined.unwrap_or_else(|| {
                let task = tokio::spawn(start());
                let flight = async move { task.await.unwrap_or_else(|e| Err(interrupted(&e))) }
                    .boxed()
                    .shared();
                under_way.insert(key.clone(), flight.clone());
                flight
            })
        };
        let answer = flight.clone().await;
        let mut under_way = self.lock();
        if under_way
            .get(&key)
            .is_some_and(|current| current.ptr_eq(&flight))
        {
            under_way.remove(&key);
        }
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Flight<T>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task panicked, or the runtime is shutting down.
fn interrupted(error: &tokio::task::JoinError) -> RegistryError {
    RegistryError::Unavailable {
        request: "a shared registry request".into(),
        cause: error.to_string(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn concurrent_callers_share_one_request_and_later_ones_ask_again() {
        let flights = Flights::<u32, u32>::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let call = || {
            let asked = Arc::clone(&asked);
            flights.join(7, move || {
                async move {
                    tokio::task::yield_now().await;
                    asked.fetch_add(1, Ordering::SeqCst);
                    Ok(42)
                }
                .boxed()
            })
        };
        let (a, b, c) = tokio::join!(call(), call(), call());
        assert_eq!((a.unwrap(), b.unwrap(), c.unwrap()), (42, 42, 42));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        call().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_caller_that_leaves_does_not_take_the_request_with_it() {
        let flights = Flights::<u32, u32>::new();
        let (send, receive) = tokio::sync::oneshot::channel();
        let mut first =
            Box::pin(flights.join(1, move || async move { Ok(receive.await.unwrap()) }.boxed()));
        assert!(futures::poll!(first.as_mut()).is_pending());
        let second = flights.join(1, || unreachable!("the first request is still under way"));
        drop(first);
        send.send(5).unwrap();
        assert_eq!(second.await.unwrap(), 5);
    }
}
