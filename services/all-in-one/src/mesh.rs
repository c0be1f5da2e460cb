//! Building the services bottom-up, and serving them: all in this process over local channels, or one of them with its
//! peers over the network. The layers are the same.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use copydesk_gateway::Gateway;
use copydesk_llm_router::ConfigUpdates;
use copydesk_rpc::server::{Limits, ServerStack, TokenAuthenticator, TransportOptions};
use copydesk_rpc::{
    AccessTable, Channel, HttpService, ReadyCheck, RpcMetrics, Service, ServiceContext, Trust, Verifier,
    reflection, server,
};
use copydesk_runtime::{Health, Tasks, Telemetry};
use copydesk_store::{DatabaseConfig, FileLock, LockError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::config::Config;
use crate::identity;

mod build;

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// All five services here.
    All,
    /// One service, by name; its peers are elsewhere.
    One(&'static str),
}

/// A running mesh, or one running service of it.
pub struct Mesh {
    /// Where gRPC is served.
    pub address: SocketAddr,
    /// Where metrics and health are served.
    pub admin: SocketAddr,
    /// The path of the development key, when the gateway is here.
    pub dev_key: Option<PathBuf>,
    server: JoinHandle<()>,
    /// By rank, lowest first.
    tasks: Vec<Tasks>,
    died: CancellationToken,
    files: Vec<PathBuf>,
    stop_accepting: CancellationToken,
    drain: Duration,
    _locks: Vec<FileLock>,
}

/// What every service of the process is built from.
struct Parts<'a> {
    config: &'a Config,
    data: &'a Path,
    identity: PathBuf,
    trust: Trust,
    telemetry: &'a Telemetry,
    access: AccessTable,
    database_url: Option<copydesk_types::Secret>,
    updates: Option<ConfigUpdates>,
}

/// A service behind its layers, and what the process must know of it.
struct Built {
    stack: HttpService,
    tasks: Vec<copydesk_rpc::Task>,
    ready: Option<(&'static str, ReadyCheck)>,
}

impl Mesh {
    /// Starts. When this returns, the services answer. The llm-router takes new settings from `updates` while it runs.
    ///
    /// # Errors
    /// When the data folder is in use, a database cannot be opened, or a port cannot be bound.
    pub async fn start(
        config: &Config,
        data: &Path,
        topology: Topology,
        telemetry: &Telemetry,
        updates: Option<ConfigUpdates>,
    ) -> anyhow::Result<Mesh> {
        let names: Vec<&'static str> = match topology {
            Topology::All => identity::RANKS.to_vec(),
            Topology::One(name) => vec![name],
        };
        let locks = lock(data, &names)?;
        let identity_dir = config.identity.dir.clone().unwrap_or_else(|| data.join("identity"));
        identity::ensure(&identity_dir)?;
        let parts = Parts {
            config,
            data,
            trust: identity::trust(&identity_dir)?,
            identity: identity_dir,
            telemetry,
            access: AccessTable::from_descriptors(copydesk_proto::FILE_DESCRIPTOR_SET)?,
            database_url: configured_database(config)?,
            updates,
        };
        let listener = bind(&listen_address(config, topology), "server.listen").await?;
        let admin_listener = bind(&admin_address(config, topology), "server.admin").await?;
        let address = listener.local_addr()?;
        let admin = admin_listener.local_addr()?;

        let (stop_accepting, died) = (CancellationToken::new(), CancellationToken::new());
        let served = match topology {
            Topology::All => build::all(&parts).await?,
            Topology::One(name) => build::one(&parts, name).await?,
        };
        let tasks = served.tasks.into_iter().map(|service| start_all(service, &died)).collect();
        let health = served.health;
        health.refresh().await;
        let health_stop = stop_accepting.clone();
        tokio::spawn(health.clone().run(health_stop));
        tokio::spawn(copydesk_runtime::admin::serve(
            admin_listener,
            telemetry.registry(),
            health,
            stop_accepting.clone(),
        ));
        let drain = Duration::from_secs(config.server.drain_seconds);
        let options = TransportOptions { drain, ..TransportOptions::default() };
        let server = tokio::spawn(server::listen(listener, served.stack, options, stop_accepting.clone()));
        let dev_key = match served.gateway {
            Some(gateway) => write_dev_key(data, &gateway, topology).await?,
            None => None,
        };
        let files = vec![write_endpoints(data, topology, address, admin)?];
        Ok(Mesh { address, admin, dev_key, server, tasks, died, files, stop_accepting, drain, _locks: locks })
    }

    /// Returns when background work has died: then the process should end and be started anew.
    pub async fn died(&self) {
        self.died.cancelled().await;
    }

    /// Ends: no new calls, calls in flight to their end or the drain limit, then the background work, highest rank
    /// first: what a service still tells those below it must find them at work.
    pub async fn stop(self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
        self.stop_accepting.cancel();
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the listener died");
        }
        for service in self.tasks.iter().rev() {
            if !service.end(self.drain).await {
                tracing::warn!("background work was cut at the drain limit");
            }
        }
    }
}

fn start_all(service: Vec<copydesk_rpc::Task>, died: &CancellationToken) -> Tasks {
    let tasks = Tasks::new(died.clone());
    service.into_iter().for_each(|task| tasks.start(task));
    tasks
}

/// What the process serves.
struct Served {
    stack: HttpService,
    /// Of each service, by rank, lowest first.
    tasks: Vec<Vec<copydesk_rpc::Task>>,
    health: Health,
    gateway: Option<Gateway>,
}

