//! The library: takes documents in, cuts them into passages, finds passages and says exactly where they stand.
//!
//! ```text
//! rpc.rs       the door        messages in, messages out
//! app/         the desk        one use case per file: ingest, index_documents (the worker), search, forget, …
//! domain/      the mind        upload rules, packing, BM25, cosine, fusion, quotas: pure
//! parsers/     one file per kind of bytes: bytes into text
//! chunkers/    one file per format: where the blocks of a text are
//! embedders/   one file per kind of model: texts into vectors
//! sources/     one file per place that documents are fetched from
//! searchers/   one file per provider that searches the web
//! ports.rs     what the desk needs; adapters/ is what it gets: rows, indexes, the web, the clock
//! ```
//!
//! Rows are the truth and indexes are made from them; a document's rows change in one transaction, together with its
//! knowledge base's version, and a search reads at that version. So what was answered as stored survives any crash,
//! what was answered as deleted is never found, and no document is ever half visible.
//!
//! The indexes are in this process's memory, or in a Qdrant server that several processes share; both give the same
//! answers.
//!
//! Not here: query rewriting. The ports are its place.

pub mod adapters;
pub mod app;
mod bert;
pub mod chunkers;
mod config;
pub mod domain;
pub mod embedders;
mod error;
pub mod metrics;
pub mod parsers;
pub mod ports;
mod rpc;
pub mod searchers;
pub mod sources;
mod structs;

use std::sync::Arc;

use copydesk_rpc::{Channel, Service, ServiceContext};
use copydesk_store::{Database, DatabaseConfig};

pub use adapters::{ARGUMENT as PARSE_CHILD, run_child as run_parse_child};
pub use config::{
    Chunks, Config, EmbedderConfig, EmbedderKind, EmbedderRuntime, Embedding, Github, IndexBackend,
    IndexConfig, IntentWeights, Limits, Objects, ObjectsBackend, OcrConfig, OnnxConfig, OnnxPooling, Parsing,
    QdrantConfig, QueryCache, Quotas, Rerank, Retention, Sources, TokenWeighing, TopK, Web, WebSearch,
    Workers as WorkerConfig, resolve_keys,
};
pub use error::{Error, Resource};

use crate::adapters::objects;
use crate::adapters::{Client, SystemResolver, WebPages};
use crate::adapters::{
    DatabaseStore, MIGRATOR, MemoryIndex, ProcessReader, QdrantIndex, Router, RouterOcr, SystemClock,
};
use crate::app::{Desk, Progress, QueryVectors, Reembedder, Sweeper, Uploads, WebLimit, Workers};
use crate::embedders::Embedders;
use crate::metrics::Metrics;
use crate::ports::{
    Embedder, Inspector, LexicalIndex, ObjectLedger, Ocr, Places, Reranker, Resolver, VectorIndex,
};
use crate::sources::Tools;

/// The service's name: its folder, its database, its audience.
pub const NAME: &str = "retrieval";

/// The services that this one calls.
#[derive(Clone)]
pub struct Peers {
    /// Models behind a network: embedders, rerankers, and one that reads pictures of pages.
    pub llm_router: Channel,
}

/// Opens the database and puts the service together. Nothing runs yet: the worker is the service's task.
///
/// # Errors
/// `Config` for faulty settings, `Embedder` for a model that cannot be loaded, `Store` for the database, `Folder` and
/// `Objects` for the place of originals and snapshots.
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
    let settings = config.clone();
    let channel = peers.llm_router.clone();
    let open = move || embedders::open(&settings, Some(&channel));
    let embedders = tokio::task::spawn_blocking(open).await?.map_err(Error::Embedder)?;
    let database = Database::open(database, NAME, &MIGRATOR).await?;
    let places = objects::open(&config.objects, &context.data_dir, &database).await?;
    // Before anything is written: what is pending now, nobody comes back for.
    DatabaseStore::new(database.clone()).recover_objects().await?;
    let ocr = config.ocr.as_ref();
    let ocr = ocr.map(|ocr| Arc::new(RouterOcr::new(peers.llm_router.clone(), ocr)) as Arc<dyn Ocr>);
    let reranker = Arc::new(Router::new(peers.llm_router));
    let outside = Outside {
        embedders,
        reranker: Some(reranker),
        ocr,
        resolver: Arc::new(SystemResolver),
        places: Some(places),
    };
    Ok(assemble_from(config, database, context, outside))
}

/// The service over an open, migrated database and with these models, the embedder alone; [`build`] makes them from
/// settings. For hosts and tests that bring their own.
pub fn assemble(
    config: Config,
    database: Database,
    context: ServiceContext,
    embedder: Option<Arc<dyn Embedder>>,
    reranker: Option<Arc<dyn Reranker>>,
) -> Service {
    assemble_with(config, database, context, Embedders::only(embedder), reranker, None)
}

