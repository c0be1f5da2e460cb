//! Search by meaning through a graph: what it finds, beside changes, and what is said of what it misses.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use crate::common::models::LetterEmbedder;
use crate::common::{benches_with, doc, passage_ids};
use async_trait::async_trait;
use copydesk_proto::types::v1::SourceKind as Kind;
use copydesk_retrieval::adapters::{MemoryIndex, SystemResolver};
use copydesk_retrieval::app::{Desk, Query};
use copydesk_retrieval::domain::attributes::{Attributes, Flat, Scalar};
use copydesk_retrieval::domain::filter::{Facts, FieldPath, Filter, Test};
use copydesk_retrieval::domain::lens::Lens;
use copydesk_retrieval::domain::ranking::Leaf;
use copydesk_retrieval::domain::source::{ContentType, SourceKind};
use copydesk_retrieval::domain::terms::DocumentTerms;
use copydesk_retrieval::domain::token_weights::TokenWeights;
use copydesk_retrieval::domain::verdict::Reason;
use copydesk_retrieval::embedders::Embedders;
use copydesk_retrieval::ports::{
    Change, ChunkedDocument, Corpus, IndexError, IndexSource, LexicalIndex, StoredChunk, VectorIndex,
};
use copydesk_retrieval::{Config, IndexConfig, Outside};
use copydesk_rpc::testing;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, TenantId};

const WIDTH: usize = 16;
const CHUNKS: u128 = 10;
const TENANT: TenantId = TenantId::from_u128(1);
const BASE: KnowledgeBaseId = KnowledgeBaseId::from_u128(1);

/// A vector near one of fifty places.
fn vector(dice: &mut fastrand::Rng) -> Vec<f32> {
    let mut place = fastrand::Rng::with_seed(dice.u64(..50));
    (0..WIDTH).map(|_| place.f32() - 0.5 + 0.4 * (dice.f32() - 0.5)).collect()
}

/// A document of ten chunks, each a passage, made from its number and how often it was written.
fn document(number: u128, edition: u64) -> ChunkedDocument {
    let mut dice = fastrand::Rng::with_seed(number as u64 * 1_000 + edition);
    let chunks = (0..CHUNKS).map(|at| StoredChunk {
        passage: PassageId::from_u128(number * 100 + at),
        ordinal: 0,
        span: 0..1,
        vector: Some(vector(&mut dice)),
        weights: None,
    });
    let said = serde_json::json!({"half": number % 2, "twentieth": number % 20}).to_string();
    let facts = Facts {
        id: DocumentId::from_u128(number),
        key: number.to_string().into(),
        title: "".into(),
        kind: SourceKind::Document,
        content_type: ContentType::Blog,
        update_time: 0,
        attributes: Flat::of(&Attributes::from_json(&said).unwrap()),
    };
    ChunkedDocument { facts, terms: DocumentTerms::of("", ["a"; 10].into_iter()), chunks: chunks.collect() }
}

/// The number of a leaf's document.
fn of(leaf: &Leaf) -> u128 {
    leaf.passage.as_u128() / 100
}

/// Rows that a test writes and deletes: each document's last version, and its edition while it is there.
#[derive(Default)]
struct Rows(Mutex<BTreeMap<u128, (u64, Option<u64>)>>);

impl Rows {
    fn write(&self, number: u128, edition: Option<u64>) {
        let mut rows = self.0.lock().unwrap();
        let version = rows.values().map(|(version, _)| *version).max().unwrap_or_default() + 1;
        rows.insert(number, (version, edition));
    }
}

#[async_trait]
impl IndexSource for Rows {
    async fn changes(&self, _: TenantId, _: KnowledgeBaseId, after: u64) -> Result<Vec<Change>, StoreError> {
        let rows = self.0.lock().unwrap();
        let changed = rows.iter().filter(|(_, (version, _))| *version > after);
        let mut changes: Vec<Change> = changed
            .map(|(number, (version, edition))| Change {
                document: DocumentId::from_u128(*number),
                version: *version,
                chunks: if edition.is_some() { 10 } else { 0 },
            })
            .collect();
        changes.sort_by_key(|change| change.version);
        Ok(changes)
    }

    async fn chunked(&self, _: TenantId, ids: &[DocumentId]) -> Result<Vec<ChunkedDocument>, StoreError> {
        let rows = self.0.lock().unwrap();
        let held = ids.iter().filter_map(|id| Some((id.as_u128(), rows.get(&id.as_u128())?.1?)));
        Ok(held.map(|(number, edition)| document(number, edition)).collect())
    }

