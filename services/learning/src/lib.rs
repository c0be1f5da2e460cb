//! The archive: brands, outcomes, feedback, lessons. Rank 2 of the mesh.
//!
//! A run ends and the orchestrator tells its outcome; a person says what they think of it; the verdict becomes lessons
//! in the same transaction; the next run asks which lessons to heed. Beside that the archive knows for whom content is
//! written, and measures how a brand writes.
//!
//! The door is `rpc` (wire in, wire out), the desk [`app`] (one use case per file), the mind [`domain`] (pure: start at
//! `derive` and `relevance`), the windows [`adapters`] behind [`ports`]. Lessons are derived by fixed patterns and a
//! word diff: no model is asked, and nothing is invented when nothing is learned.
//!
//! Not here: runs and their texts in the making (`agent-orchestrator`), documents (`retrieval`).

pub mod adapters;
pub mod app;
mod config;
pub mod domain;
mod error;
mod metrics;
pub mod ports;
mod rpc;

use std::sync::Arc;

use copydesk_rpc::{Channel, Service, ServiceContext};
use copydesk_store::{Database, DatabaseConfig};

use adapters::database::{DatabaseStore, MIGRATOR};
use adapters::retrieval::Library;
use app::{App, SystemClock};
pub use config::Config;
pub use error::Error;
pub use metrics::Metrics;
use ports::Store;

/// The service's name: its crate folder, its `serve` argument.
pub const NAME: &str = "learning";

/// Whom the archive may call.
#[derive(Clone)]
pub struct Peers {
    /// The library, for a brand's published texts.
    pub retrieval: Channel,
}

/// Opens the archive's database, brings its tables up to date and builds its routes. Binds and spawns nothing.
///
/// # Errors
/// [`Error::Config`] when the settings cannot be used, [`Error::Store`] when the database cannot.
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
    let store = Arc::new(DatabaseStore::new(Database::open(database, NAME, &MIGRATOR).await?));
    let texts = Arc::new(Library::new(peers.retrieval));
    let metrics = Metrics::new(&context.meter);
    let app = App::new(store.clone(), texts, Arc::new(SystemClock), config, metrics);
    let service = Service::new(
        NAME,
        rpc::routes(Arc::new(app)),
        rpc::SERVICES.to_vec(),
        copydesk_proto::FILE_DESCRIPTOR_SET,
    );
    Ok(service.with_ready(move || {
        let store = store.clone();
        Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
    }))
}