/// The same with several embedders, and a vision model for the pages that are pictures.
pub fn assemble_with(
    config: Config,
    database: Database,
    context: ServiceContext,
    embedders: Embedders,
    reranker: Option<Arc<dyn Reranker>>,
    ocr: Option<Arc<dyn Ocr>>,
) -> Service {
    let outside = Outside { embedders, reranker, ocr, resolver: Arc::new(SystemResolver), places: None };
    assemble_from(config, database, context, outside)
}

/// What the service gets beside its settings and its rows.
pub struct Outside {
    /// The models of the dense leg.
    pub embedders: Embedders,
    /// The models of a second look.
    pub reranker: Option<Arc<dyn Reranker>>,
    /// A vision model.
    pub ocr: Option<Arc<dyn Ocr>>,
    /// Who looks up the names of hosts on the web.
    pub resolver: Arc<dyn Resolver>,
    /// Where originals and snapshots stand. Absent: in rows.
    pub places: Option<Places>,
}

/// The desk behind the service, with everything from outside. For tests that put something else in a place of it.
pub fn desk(config: Config, database: Database, context: ServiceContext, outside: Outside) -> Desk {
    furnish(config, database, context, outside).0
}

/// The desk, and the index that wants to be kept up to date.
fn furnish(
    config: Config,
    database: Database,
    context: ServiceContext,
    outside: Outside,
) -> (Desk, Option<Arc<QdrantIndex>>) {
    let Outside { embedders, reranker, ocr, resolver, places } = outside;
    let client = Client::new(resolver, config.web.allowed(), &config.web.ports, &config.web.user_agent);
    let config = Arc::new(config);
    let tools = Tools {
        pages: Arc::new(WebPages::new(client.clone(), &config.web)),
        client: client.clone(),
        config: Arc::clone(&config),
        folder: context.data_dir.join("sources"),
    };
    let places = places.unwrap_or_else(|| objects::only_rows(&database));
    let store = Arc::new(DatabaseStore::new(database));
    let Indexes { words, meanings, inspector, qdrant } = Indexes::open(&config, &store, &embedders);
    let desk = Desk {
        knowledge: store.clone(),
        ingestions: store.clone(),
        sources: store.clone(),
        tools,
        snapshots: store.clone(),
        objects: store.clone(),
        places,
        folder: context.data_dir,
        words,
        meanings,
        inspector,
        vectors: store.clone(),
        queries: QueryVectors::new(config.embedding.cached_queries),
        embedders,
        reranker,
        cache: app::QueryCache::new(&config.query_cache),
        reader: Arc::new(ProcessReader::new(config.parsing.program.clone())),
        ocr,
        ocr_texts: store,
        searcher: searchers::open(config.web.search.as_ref(), &client),
        web_limit: Arc::new(WebLimit::new(config.web.calls_per_minute)),
        clock: Arc::new(SystemClock),
        progress: Arc::new(Progress::default()),
        uploads: Uploads::new(&config.limits),
        metrics: Metrics::new(&context.meter),
        minter: context.minter,
        config,
    };
    (desk, qdrant)
}

/// The same with everything from outside.
pub fn assemble_from(
    config: Config,
    database: Database,
    context: ServiceContext,
    outside: Outside,
) -> Service {
    let store = DatabaseStore::new(database.clone());
    let (desk, qdrant) = furnish(config, database, context, outside);
    let workers = Workers::new(desk.clone());
    let reembedder = Reembedder::new(desk.clone());
    let sweeper = Sweeper::new(desk.clone());
    let service = Service::new(
        NAME,
        rpc::routes(desk),
        rpc::GRPC_SERVICES.to_vec(),
        copydesk_proto::FILE_DESCRIPTOR_SET,
    )
    .with_task("ingestion", move |stop| workers.run(stop))
    .with_task("reembedding", move |stop| reembedder.run(stop))
    .with_task("objects", move |stop| sweeper.run(stop))
    .with_ready(move || {
        let store = store.clone();
        Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
    });
    match qdrant {
        Some(qdrant) => service.with_task("index", move |stop| qdrant.follow(stop)),
        None => service,
    }
}

/// Where the search structures stand.
struct Indexes {
    words: Arc<dyn LexicalIndex>,
    meanings: Arc<dyn VectorIndex>,
    inspector: Arc<dyn Inspector>,
    /// The index that wants to be kept up to date.
    qdrant: Option<Arc<QdrantIndex>>,
}

impl Indexes {
    fn open(config: &Config, store: &Arc<DatabaseStore>, embedders: &Embedders) -> Self {
        match config.index.backend {
            IndexBackend::Embedded => {
                let index = Arc::new(MemoryIndex::new(store.clone(), config.index.clone()));
                Self { words: index.clone(), meanings: index.clone(), inspector: index, qdrant: None }
            }
            IndexBackend::Qdrant => {
                let widths = embedders.all().iter().map(|entry| entry.embedder.dimensions());
                let index = Arc::new(QdrantIndex::new(store.clone(), config.qdrant.clone(), widths));
                Self {
                    words: index.clone(),
                    meanings: index.clone(),
                    inspector: index.clone(),
                    qdrant: Some(index),
                }
            }
        }
    }
}
