//! The front door: who are you, what may you do, how much of it.
//!
//! A call comes in with an API key; [`auth`] finds the tenant and scopes behind it, [`quota`] charges the key's bucket
//! of the method's class, and [`forward`] passes the call on as it is, bodies undecoded, with a short-lived identity
//! token in place of the key. The gateway's own services (tenants, keys) are in [`rpc`].
//!
//! Not here: what any other service's messages mean. Read next: `forward.rs`.

mod adapters;
mod app;
mod auth;
mod config;
mod error;
mod forward;
mod ports;
mod quota;
mod rpc;

use std::sync::Arc;

use copydesk_proto::gateway::v1::key_service_server::{KeyServiceServer, SERVICE_NAME as KEYS};
use copydesk_proto::gateway::v1::tenant_service_server::{SERVICE_NAME as TENANTS, TenantServiceServer};
use copydesk_rpc::server::{Authenticator, ServerStack};
use copydesk_rpc::{AccessTable, Channel, HttpService, RpcMetrics, Service, ServiceContext, server};
use copydesk_store::DatabaseConfig;
use tonic::service::Routes;

pub use adapters::{MIGRATOR, SqlStore};
pub use config::{Config, RateLimits};
pub use error::Error;
pub use ports::{KeyRecord, Store, TenantRecord};

/// The crate's folder and `serve` argument.
pub const NAME: &str = "gateway";

/// Whom the gateway passes calls on to.
#[derive(Clone)]
pub struct Peers {
    /// Rank 0.
    pub llm_router: Channel,
    /// Rank 1.
    pub retrieval: Channel,
    /// Rank 2.
    pub learning: Channel,
    /// Rank 3.
    pub agent_orchestrator: Channel,
}

/// The built gateway: a service like the others, and what makes it the door.
pub struct Gateway {
    /// Its own routes and background work; reflection and health are added to these routes.
    pub service: Service,
    desk: Arc<app::Desk>,
    authenticator: Arc<dyn Authenticator>,
    peers: Peers,
    trust_trace: bool,
    limits: server::Limits,
}

/// Builds the gateway. Binds and spawns nothing.
///
/// # Errors
/// When its database cannot be opened.
pub async fn build(
    config: Config,
    database: &DatabaseConfig,
    context: ServiceContext,
    peers: Peers,
) -> Result<Gateway, Error> {
    Ok(build_over(config, Arc::new(SqlStore::open(database).await?), context, peers))
}

/// The same over any store.
pub fn build_over(config: Config, store: Arc<dyn Store>, context: ServiceContext, peers: Peers) -> Gateway {
    let quota = Arc::new(quota::Quota::new(&config.rate_limits, &context.meter));
    let desk = Arc::new(app::Desk::new(store.clone()));
    let authenticator = Arc::new(auth::KeyAuthenticator::new(desk.clone(), quota.clone(), context.minter));
    let routes = Routes::new(TenantServiceServer::new(rpc::Tenants(desk.clone())))
        .add_service(KeyServiceServer::new(rpc::Keys(desk.clone())));
    let service = Service::new(NAME, routes, vec![TENANTS, KEYS], copydesk_proto::FILE_DESCRIPTOR_SET)
        .with_task("forget idle rate limits", move |stop| async move { quota.sweep(stop).await })
        .with_ready(move || {
            let store = store.clone();
            Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
        });
    let limits = server::Limits {
        calls: config.max_calls,
        calls_per_tenant: config.max_calls_per_tenant,
        ..Default::default()
    };
    Gateway { service, desk, authenticator, peers, trust_trace: config.trust_client_trace, limits }
}

impl Gateway {
    /// Puts the layers around everything that the gateway serves. `access` must hold the public methods only: what it
    /// does not know is answered UNIMPLEMENTED.
    pub fn stack(&self, routes: Routes, access: AccessTable, metrics: RpcMetrics) -> HttpService {
        let config = ServerStack {
            access,
            authenticator: self.authenticator.clone(),
            metrics,
            limits: self.limits,
            trust_trace: self.trust_trace,
        };
        server::serve(forward::Forward::new(routes, self.peers.clone()), config)
    }

    /// The secret of a key that may do everything, for a fresh installation: makes the tenant `default` and its key.
    /// When the tenant is there already, a key is made only where `replace_lost` allows it and `current`, the secret
    /// at hand, is nobody's; a key that is known stays what it is, revoked ones too.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bootstrap(
        &self,
        current: Option<&str>,
        replace_lost: bool,
    ) -> Result<Option<String>, Error> {
        self.desk.bootstrap(current, replace_lost).await
    }
}
