//! The topics that a connector has read or written.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Topics by name. Shared by the tasks of a connector.
#[derive(Debug, Default)]
pub(crate) struct UsedTopics(Mutex<BTreeSet<Arc<str>>>);

impl UsedTopics {
    /// Notes the topics of a batch: the lock is taken once, or not at all.
    pub(crate) fn note<'t>(&self, topics: impl Iterator<Item = &'t Arc<str>>) {
        let mut last: Option<&Arc<str>> = None;
        let mut used = None;
        for topic in topics {
            if last.is_some_and(|last| Arc::ptr_eq(last, topic)) {
                continue;
            }
            last = Some(topic);
            let used =
                used.get_or_insert_with(|| self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if !used.contains(topic) {
                used.insert(topic.clone());
            }
        }
    }

    /// All that were used since the last reset.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().cloned().collect()
    }

    /// Forgets them.
    pub(crate) fn reset(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
