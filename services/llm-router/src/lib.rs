//! The switchboard: choose a model, call it, count it, fail over.
//!
//! A call comes in by [`rpc`], one use case of [`app`] works on it with the pure parts of [`domain`], asks a member of
//! the family [`providers`] and keeps what it cost through [`ports`]. Where no model answers, the offline writer in
//! `offline` composes from the evidence. Not here: prompts, agents and what a text is for beyond its task
//! (the orchestrator's), reading the environment (the program calls [`discover`]), listening on a port.
mod adapters;
pub mod app;
pub mod cache;
mod config;
mod discovery;
pub mod domain;
mod error;
pub mod metrics;
mod offline;
pub mod ports;
pub mod providers;
mod rpc;
mod wire;

use std::sync::Arc;

use copydesk_proto::FILE_DESCRIPTOR_SET;
use copydesk_proto::llm_router::v1::llm_service_server::LlmServiceServer;
use copydesk_proto::llm_router::v1::routing_service_server::RoutingServiceServer;
use copydesk_proto::llm_router::v1::usage_service_server::UsageServiceServer;
use copydesk_rpc::{Service, ServiceContext};
use copydesk_store::{Database, DatabaseConfig};
use tonic::service::Routes;

pub use adapters::{DatabaseStore, MIGRATOR, Replica, ReplicaError, SystemClock};
pub use app::{ConfigUpdates, Update};
pub use config::{
    BreakerConfig, BudgetConfig, CacheConfig, Config, LedgerConfig, ModelConfig, ProviderConfig, RetryConfig,
    TaskConfig, resolve_keys,
};
pub use discovery::{discover, discover_ollama};
pub use error::Error;

/// The service's name.
pub const NAME: &str = "llm-router";

/// The gRPC services that it serves.
pub const GRPC_SERVICES: [&str; 3] = [
    "copydesk.llm_router.v1.LlmService",
    "copydesk.llm_router.v1.RoutingService",
    "copydesk.llm_router.v1.UsageService",
];

/// The largest request, in bytes: 20 MiB of pictures, a mebibyte each of messages and evidence, tools and schemas; the
/// parts have limits of their own.
const LARGEST_REQUEST: usize = 32 << 20;

/// Whom it may call: nobody. It is the lowest in rank.
#[derive(Debug, Clone, Default)]
pub struct Peers {}

/// Builds the service: opens its database, sets up its providers. Binds nothing and reads no environment. Configurations
/// that come by `updates` replace this one while it runs.
///
/// # Errors
/// The settings are wrong, a provider cannot be set up, or the database cannot be opened.
pub async fn build(
    config: Config,
    database: &DatabaseConfig,
    context: ServiceContext,
    _peers: Peers,
    updates: Option<ConfigUpdates>,
) -> Result<Service, Error> {
    let faults = config.validate();
    if !faults.is_empty() {
        return Err(Error::Config(faults));
    }
    let live = Arc::new(app::Live::new(&config)?);
    let database = Database::open(database, NAME, &MIGRATOR).await?;
    let store = Arc::new(DatabaseStore::new(database.clone()));
    let metrics = metrics::Metrics::new(&context.meter);
    let cache = cache::build(&config.cache, metrics.clone())?;
    let clock = Arc::new(SystemClock);
    let (ledger, ledger_task) = app::Ledger::open(&context.data_dir, &config.ledger, store.clone())?;
    let ledger = Arc::new(ledger);
    let budgets =
        app::Budgets::new(store.clone(), clock.clone(), ledger.replica(), &config.budget, metrics.clone());
    let budgets = Arc::new(budgets);
    let parts = app::Parts {
        live: Arc::clone(&live),
        store,
        clock,
        metrics,
        ledger: Arc::clone(&ledger),
        budgets: Arc::clone(&budgets),
        cache,
    };
    let desk = Arc::new(app::Desk::new(parts));

    let handler = rpc::Rpc::new(Arc::clone(&desk));
    let llm = LlmServiceServer::new(handler.clone()).max_decoding_message_size(LARGEST_REQUEST);
    let routes = Routes::new(llm)
        .add_service(RoutingServiceServer::new(handler.clone()))
        .add_service(UsageServiceServer::new(handler));
    let (forgetter, checker) = (Arc::clone(&desk), desk);
    let service = Service::new(NAME, routes, GRPC_SERVICES.to_vec(), FILE_DESCRIPTOR_SET)
        .with_task("ledger", move |stop| ledger_task.run(stop))
        .with_task("budgets", move |stop| async move { budgets.run(&ledger, stop).await })
        .with_task(
            "expiry of stored answers",
            move |stop| async move { forgetter.forget_answers(stop).await },
        )
        .with_task("checks of providers", move |stop| async move { checker.check_providers(stop).await })
        .with_task("configuration updates", move |stop| async move { live.follow(updates, stop).await })
        .with_ready(move || {
            let database = database.clone();
            Box::pin(async move { database.ping().await.map_err(|error| format!("database: {error}")) })
        });
    Ok(service)
}
