//! The worker: starts broker, registry, contracts and connectors from what the files say, and stops
//! them again.

use std::sync::Arc;
use std::time::Duration;

use penstock_broker::{Broker, Retry, embedded, kafka};
use penstock_contracts::Contracts;
use penstock_registry::{RegistryClient, RegistryConfig, RegistryError};

use crate::config::{ConnectorSpec, Loaded, WorkerConfig};
use crate::connectors::Connectors;
use crate::memory::Shares;
use crate::plugins::Plugins;
use crate::services::Services;
use crate::startup::patiently;
use crate::{config_store, memory, offsets, panics, rest};

/// Longest wait for an answer of the broker before it is asked again.
const REACHABLE: Duration = Duration::from_secs(10);

/// Why a worker could not start: one line for each thing that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct StartError(pub Vec<String>);

impl StartError {
    pub(crate) fn one(what: &str, error: impl std::fmt::Display) -> Self {
        Self(vec![format!("{what}: {error}")])
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    services: Arc<Services>,
    connectors: Arc<Connectors>,
    server: rest::Server,
}

impl Worker {
    /// Starts everything, and waits for servers that are away: meanwhile `/health` says for which.
    /// Connectors run when this returns; those that cannot start say so in their status.
    pub(crate) async fn start(loaded: Loaded, plugins: Plugins) -> Result<Self, StartError> {
        panics::withhold_texts();
        let Loaded {
            worker,
            converters,
            client,
            connectors: given,
            ..
        } = loaded;
        // The listener first: a second worker on the same address stops before it touches anything.
        let listener = rest::bind(worker.listeners.0)
            .await
            .map_err(|e| StartError::one("listeners", e))?;
        // Those that came over REST join them once the store is read.
        let shares = Shares::of(&worker, &plugins, given.iter())
            .map_err(|e| StartError::one("memory.budget", e))?;
        let broker = open_broker(&worker, client).await?;
        let (registry, registry_address) = open_registry(&worker).await?;
        let contracts = load_contracts(&worker)?;
        let services = Services::new(
            worker,
            converters,
            broker,
            registry,
            registry_address,
            contracts,
            shares,
        )
        .map_err(|e| StartError::one("data.dir", e))?;
        let services = Arc::new(services);
        let plugins = Arc::new(plugins);
        let connectors = Connectors::new(services.clone(), plugins.clone());
        let server = rest::serve(listener, connectors.clone(), services.clone(), plugins);
        let worker = Self {
            services,
            connectors,
            server,
        };
        match worker.bring_up(given).await {
            Ok(()) => Ok(worker),
            Err(error) => {
                worker.stop().await;
                Err(error)
            }
        }
    }

    /// All that needs servers, which may be away for now.
    async fn bring_up(&self, files: Vec<ConnectorSpec>) -> Result<(), StartError> {
        let services = &self.services;
        let passes = |error: &penstock_broker::Error| error.retry != Retry::Never;
        patiently(services, "the broker", passes, async || {
            blocking(services, |services| services.broker.reachable(REACHABLE)).await
        })
        .await?;
        if let Some(dir) = &services.worker.schemas_dir {
            let passes = |error: &RegistryError| error.retry() == penstock_registry::Retry::Backoff;
            loop {
                patiently(services, "the schema registry", passes, async || {
                    services.registry.subjects().await
                })
                .await?;
                let Err(problems) = penstock_registry::register_dir(&services.registry, dir).await
                else {
                    break;
                };
                // Unless the registry went away in between, the files are to blame.
                if !services
                    .registry
                    .subjects()
                    .await
                    .is_err_and(|error| passes(&error))
                {
                    return Err(StartError(
                        problems.iter().map(ToString::to_string).collect(),
                    ));
                }
            }
        }
        let what = "cannot make the worker's own topics";
        patiently(services, what, passes, async || {
            blocking(services, |services| {
                let broker = services.broker.as_ref();
                offsets::create_topic(broker, services.replication())?;
                config_store::create_topic(broker, services.replication())
            })
            .await
        })
        .await?;
        let stored = patiently(services, config_store::TOPIC, passes, async || {
            blocking(services, |services| {
                config_store::Store::open(services.broker.clone())
            })
            .await
        })
        .await?;
        self.connectors
            .restore(stored, files)
            .await
            .map_err(|e| StartError(vec![e]))?;
        services.startup.is_ready();
        Ok(())
    }

