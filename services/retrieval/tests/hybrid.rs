//! Both legs together, and what an answer says when one of them is gone.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{benches_with, doc, request};
use copydesk_proto::retrieval::v1::{SearchMode, SearchRequest};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::Config;
use copydesk_retrieval::adapters::{DatabaseStore, MIGRATOR, MemoryIndex, SystemClock};
use copydesk_retrieval::app::{Desk, Progress, Query, Uploads};
use copydesk_retrieval::domain::lens::Lens;
use copydesk_retrieval::domain::ranking::Leaf;
use copydesk_retrieval::domain::records::KnowledgeBase;
use copydesk_retrieval::domain::source::ContentType;
use copydesk_retrieval::metrics::Metrics;
use copydesk_retrieval::ports::{
    Corpus, EmbedError, Embedder, IndexError, KnowledgeStore, RequestKey, VectorIndex,
};
use copydesk_rpc::testing;
use copydesk_types::{KnowledgeBaseId, TenantId};

/// Counts letters: texts of the same letters are near. Fails on demand.
struct LetterEmbedder {
    broken: AtomicBool,
}

#[async_trait::async_trait]
impl Embedder for LetterEmbedder {
    fn id(&self) -> &str {
        "test/letters"
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(EmbedError { reason: "out of order".into() });
        }
        let vector = |text: String| {
            let mut counts = vec![0.0f32; 26];
            text.bytes().filter(u8::is_ascii_lowercase).for_each(|b| counts[usize::from(b - b'a')] += 1.0);
            counts
        };
        Ok(texts.into_iter().map(vector).collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_embedder_both_legs_answer_and_a_broken_one_is_admitted() {
    let embedder = Arc::new(LetterEmbedder { broken: false.into() });
    for bench in benches_with(Config::default(), Some(embedder.clone())).await {
        embedder.broken.store(false, Ordering::SeqCst);
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await;
        assert_eq!(base.embedder, "test/letters");
        let base = base.knowledge_base_id;
        let docs = [
            doc("words", SourceKind::Post, "the badger sleeps here"),
            doc("letters", SourceKind::Issue, "gebdra gebdra"),
            doc("neither", SourceKind::Issue, "oooo uuuu oooo"),
        ];
        tenant.ingest("r", &base, &docs).await;
        let answer = tenant.search_with(request(&[&base], "badger", 3)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded), (SearchMode::Hybrid, false));
        let hits: Vec<_> = answer
            .hits
            .iter()
            .map(|hit| (hit.passage.as_ref().unwrap().title.as_str(), hit.lexical_rank, hit.dense_rank))
            .collect();
        let expected = [("words", Some(1), Some(2)), ("letters", None, Some(1)), ("neither", None, Some(3))];
        assert_eq!(hits, expected, "on {}", bench.name);
        assert!((answer.hits[1].dense_score.unwrap() - 1.0).abs() < 1e-6);
        let only =
            SearchRequest { source_kinds: vec![SourceKind::Issue.into()], ..request(&[&base], "badger", 3) };
        assert_eq!(tenant.search_with(only).await.unwrap().hits.len(), 2);

        embedder.broken.store(true, Ordering::SeqCst);
        let answer = tenant.search_with(request(&[&base], "badger", 3)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded, answer.hits.len()), (SearchMode::Lexical, true, 1));
        assert!(answer.degraded_reason.contains("out of order"), "{}", answer.degraded_reason);
        let ended = tenant.ingest("r2", &base, &[doc("late", SourceKind::Post, "too late")]).await;
        assert_eq!(ended.failures[0].reason, "EMBEDDER_FAILED");
        bench.database.close().await;
    }
}

/// An index whose every scan is lost.
struct LostIndex;

#[async_trait::async_trait]
impl VectorIndex for LostIndex {
    async fn by_meaning(&self, _: &Corpus, _: Vec<f32>, _: &Lens, _: usize) -> Result<Vec<Leaf>, IndexError> {
        let scan = tokio::spawn(std::future::pending::<Vec<Leaf>>());
        scan.abort();
        Ok(scan.await?)
    }
}

#[tokio::test]
async fn a_lost_scan_of_meanings_is_admitted_too() {
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let store = Arc::new(DatabaseStore::new(database.clone()));
    let (config, context) = (Config::default(), testing::context(&std::env::temp_dir()));
    let desk = Desk {
        knowledge: store.clone(),
        ingestions: store.clone(),
        words: Arc::new(MemoryIndex::new(store.clone(), 1)),
        meanings: Arc::new(LostIndex),
        embedder: Some(Arc::new(LetterEmbedder { broken: false.into() })),
        clock: Arc::new(SystemClock),
        progress: Arc::new(Progress::default()),
        uploads: Uploads::new(&config.limits),
        metrics: Metrics::new(&context.meter),
        minter: context.minter,
        config: Arc::new(config),
    };
    let (tenant, id) = (TenantId::from_u128(1), KnowledgeBaseId::generate());
    let base = KnowledgeBase {
        id,
        name: "company".into(),
        documents: 0,
        chunks: 0,
        version: 1,
        create_time: 5,
        embedder: "test/letters".into(),
    };
    let request = RequestKey { id: "r".into(), fingerprint: "body".into() };
    store.create_knowledge_base(tenant, &base, &request).await.unwrap();
    let query = Query {
        knowledge_bases: vec![id],
        text: "badger".into(),
        top_k: None,
        content_type: ContentType::Blog,
        lens: Lens::all(),
    };
    let found = desk.search(tenant, query).await.unwrap();
    assert!(!found.hybrid);
    assert!(found.degraded.is_some_and(|reason| reason.contains("lost")));
    database.close().await;
}
