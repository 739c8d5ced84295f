//! What operators change over REST: connectors are made, given other settings, paused, restarted and
//! deleted, one change at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ConnectorError, ConnectorView, Connectors, Restart, Settled, keep};
use crate::config::{ConnectorSpec, HIDDEN, Until};
use crate::config_store::StoredConnector;
use crate::status::State;

/// Runs a change to its end, also when whoever asked for it hangs up.
pub(super) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, ConnectorError>> + Send + 'static,
) -> Result<T, ConnectorError> {
    match tokio::spawn(change).await {
        Ok(result) => result,
        Err(_) => Err(ConnectorError::Failed(
            "the change failed half-way; see the worker's log".to_owned(),
        )),
    }
}

impl Connectors {
    /// Creates a connector, or with `replace` gives an existing one new settings. Says whether it is
    /// new.
    pub(crate) async fn put(
        self: &Arc<Self>,
        name: &str,
        config: BTreeMap<String, String>,
        replace: bool,
        initial: State,
    ) -> Result<(ConnectorView, bool), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.put_now(&name, config, replace, initial).await }).await
    }

    async fn put_now(
        &self,
        name: &str,
        mut config: BTreeMap<String, String>,
        replace: bool,
        initial: State,
    ) -> Result<(ConnectorView, bool), ConnectorError> {
        let mut store = self.changes.lock().await;
        let old = self.settled(name);
        if !replace && old.is_some() {
            return Err(ConnectorError::Conflict(format!(
                "Connector {name} already exists"
            )));
        }
        config.insert("name".to_owned(), name.to_owned());
        if let Some(old) = &old {
            // What was shown as hidden and comes back so has not been changed.
            let mut before = old.spec.settings.written();
            for (key, value) in &mut config {
                if let (HIDDEN, Some(before)) = (value.as_str(), before.remove(key)) {
                    *value = before;
                }
            }
        }
        let spec = Arc::new(self.parse("request", config)?);
        self.check_memory(&spec)?;
        self.make_topics(&spec).await?;
        let created = old.is_none();
        let settled = match old {
            Some(old) => {
                let was_completed = old.state == State::Completed;
                let ends = match &old.ends {
                    Some(ends) if !was_completed && same_topics(&old.spec, &spec) => {
                        Some(ends.clone()).filter(|_| spec.common.read_until == Until::End)
                    }
                    _ => self.ends(&spec).await?,
                };
                Settled {
                    spec,
                    file: old.file,
                    state: if was_completed {
                        State::Running
                    } else {
                        old.state
                    },
                    ends,
                }
            }
            None => Settled {
                ends: self.ends(&spec).await?,
                spec,
                // A deleted connector of a file: the file is still given.
                file: store
                    .as_ref()
                    .and_then(|store| store.connectors.get(name)?.file.clone()),
                state: initial,
            },
        };
        keep(&mut store, &settled)?;
        self.stop_connector(name).await;
        self.install(settled, false)?;
        Ok((self.get(name)?, created))
    }

    async fn stop_connector(&self, name: &str) {
        let tasks = self.running.tasks(name, |_, _| true);
        self.stop(tasks.into_iter().map(|(_, task)| task)).await;
    }

    /// Deletes a connector; its topics and positions stay.
    pub(crate) async fn delete(self: &Arc<Self>, name: &str) -> Result<(), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.delete_now(&name).await }).await
    }

    async fn delete_now(&self, name: &str) -> Result<(), ConnectorError> {
        let mut store = self.changes.lock().await;
        let stored = store
            .as_ref()
            .and_then(|store| store.connectors.get(name))
            .filter(|stored| !stored.deleted);
        let file = match (self.settled(name), stored) {
            (Some(settled), _) => settled.file,
            // One that could not be read at the start.
            (None, Some(stored)) => stored.file.clone(),
            (None, None) => return Err(ConnectorError::no_connector(name)),
        };
        let tombstone = file.map(|file| StoredConnector {
            config: BTreeMap::new(),
            file: Some(file),
            state: None,
            ends: None,
            deleted: true,
        });
        if let Some(store) = &mut *store {
            tokio::task::block_in_place(|| store.put_connector(name, tombstone))?;
        }
        self.stop_connector(name).await;
        self.uninstall(name);
        Ok(())
    }

    /// Pauses, resumes or stops a connector.
    pub(crate) async fn set_state(
        self: &Arc<Self>,
        name: &str,
        state: State,
    ) -> Result<(), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.set_state_now(&name, state).await }).await
    }

    async fn set_state_now(&self, name: &str, state: State) -> Result<(), ConnectorError> {
        let mut store = self.changes.lock().await;
        let settled = self
            .settled(name)
            .ok_or_else(|| ConnectorError::no_connector(name))?;
        if settled.state == state {
            return Ok(());
        }
        let ends = match (settled.state, state) {
            // What has come since then.
            (State::Completed, State::Running) => self.ends(&settled.spec).await?,
            _ => settled.ends.clone(),
        };
        let settled = Settled {
            state,
            ends,
            ..settled
        };
        keep(&mut store, &settled)?;
        self.stop_connector(name).await;
        Ok(self.install(settled, true)?)
    }

    /// Starts tasks of a connector anew, if it runs at all.
    pub(crate) async fn restart(
        self: &Arc<Self>,
        name: &str,
        which: Restart,
    ) -> Result<(), ConnectorError> {
        let (this, name) = (self.clone(), name.to_owned());
        to_the_end(async move { this.restart_now(&name, which).await }).await
    }

    async fn restart_now(&self, name: &str, which: Restart) -> Result<(), ConnectorError> {
        let _one_at_a_time = self.changes.lock().await;
        let settled = self
            .settled(name)
            .ok_or_else(|| ConnectorError::no_connector(name))?;
        let exists = |number| number < settled.spec.tasks;
        if let Restart::One(number) = which
            && !exists(number)
        {
            return Err(ConnectorError::NotFound(format!("Task {name}-{number}")));
        }
        let tasks = self.running.tasks(name, |number, task| match which {
            Restart::All => true,
            Restart::Failed => task.status.get().0 == State::Failed,
            Restart::One(one) => number == one,
        });
        let numbers: Vec<usize> = tasks.iter().map(|(number, _)| *number).collect();
        self.stop(tasks.into_iter().map(|(_, task)| task)).await;
        Ok(self.replace(name, &numbers)?)
    }
}

/// Whether two configurations of a connector read the same topics.
fn same_topics(one: &ConnectorSpec, other: &ConnectorSpec) -> bool {
    let pattern = |spec: &ConnectorSpec| {
        let pattern = spec.common.topics_regex.as_ref();
        pattern.map(|pattern| pattern.as_str().to_owned())
    };
    one.common.topics == other.common.topics && pattern(one) == pattern(other)
}