impl Parts<'_> {
    fn context(&self, service: &'static str) -> anyhow::Result<ServiceContext> {
        let data_dir = self.data.join(service);
        std::fs::create_dir_all(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
        let minter = identity::minter(&self.identity, service)?;
        Ok(ServiceContext { data_dir, minter, meter: self.telemetry.meter(service) })
    }

    fn database(&self, service: &'static str) -> DatabaseConfig {
        let mut config = match &self.database_url {
            Some(url) => DatabaseConfig::postgres(url.expose()),
            None => DatabaseConfig::file(self.data.join(service).join(format!("{service}.db"))),
        };
        if self.config.database.max_connections > 0 {
            config.max_connections = self.config.database.max_connections;
        }
        config
    }

    fn metrics(&self, service: &'static str) -> RpcMetrics {
        RpcMetrics::new(&self.telemetry.meter(service))
    }

    /// Puts the layers around a service below the gateway.
    fn wrap(&self, service: Service, health: impl FnOnce(Routes) -> Routes) -> anyhow::Result<Built> {
        let Service { name, routes, grpc_services, descriptors, tasks, ready } = service;
        let routes = reflection::add(health(routes), &grpc_services, descriptors)?;
        let verifier = Verifier::new(name, self.trust.clone());
        let minter = identity::minter(&self.identity, name)?;
        let stack = server::stack(
            routes,
            ServerStack {
                access: self.access.clone(),
                authenticator: std::sync::Arc::new(TokenAuthenticator::new(verifier, minter)),
                metrics: self.metrics(name),
                limits: Limits::default(),
                trust_trace: true,
            },
        );
        Ok(Built { stack, tasks, ready: ready.map(|check| (name, check)) })
    }

    fn local(&self, built: &Built, name: &'static str) -> Channel {
        Channel::local(name, built.stack.clone(), self.metrics(name))
    }

    fn remote(&self, name: &'static str) -> anyhow::Result<Channel> {
        let peers = &self.config.peers;
        let uri = match name {
            copydesk_llm_router::NAME => &peers.llm_router,
            copydesk_retrieval::NAME => &peers.retrieval,
            copydesk_learning::NAME => &peers.learning,
            copydesk_agent_orchestrator::NAME => &peers.agent_orchestrator,
            _ => bail!("{name} is nobody's peer"),
        };
        Ok(Channel::remote(name, uri.parse()?, self.metrics(name)))
    }
}

/// Makes the data folder for its owner alone: documents and drafts are in it. One that exists keeps its permissions.
fn private_folder(data: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("cannot make the data folder {}", data.display()))
}

/// One lock a service, so that `up` and `serve` exclude each other exactly where they would share files.
fn lock(data: &Path, names: &[&str]) -> anyhow::Result<Vec<FileLock>> {
    private_folder(data)?;
    names
        .iter()
        .map(|name| {
            let dir = data.join(name);
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            FileLock::acquire(dir.join("lock")).map_err(|error| {
                let what = match &error {
                    LockError::Held { .. } => "is used by another process",
                    LockError::Io { .. } => "cannot be locked",
                };
                anyhow::Error::new(error)
                    .context(format!("the data folder {} {what} ({name})", data.display()))
            })
        })
        .collect()
}

/// The URL of the configured PostgreSQL, from its file where one is named. `None`: SQLite.
pub(crate) fn configured_database(config: &Config) -> anyhow::Result<Option<copydesk_types::Secret>> {
    let Some(file) = &config.database.url_file else { return Ok(config.database.url.clone()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some(copydesk_types::Secret::new(text.trim())))
}

fn listen_address(config: &Config, topology: Topology) -> String {
    if !config.server.listen.is_empty() {
        return config.server.listen.clone();
    }
    let port = match topology {
        Topology::All | Topology::One(copydesk_gateway::NAME) => 7700,
        Topology::One(name) => 7701 + identity::RANKS.iter().position(|n| *n == name).unwrap_or_default(),
    };
    format!("127.0.0.1:{port}")
}

/// Where metrics and health are served, by what is served unless it is set.
pub(crate) fn admin_address(config: &Config, topology: Topology) -> String {
    if !config.server.admin.is_empty() {
        return config.server.admin.clone();
    }
    let port = match topology {
        Topology::All | Topology::One(copydesk_gateway::NAME) => 7790,
        Topology::One(name) => 7791 + identity::RANKS.iter().position(|n| *n == name).unwrap_or_default(),
    };
    format!("127.0.0.1:{port}")
}

async fn bind(address: &str, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{key}: cannot listen on {address}"))
}

/// Makes the development key, or keeps the one at hand. A replica of a gateway that has a tenant already makes none.
async fn write_dev_key(
    data: &Path,
    gateway: &Gateway,
    topology: Topology,
) -> anyhow::Result<Option<PathBuf>> {
    let path = data.join("dev-key");
    let current = std::fs::read_to_string(&path).ok();
    let replace_lost = topology == Topology::All;
    if let Some(secret) = gateway.bootstrap(current.as_deref().map(str::trim), replace_lost).await? {
        identity::write_private(&path, secret.as_bytes())?;
    }
    Ok(path.is_file().then_some(path))
}

/// Tells other programs where the mesh answers, once it does.
fn write_endpoints(
    data: &Path,
    topology: Topology,
    address: SocketAddr,
    admin: SocketAddr,
) -> anyhow::Result<PathBuf> {
    let (file, key) = match topology {
        Topology::All | Topology::One(copydesk_gateway::NAME) => (data.join("endpoints.json"), "gateway"),
        Topology::One(name) => (data.join(name).join("endpoints.json"), name),
    };
    let text = serde_json::json!({ key: address.to_string(), "admin": admin.to_string() }).to_string();
    let part = file.with_extension("part");
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, &file))
        .context("cannot write endpoints.json")?;
    Ok(file)
}
