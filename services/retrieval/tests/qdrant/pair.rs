//! Two services over one database: one with its indexes in memory, one with them in a Qdrant server. What one answers,
//! the other must answer too.

use std::future::IntoFuture;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use copydesk_proto::retrieval::v1::{
    ExplainSearchRequest, ExplainSearchResponse, SearchHit, SearchRequest, SearchResponse,
};
use copydesk_retrieval::adapters::MIGRATOR;
use copydesk_retrieval::embedders::Embedders;
use copydesk_retrieval::{Config, IndexBackend, QdrantConfig, assemble_with};
use copydesk_rpc::{CallContext, testing};
use copydesk_store::Database;
use copydesk_types::{Secret, TenantId};
use qdrant_client::Qdrant;
use tokio_util::sync::CancellationToken;

use crate::common::{Bench, Tenant};
use crate::double::{API_KEY, Double};

/// A server to test against.
#[derive(Clone)]
pub struct Place {
    pub name: &'static str,
    pub config: QdrantConfig,
    /// Absent: it is a real one.
    pub double: Option<Arc<Double>>,
}

static SKIP: std::sync::Once = std::sync::Once::new();

/// The double, and the real server that `QDRANT_URL` names, if it does.
pub fn places() -> Vec<Place> {
    let mut places = vec![double()];
    match std::env::var("QDRANT_URL") {
        Ok(url) if !url.is_empty() => {
            let key = std::env::var("QDRANT_API_KEY").ok().map(Secret::new);
            let config = QdrantConfig { url, api_key: key, ..settings() };
            places.push(Place { name: "the server of QDRANT_URL", config, double: None });
        }
        _ => SKIP.call_once(|| {
            // Not by `eprintln!`: what that says is hidden when a test goes well.
            let text = "SKIPPED: no real Qdrant server: only our double is tested; QDRANT_URL names yours";
            let _ = writeln!(std::io::stderr(), "{text}");
        }),
    }
    places
}

/// The double alone.
pub fn double() -> Place {
    let double = Arc::new(Double::start());
    let config = QdrantConfig { url: double.url(), api_key: Some(Secret::new(API_KEY)), ..settings() };
    Place { name: "the double", config, double: Some(double) }
}

/// Small batches, a name of its own, and a follower that comes soon.
fn settings() -> QdrantConfig {
    QdrantConfig {
        prefix: format!("test-{:x}", TenantId::generate().as_u128()),
        batch: 16,
        writes_at_once: 2,
        longest_wait_ms: 20,
        follow_ms: 20,
        ..QdrantConfig::default()
    }
}

impl Place {
    /// Takes away what a test left on a server that stays.
    pub async fn clear(&self) {
        if self.double.is_some() {
            return;
        }
        let config = Qdrant::from_url(&self.config.url).skip_compatibility_check();
        let key = self.config.api_key.as_ref().map(|key| key.expose().to_owned());
        let client = config.api_key(key).build().unwrap();
        for collection in client.list_collections().await.unwrap().collections {
            if collection.name.starts_with(&self.config.prefix) {
                client.delete_collection(collection.name).await.unwrap();
            }
        }
    }
}

/// The two services.
pub struct Pair {
    pub place: Place,
    pub embedded: Bench,
    pub qdrant: Bench,
    pub embedders: Embedders,
    stop: CancellationToken,
}

impl Pair {
    pub async fn new(place: Place, database: Database, embedders: Embedders) -> Self {
        let stop = CancellationToken::new();
        let embedded = bench("embedded", Config::default(), &database, &embedders, &stop);
        let qdrant = bench("qdrant", config(&place), &database, &embedders, &stop);
        Self { place, embedded, qdrant, embedders, stop }
    }

    /// The second service again, as after a restart of its process.
    pub fn restarted(&self) -> Bench {
        bench("qdrant again", config(&self.place), &self.qdrant.database, &self.embedders, &self.stop)
    }

    /// A tenant of the first service, who writes, and the same of the second.
    pub fn tenant(&self, number: u128) -> Two {
        Two { embedded: self.embedded.tenant(number), qdrant: self.qdrant.tenant(number) }
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.place.clear().await;
        self.qdrant.database.close().await;
    }
}

pub fn config(place: &Place) -> Config {
    let mut config = Config { qdrant: place.config.clone(), ..Config::default() };
    config.index.backend = IndexBackend::Qdrant;
    assert_eq!(config.validate(), Vec::<String>::new());
    config
}

fn bench(
    name: &'static str,
    config: Config,
    database: &Database,
    embedders: &Embedders,
    stop: &CancellationToken,
) -> Bench {
    let context = testing::context(&std::env::temp_dir());
    let service = assemble_with(config, database.clone(), context, embedders.clone(), None, None);
    let channel =
        copydesk_rpc::Channel::local(name, testing::stack_until(service, stop.clone()), testing::metrics());
    Bench { name, channel, database: database.clone() }
}

