//! The workshop: plan, gather, draft, check, revise.
//!
//! A run is rows, not a replayed log. [`domain::plan`] says from the finished steps which come next; `app/engine.rs`
//! claims steps, performs them and commits each in one transaction; whatever crashes in between is claimed again and
//! finds its finished calls remembered. `app/watch_run.rs` follows a run, `app/relay.rs` tells the archive how it ended.
//!
//! - [`config`], [`build`]: what the process gives and gets
//! - [`agents`], [`tools`]: who does the work and with what; a new one is a new file and a list entry
//! - [`domain`]: decisions without time or network
//! - [`ports`], [`adapters`]: store, peers, clock
//!
//! Not here: models (llm-router), documents (retrieval), brands and lessons (learning), the words of the guard
//! (`copydesk-guard`).
pub mod adapters;
pub mod agents;
mod app;
pub mod config;
pub mod domain;
mod error;
pub mod metrics;
pub mod ports;
mod rpc;
pub mod tools;

use std::sync::Arc;

use copydesk_proto::agent_orchestrator::v1::guard_service_server::GuardServiceServer;
use copydesk_proto::agent_orchestrator::v1::rule_pack_service_server::RulePackServiceServer;
use copydesk_proto::agent_orchestrator::v1::run_service_server::RunServiceServer;
use copydesk_rpc::{Channel, Service, ServiceContext};
use copydesk_store::{Database, DatabaseConfig, Migrator};
use tonic::service::Routes;

pub use config::Config;
pub use error::Error;

/// The service's name: its crate folder and its argument of `serve`.
pub const NAME: &str = "agent-orchestrator";

/// The service's tables.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

const SERVICES: [&str; 3] = [
    "copydesk.agent_orchestrator.v1.RunService",
    "copydesk.agent_orchestrator.v1.GuardService",
    "copydesk.agent_orchestrator.v1.RulePackService",
];

/// Whom this service calls.
#[derive(Clone)]
pub struct Peers {
    /// Models.
    pub llm_router: Channel,
    /// Evidence.
    pub retrieval: Channel,
    /// Brands, lessons and outcomes.
    pub learning: Channel,
}

/// Opens the database and builds the service: its routes, its engine and its relay. Nothing is bound or spawned.
///
/// # Errors
/// [`Error::Config`] names every fault of the settings; [`Error::Store`] when the database cannot be opened.
pub async fn build(
    config: Config,
    database: &DatabaseConfig,
    context: ServiceContext,
    peers: Peers,
) -> Result<Service, Error> {
    let faults = config.validate();
    if !faults.is_empty() {
        return Err(Error::Config(faults));
    }
    let db = Database::open(database, NAME, &MIGRATOR).await?;
    let config = config.resolved(db.dialect());
    let expire_leases = config.expire_leases_at_start == Some(true);
    let store = Arc::new(adapters::store::SqlStore::new(db));
    let ports = app::Ports {
        store: store.clone(),
        guard: store.clone(),
        packs: store,
        model: Arc::new(adapters::llm_router::RoutedModel::new(peers.llm_router)),
        library: Arc::new(adapters::retrieval::Retrieval::new(peers.retrieval.clone())),
        web: Arc::new(adapters::web::RetrievalWeb::new(peers.retrieval)),
        archive: Arc::new(adapters::learning::Learning::new(peers.learning)),
        clock: Arc::new(adapters::clock::SystemClock),
        minter: context.minter,
    };
    let app = Arc::new(app::App::new(ports, config, metrics::Metrics::new(&context.meter)));
    let routes = Routes::new(RunServiceServer::new(rpc::Runs::new(app.clone())))
        .add_service(GuardServiceServer::new(rpc::Guard::new(app.clone())))
        .add_service(RulePackServiceServer::new(rpc::RulePacks::new(app.clone())));
    let (engine, relay, store) = (app.clone(), app.clone(), app.ports.store.clone());
    let service = Service::new(NAME, routes, SERVICES.to_vec(), copydesk_proto::FILE_DESCRIPTOR_SET)
        .with_task("run-engine", move |stop| app::engine::work(engine, expire_leases, stop))
        .with_task("outcome-relay", move |stop| app::relay::deliver(relay, stop))
        .with_ready(move || {
            let store = store.clone();
            Box::pin(async move { store.ping().await.map_err(|error| format!("run store: {error}")) })
        });
    Ok(service)
}