    async fn last_changes(
        &self,
        _: TenantId,
        _: KnowledgeBaseId,
        _: &[DocumentId],
    ) -> Result<HashMap<DocumentId, u64>, StoreError> {
        Ok(HashMap::new())
    }

    async fn every_knowledge_base(&self) -> Result<Vec<(TenantId, KnowledgeBaseId, u64)>, StoreError> {
        Ok(Vec::new())
    }
}

/// An index over rows of its own.
struct Library {
    rows: Arc<Rows>,
    index: MemoryIndex,
}

impl Library {
    fn new(config: IndexConfig) -> Self {
        let rows = Arc::new(Rows::default());
        Self { index: MemoryIndex::new(rows.clone(), config), rows }
    }

    /// One of five hundred documents whose graph is made: five thousand vectors.
    async fn with_graph(above: u64) -> Self {
        let library = Self::new(IndexConfig { graph_above: above, ..IndexConfig::default() });
        (0..500).for_each(|number| library.rows.write(number, Some(0)));
        library.near(&[1.0; WIDTH], &Lens::all(), 1).await;
        library.index.settled().await;
        library
    }

    fn corpus(&self) -> Corpus {
        let rows = self.rows.0.lock().unwrap();
        let version = rows.values().map(|(version, _)| *version).max().unwrap_or_default();
        Corpus { tenant: TENANT, knowledge_bases: vec![(BASE, version)] }
    }

    async fn near(&self, query: &[f32], lens: &Lens, parents: usize) -> Vec<Leaf> {
        self.index.by_meaning(&self.corpus(), query.to_vec(), lens, parents).await.unwrap()
    }

    /// The share of the nearest ten that are found, over fifty queries. As many come as there are.
    async fn recall(&self, lens: &Lens) -> f64 {
        let (mut same, mut all) = (0, 0);
        let exact = Lens { exact: true, ..lens.clone() };
        for query in queries(50) {
            let (found, nearest) = (self.near(&query, lens, 10).await, self.near(&query, &exact, 10).await);
            assert_eq!(found.len(), 10);
            same += found.iter().filter(|leaf| nearest.contains(leaf)).count();
            all += nearest.len();
        }
        f64::from(same as u32) / f64::from(all as u32)
    }
}

fn queries(count: usize) -> Vec<Vec<f32>> {
    let mut dice = fastrand::Rng::with_seed(77);
    (0..count).map(|_| vector(&mut dice)).collect()
}

