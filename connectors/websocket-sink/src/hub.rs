//! Where the sink and its viewers meet: topics, who watches them, and what they have not seen yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::extract::ws::Utf8Bytes;
use penstock_connect::TaskContext;
use penstock_connect::prometheus::{IntCounter, IntGauge};
use tokio::sync::watch;

use crate::ring::{News, Ring};

/// Frames that a viewer takes at once.
const FRAMES: usize = 256;

/// All topics of the sink. Dropped or closed, its viewers end.
pub(crate) struct Hub {
    topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    buffer: usize,
    max_viewers: usize,
    viewers: AtomicUsize,
    closing: watch::Sender<bool>,
    metrics: Metrics,
}

struct Metrics {
    viewers: IntGauge,
    sent: IntCounter,
    dropped: IntCounter,
}

/// One topic.
pub(crate) struct Topic {
    ring: Mutex<Ring>,
    /// Number of the next frame: wakes viewers.
    next: watch::Sender<u64>,
    viewers: AtomicUsize,
}

impl Topic {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether making a frame is worth the work.
    pub(crate) fn is_watched(&self) -> bool {
        self.viewers.load(Ordering::Acquire) > 0
    }

    /// Shows a frame to all viewers.
    pub(crate) fn publish(&self, frame: Utf8Bytes) {
        let mut ring = self.ring();
        ring.push(frame);
        self.next.send_replace(ring.next());
    }
}

/// Why somebody cannot watch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoView {
    UnknownTopic,
    Full,
}

impl Hub {
    pub(crate) fn new(buffer: usize, max_viewers: usize, context: &TaskContext) -> Self {
        let metrics = &context.metrics;
        let label = [&*context.connector];
        let counter = |name, help| {
            metrics
                .counter(name, help, &["connector"])
                .with_label_values(&label)
        };
        Self {
            topics: RwLock::default(),
            buffer,
            max_viewers,
            viewers: AtomicUsize::new(0),
            closing: watch::Sender::new(false),
            metrics: Metrics {
                viewers: metrics
                    .gauge(
                        "penstock_websocket_sink_viewers",
                        "Viewers that are connected",
                        &["connector"],
                    )
                    .with_label_values(&label),
                sent: counter(
                    "penstock_websocket_sink_frames_sent_total",
                    "Frames that were sent, to all viewers together",
                ),
                dropped: counter(
                    "penstock_websocket_sink_frames_dropped_total",
                    "Frames that viewers lost because they read too slowly",
                ),
            },
        }
    }

    /// Makes a topic known.
    pub(crate) fn add(&self, name: &Arc<str>) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.entry(Arc::clone(name)).or_insert_with(|| {
            Arc::new(Topic {
                ring: Mutex::new(Ring::new(self.buffer)),
                next: watch::Sender::new(0),
                viewers: AtomicUsize::new(0),
            })
        });
    }

    /// A topic that was made known.
    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).cloned()
    }

    /// Names of all topics, sorted.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = topics.keys().cloned().collect();
        names.sort();
        names
    }

    /// Begins to watch a topic, from its next frame on.
    pub(crate) fn watch(self: &Arc<Self>, name: &str) -> Result<Viewer, NoView> {
        let topic = self.topic(name).ok_or(NoView::UnknownTopic)?;
        let admitted = self
            .viewers
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |viewers| {
                (viewers < self.max_viewers).then_some(viewers + 1)
            });
        admitted.map_err(|_| NoView::Full)?;
        self.metrics.viewers.inc();
        let ring = topic.ring();
        topic.viewers.fetch_add(1, Ordering::AcqRel);
        let (at, next) = (ring.next(), topic.next.subscribe());
        drop(ring);
        Ok(Viewer {
            hub: Arc::clone(self),
            topic,
            at,
            next,
            closing: self.closing.subscribe(),
        })
    }

    /// Ends all viewers.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}

/// Somebody who watches a topic, until dropped.
pub(crate) struct Viewer {
    hub: Arc<Hub>,
    topic: Arc<Topic>,
    /// Number of the next frame to be seen.
    at: u64,
    next: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
}

impl Viewer {
    /// Waits for frames; `None` when the sink ends. Cancel-safe.
    pub(crate) async fn news(&mut self) -> Option<News> {
        loop {
            let seen = *self.next.borrow_and_update();
            if seen > self.at {
                let news = self.topic.ring().read(&mut self.at, FRAMES);
                self.hub.metrics.dropped.inc_by(news.dropped);
                self.hub.metrics.sent.inc_by(news.frames.len() as u64);
                return Some(news);
            }
            tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return None,
                changed = self.next.changed() => changed.ok()?,
            }
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut ring = self.topic.ring();
        if self.topic.viewers.fetch_sub(1, Ordering::AcqRel) == 1 {
            ring.clear();
        }
        drop(ring);
        self.hub.viewers.fetch_sub(1, Ordering::AcqRel);
        self.hub.metrics.viewers.dec();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_connect::Metrics;

    pub(crate) fn context() -> TaskContext {
        TaskContext {
            connector: "egress".into(),
            task: 0,
            tasks: 1,
            metrics: Metrics::new(),
            budget: penstock_connect::Budget::unlimited(),
        }
    }

    fn hub(max_viewers: usize) -> Arc<Hub> {
        let hub = Hub::new(4, max_viewers, &context());
        hub.add(&"demo".into());
        Arc::new(hub)
    }

    #[tokio::test]
    async fn a_viewer_sees_what_comes_after_it() {
        let hub = hub(9);
        let topic = hub.topic("demo").unwrap();
        topic.publish("0".into());
        let mut viewer = hub.watch("demo").unwrap();
        topic.publish("1".into());
        assert_eq!(viewer.news().await.unwrap().frames, ["1"]);
    }

    #[tokio::test]
    async fn a_slow_viewer_loses_frames_and_a_quick_one_none() {
        let hub = hub(9);
        let topic = hub.topic("demo").unwrap();
        let (mut slow, mut quick) = (hub.watch("demo").unwrap(), hub.watch("demo").unwrap());
        for frame in ["11", "22", "33"] {
            topic.publish(frame.into());
            assert_eq!(quick.news().await.unwrap().frames, [frame]);
        }
        let news = slow.news().await.unwrap();
        assert_eq!((news.dropped, news.frames.len()), (1, 2));
        assert_eq!(hub.metrics.dropped.get(), 1);
    }

    #[tokio::test]
    async fn a_topic_is_watched_while_somebody_watches() {
        let hub = hub(9);
        let topic = hub.topic("demo").unwrap();
        assert!(!topic.is_watched());
        let viewer = hub.watch("demo").unwrap();
        assert!(topic.is_watched());
        assert_eq!(hub.metrics.viewers.get(), 1);
        drop(viewer);
        assert!(!topic.is_watched());
        assert_eq!(hub.metrics.viewers.get(), 0);
    }

    #[tokio::test]
    async fn viewers_are_bounded_and_topics_have_to_be_known() {
        let hub = hub(1);
        assert_eq!(hub.watch("other").err(), Some(NoView::UnknownTopic));
        let viewer = hub.watch("demo").unwrap();
        assert_eq!(hub.watch("demo").err(), Some(NoView::Full));
        drop(viewer);
        assert!(hub.watch("demo").is_ok());
    }

    #[tokio::test]
    async fn closing_ends_viewers() {
        let hub = hub(9);
        let mut viewer = hub.watch("demo").unwrap();
        hub.close();
        assert_eq!(viewer.news().await, None);
    }
}
