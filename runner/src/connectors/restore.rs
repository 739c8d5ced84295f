//! The start of a worker: connectors of its files and of its store, and which of the two wins.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_contracts::Contract;

use super::{Connectors, Settled};
use crate::config::ConnectorSpec;
use crate::config_store::{Store, StoredConnector};
use crate::ends::Ends;
use crate::memory::Shares;
use crate::plugins::Kind;
use crate::status::State;

/// Says where a connector is not what its file makes of it, since whoever reads the file expects that.
fn tell_edit(name: &str, edit: &StoredConnector, written: &BTreeMap<String, String>) {
    const UNTIL: &str = "until its file changes or REST says otherwise";
    if edit.deleted {
        tracing::warn!("connector {name} was deleted over REST and stays so {UNTIL}");
        return;
    }
    if edit.config != *written {
        tracing::info!(
            "connector {name} has the settings that REST gave it, and not those of its file, {UNTIL}"
        );
    }
    if let Some(state @ ("PAUSED" | "STOPPED")) = edit.state.as_deref() {
        tracing::info!("connector {name} is {state} {UNTIL}");
    }
}

impl Connectors {
    /// Starts the connectors of the files and of the store. A file wins over what REST stored once
    /// its content has changed; until then the stored settings stay in force.
    pub(crate) async fn restore(
        &self,
        mut store: Store,
        files: Vec<ConnectorSpec>,
    ) -> Result<(), String> {
        self.restore_contracts(&store);
        let mut wanted = self.choose(&mut store, files)?;
        self.take_ends(&mut store, &mut wanted)?;
        let specs = || wanted.iter().map(|settled| &*settled.spec);
        let shares = Shares::of(&self.services.worker, &self.plugins, specs())
            .map_err(|error| format!("memory.budget: {error}"))?;
        self.services.set_connectors(specs(), shares);
        // All topics first: a sink's topics exist before it starts. Sources and their topics come
        // before the pipelines that read them.
        wanted.sort_by_key(|settled| match settled.spec.kind {
            Kind::Source => 0,
            Kind::Pipeline => 1,
            Kind::Sink => 2,
        });
        let mut made = Vec::with_capacity(wanted.len());
        for settled in wanted {
            let topics = self.make_topics(&settled.spec).await;
            if let Err(error) = &topics {
                let name = &settled.spec.common.name;
                tracing::warn!("{name}: its topics cannot be made yet: {error}");
            }
            made.push((settled, topics.is_err()));
        }
        *self.changes.lock().await = Some(store);
        for (settled, topics_missing) in made {
            let name = settled.spec.common.name.clone();
            self.install(settled, topics_missing)
                .map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    }

    fn restore_contracts(&self, store: &Store) {
        for (reference, document) in &store.contracts {
            let label = format!("stored contract {reference}");
            let contract = Contract::parse(&label, &document.to_string()).map_err(|problems| {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                problems.join("; ")
            });
            let put = contract.and_then(|contract| {
                let put = self.services.contracts.put(contract);
                put.map_err(|error| error.to_string())
            });
            if let Err(problem) = put {
                tracing::warn!("a stored contract is left out: {problem}");
            }
        }
    }

    /// Which connectors to run, and as what.
    fn choose(&self, store: &mut Store, files: Vec<ConnectorSpec>) -> Result<Vec<Settled>, String> {
        let mut wanted = Vec::new();
        let mut stored = store.connectors.clone();
        for spec in files {
            let written = spec.settings.written();
            match stored.remove(&spec.common.name) {
                Some(edit) if edit.file.as_ref() == Some(&written) => {
                    tell_edit(&spec.common.name, &edit, &written);
                    wanted.extend(self.settle_stored(&spec.common.name, &edit, Some(written)));
                }
                outdated => {
                    if outdated.is_some() {
                        // The file's old content coming back must not bring the old edit back.
                        let name = &spec.common.name;
                        tokio::task::block_in_place(|| store.put_connector(name, None))
                            .map_err(|error| format!("{name}: {error}"))?;
                    }
                    wanted.push(Settled {
                        state: spec.initial,
                        spec: Arc::new(spec),
                        file: Some(written),
                        ends: None,
                    });
                }
            }
        }
        for (name, edit) in stored {
            // One with a file belongs to a file that is not given this time.
            if edit.file.is_none() {
                wanted.extend(self.settle_stored(&name, &edit, None));
            }
        }
        Ok(wanted)
    }

    /// Sinks that read up to an end know it before they start, and know the same after every restart.
    fn take_ends(&self, store: &mut Store, wanted: &mut [Settled]) -> Result<(), String> {
        for settled in wanted.iter_mut().filter(|settled| settled.ends.is_none()) {
            let spec = settled.spec.clone();
            let taken = tokio::task::block_in_place(|| {
                settled.ends = Ends::take(&self.services, &spec)?.map(Arc::new);
                match settled.ends {
                    None => Ok(()),
                    Some(_) => store.put_connector(&spec.common.name, Some(settled.stored())),
                }
            });
            taken.map_err(|error| format!("{}: {error}", spec.common.name))?;
        }
        Ok(())
    }

    /// A stored connector; none if it was deleted, or can no longer be read: the others run all the
    /// same, and a new configuration or a deletion over REST mends it.
    fn settle_stored(
        &self,
        name: &str,
        edit: &StoredConnector,
        file: Option<BTreeMap<String, String>>,
    ) -> Option<Settled> {
        if edit.deleted {
            return None;
        }
        match self.parse(&format!("stored connector {name}"), edit.config.clone()) {
            Ok(spec) => Some(Settled {
                spec: Arc::new(spec),
                file,
                state: State::of_connector(edit.state.as_deref()),
                ends: edit.ends.clone(),
            }),
            Err(error) => {
                tracing::error!("stored connector {name} is left out: {error}");
                None
            }
        }
    }
}