fn only(name: &str) -> Lens {
    let test = Test::OneOf(vec![Scalar::Number(1.0)]);
    Lens { filter: Some(Arc::new(Filter::Field(FieldPath::Attribute(name.into()), test))), ..Lens::all() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_finds_nearly_all_whatever_the_filter() {
    let library = Library::with_graph(1_000).await;
    let plain = Library::with_graph(1_000_000).await;
    let graph = library.index.held().1 - plain.index.held().1;
    assert!(graph > 5_000 * 32 * 4, "it is counted in the memory: {graph}");
    for lens in [Lens::all(), only("half"), only("twentieth")] {
        let found = library.recall(&lens).await;
        assert!(found >= 0.98, "{found} through {lens:?}");
        assert!((plain.recall(&lens).await - 1.0).abs() < f64::EPSILON, "below the number it is exact");
    }
    let again = Library::with_graph(1_000).await;
    for query in queries(50) {
        let first = library.near(&query, &Lens::all(), 10).await;
        assert_eq!(first, again.near(&query, &Lens::all(), 10).await, "the same rows give the same answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_seen_while_graphs_are_made() {
    let library = Arc::new(Library::new(IndexConfig { graph_above: 1_000, ..IndexConfig::default() }));
    (0..300).for_each(|number| library.rows.write(number, Some(0)));
    let searcher = tokio::spawn({
        let library = library.clone();
        async move {
            for query in queries(200) {
                let gone: Vec<u128> = {
                    let rows = library.rows.0.lock().unwrap();
                    rows.iter()
                        .filter(|(_, (_, edition))| edition.is_none())
                        .map(|(number, _)| *number)
                        .collect()
                };
                let found = library.near(&query, &Lens::all(), 20).await;
                assert!(found.iter().all(|leaf| !gone.contains(&of(leaf))), "what was deleted is not found");
            }
        }
    });
    for round in 0..150u128 {
        library.rows.write(round * 2, None);
        library.rows.write(round * 2 + 1, Some(1));
        library.rows.write(1_000 + round, Some(0));
        for (number, edition) in [(round * 2 + 1, 1), (1_000 + round, 0)] {
            let vector = document(number, edition).chunks[3].vector.clone().unwrap();
            let found = library.near(&vector, &Lens::all(), 10).await;
            assert_eq!(found[0].passage.as_u128(), number * 100 + 3, "what was written is found at once");
        }
        if round % 50 == 49 {
            library.index.settled().await;
        }
    }
    searcher.await.unwrap();
    library.index.settled().await;
    let found = library.recall(&Lens::all()).await;
    assert!(found >= 0.98, "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_dropped_while_its_graph_is_made_is_built_again() {
    let library = Library::new(IndexConfig { graph_above: 1_000, ..IndexConfig::default() });
    (0..300).for_each(|number| library.rows.write(number, Some(0)));
    for _ in 0..3 {
        assert_eq!(library.near(&[1.0; WIDTH], &Lens::all(), 10).await.len(), 10);
        library.index.forget(TENANT, BASE);
    }
    let found = library.recall(&Lens::all()).await;
    library.index.settled().await;
    assert!(found >= 0.98 && library.recall(&Lens::all()).await >= 0.98);
}

/// An index that does not reach one passage, as a graph may not.
struct Unreached {
    index: MemoryIndex,
    passage: PassageId,
}

#[async_trait]
impl VectorIndex for Unreached {
    async fn by_meaning(
        &self,
        corpus: &Corpus,
        vector: Vec<f32>,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        let mut found = self.index.by_meaning(corpus, vector, lens, parents + 1).await?;
        if !lens.exact {
            found.retain(|leaf| leaf.passage != self.passage);
        }
        found.truncate(parents);
        Ok(found)
    }

    async fn by_tokens(
        &self,
        corpus: &Corpus,
        weights: &TokenWeights,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        self.index.by_tokens(corpus, weights, lens, parents).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_graph_did_not_reach_is_explained_as_that() {
    let embedder = Arc::new(LetterEmbedder::default());
    let bench = benches_with(Config::default(), Some(embedder.clone())).await.remove(0);
    let tenant = bench.tenant(1);
    let base = tenant.new_base("letters").await.knowledge_base_id;
    // All are near "okapi", the first ones the nearest; none has the word.
    let docs: Vec<_> = (0..120)
        .map(|at| doc(&format!("{at:03}"), Kind::Post, format!("ipako{}", "z".repeat(at / 2 + 1))))
        .collect();
    tenant.ingest("r", &base, &docs).await;
    let ids: Vec<PassageId> =
        passage_ids(&bench.database).await.iter().map(|id| id.parse().unwrap()).collect();
    let outside = Outside {
        embedders: Embedders::only(Some(embedder)),
        reranker: None,
        ocr: None,
        resolver: Arc::new(SystemResolver),
        places: None,
    };
    let context = testing::context(&std::env::temp_dir());
    let desk = copydesk_retrieval::desk(Config::default(), bench.database.clone(), context, outside);
    let store = Arc::new(copydesk_retrieval::adapters::DatabaseStore::new(bench.database.clone()));
    let query = Query::new(vec![base.parse().unwrap()], "okapi");
    let mut reasons = BTreeMap::new();
    for passage in [ids[0], ids[1], ids[119]] {
        let index = MemoryIndex::new(store.clone(), IndexConfig::default());
        let desk = Desk { meanings: Arc::new(Unreached { index, passage }), ..desk.clone() };
        let why = desk.explain(tenant.id, query.clone(), passage).await.unwrap();
        reasons.insert(passage, why.reason);
        assert!(why.hit.is_none());
        let exact = Query { lens: Lens { exact: true, ..Lens::all() }, ..query.clone() };
        let why = desk.explain(tenant.id, exact, passage).await.unwrap();
        assert_ne!(why.reason, Reason::NotReached);
    }
    let expected =
        [(ids[0], Reason::NotReached), (ids[1], Reason::NotReached), (ids[119], Reason::NotACandidate)];
    assert_eq!(reasons, expected.into());
    bench.database.close().await;
}