/// Every pair that there is: each server with each database.
pub async fn pairs(embedders: &Embedders) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (_, database) in copydesk_store::testing::both(&MIGRATOR).await {
        pairs.push(Pair::new(double(), database, embedders.clone()).await);
    }
    for place in places().into_iter().filter(|place| place.double.is_none()) {
        let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
        pairs.push(Pair::new(place, database, embedders.clone()).await);
    }
    pairs
}

/// One tenant at both services.
pub struct Two {
    pub embedded: Tenant,
    pub qdrant: Tenant,
}

impl Two {
    /// The answer that both give.
    pub async fn search(&self, request: SearchRequest) -> SearchResponse {
        let request = SearchRequest { skip_cache: true, ..request };
        let ask = async |tenant: &Tenant| {
            let mut client = tenant.searches();
            Box::pin(tenant.run(patient(client.search(request.clone())))).await.unwrap().into_inner()
        };
        let (expected, found) = (ask(&self.embedded).await, ask(&self.qdrant).await);
        agree(&expected, &found, &format!("{request:?}"));
        found
    }

    /// The explanation that both give.
    pub async fn explain(&self, request: &SearchRequest, passage: &str) -> ExplainSearchResponse {
        let request = ExplainSearchRequest { search: Some(request.clone()), passage_id: passage.to_owned() };
        let ask = async |tenant: &Tenant| {
            let mut client = tenant.searches();
            Box::pin(tenant.run(patient(client.explain_search(request.clone())))).await.unwrap().into_inner()
        };
        let (expected, found) = (ask(&self.embedded).await, ask(&self.qdrant).await);
        let why = format!("{request:?}");
        hits_agree(expected.hit.as_slice(), found.hit.as_slice(), &why);
        near(expected.last_fused_score, found.last_fused_score, &why);
        assert_eq!(expected.lexical, found.lexical, "{why}");
        assert_eq!(expected.dense, found.dense, "{why}");
        assert_eq!(expected.sparse, found.sparse, "{why}");
        assert_eq!((expected.reason, expected.rank), (found.reason, found.rank), "{why}");
        assert_eq!(expected.place, found.place, "{why}");
        found
    }
}

/// A call with the longest deadline that the contract knows: what is compared are answers, not times.
async fn patient<T>(call: impl Future<Output = T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    CallContext::current().with_deadline(Some(deadline)).scope(Box::pin(call)).await
}

/// Two answers are the same but for what floats lose.
pub fn agree(expected: &SearchResponse, found: &SearchResponse, why: &str) {
    hits_agree(&expected.hits, &found.hits, why);
    assert_eq!(
        (expected.mode, expected.degraded, &expected.embedder, expected.sparse),
        (found.mode, found.degraded, &found.embedder, found.sparse),
        "{why}: {} {}",
        expected.degraded_reason,
        found.degraded_reason
    );
}

fn hits_agree(expected: &[SearchHit], found: &[SearchHit], why: &str) {
    let place = |hit: &SearchHit| {
        let passage = hit.passage.clone().unwrap_or_default();
        (passage.passage_id, hit.matched, hit.lexical_rank, hit.dense_rank, hit.sparse_rank)
    };
    let places = |hits: &[SearchHit]| hits.iter().map(place).collect::<Vec<_>>();
    assert_eq!(places(expected), places(found), "{why}");
    for (expected, found) in expected.iter().zip(found) {
        near(expected.lexical_score, found.lexical_score, why);
        near(expected.dense_score, found.dense_score, why);
        assert_eq!(expected.sparse_score, found.sparse_score, "{why}");
        near(expected.sparse_normal, found.sparse_normal, why);
        near(expected.lexical_normal, found.lexical_normal, why);
        near(expected.dense_normal, found.dense_normal, why);
        near(Some(expected.fused_score), Some(found.fused_score), why);
        assert_eq!(expected.passage, found.passage, "{why}");
    }
}

fn near(expected: Option<f64>, found: Option<f64>, why: &str) {
    match (expected, found) {
        (Some(expected), Some(found)) => {
            assert!((expected - found).abs() < 1e-5, "{expected} {found}: {why}")
        }
        (expected, found) => assert_eq!(expected, found, "{why}"),
    }
}

/// Waits for work that must end.
pub async fn ends<T>(work: impl IntoFuture<Output = T>) -> T {
    let work = Box::pin(work.into_future());
    tokio::time::timeout(Duration::from_secs(240), work).await.unwrap()
}