    /// How many connectors it has, from files and over REST.
    pub fn connector_count(&self) -> usize {
        self.connectors.list().len()
    }

    /// Where the worker's own listener is.
    pub fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// Where the embedded registry is, if the worker serves one.
    pub fn registry_address(&self) -> Option<std::net::SocketAddr> {
        self.services.registry_address
    }

    /// Stops connectors, then the listener. Work that was taken in is finished, within the
    /// configured time.
    pub async fn stop(self) {
        self.connectors.stop_all().await;
        self.server.stop().await;
    }
}

async fn open_broker(
    worker: &WorkerConfig,
    client: kafka::ClientSettings,
) -> Result<Arc<dyn Broker>, StartError> {
    let worker = worker.clone();
    let opened =
        tokio::task::spawn_blocking(move || -> penstock_broker::Result<Arc<dyn Broker>> {
            if worker.bootstrap_servers.is_some() {
                return Ok(Arc::new(kafka::KafkaBroker::new(client)?));
            }
            let mut settings = embedded::EmbeddedSettings::new(worker.data_dir.join("log"));
            settings.cache_bytes = memory::bytes(memory::log_cache(&worker));
            Ok(Arc::new(embedded::EmbeddedBroker::open(&settings)?))
        });
    match opened.await {
        Ok(Ok(broker)) => Ok(broker),
        Ok(Err(error)) => Err(StartError(vec![error.to_string()])),
        Err(error) => Err(StartError::one("broker", error)),
    }
}

async fn open_registry(
    worker: &WorkerConfig,
) -> Result<(RegistryClient, Option<std::net::SocketAddr>), StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::one("schema registry", error);
    if worker.registry_url.is_none() {
        let listen = worker.registry_listen.0;
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|error| {
                StartError::one(
                    "registry.listen",
                    format!("cannot listen on {listen}: {error}"),
                )
            })?;
        let address = listener.local_addr().map_err(|e| failed(&e))?;
        std::fs::create_dir_all(&worker.data_dir).map_err(|e| StartError::one("data.dir", e))?;
        let store = penstock_registry::Store::open(&worker.data_dir.join("registry.redb"))
            .map_err(|e| failed(&e))?;
        let router = penstock_registry::router(Arc::new(store));
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the embedded registry stopped: {error}");
            }
        });
        let client = RegistryClient::new(RegistryConfig::new([format!("http://{address}")]))
            .map_err(|e| failed(&e))?;
        return Ok((client, Some(address)));
    }
    let mut config = RegistryConfig::new(worker.registries());
    if let Some(info) = &worker.registry_user_info {
        let (user, password) = info.reveal().split_once(':').unwrap_or((info.reveal(), ""));
        config.auth = penstock_registry::Auth::Basic {
            user: user.to_owned(),
            password: penstock_registry::Secret::new(password),
        };
    }
    Ok((RegistryClient::new(config).map_err(|e| failed(&e))?, None))
}

fn load_contracts(worker: &WorkerConfig) -> Result<Arc<Contracts>, StartError> {
    let contracts = match &worker.contracts_dir {
        None => Contracts::default(),
        Some(dir) => Contracts::load_dir(dir)
            .map_err(|problems| StartError(problems.iter().map(ToString::to_string).collect()))?,
    };
    Ok(Arc::new(contracts))
}

/// Runs a blocking broker call off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    services: &Arc<Services>,
    call: impl FnOnce(&Services) -> penstock_broker::Result<T> + Send + 'static,
) -> penstock_broker::Result<T> {
    let services = services.clone();
    match tokio::task::spawn_blocking(move || call(&services)).await {
        Ok(result) => result,
        Err(error) => Err(penstock_broker::Error::new(
            penstock_broker::Retry::Never,
            penstock_broker::ErrorKind::Other,
            format!("a broker call panicked: {error}"),
        )),
    }
}
