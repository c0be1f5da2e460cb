//! Both legs together, and what an answer says when one of them is gone.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::models::LetterEmbedder;
use crate::common::{benches_with, doc, request};
use copydesk_proto::retrieval::v1::{SearchMode, SearchRequest};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::{DatabaseStore, MIGRATOR, SystemResolver};
use copydesk_retrieval::app::{Desk, Query};
use copydesk_retrieval::domain::lens::Lens;
use copydesk_retrieval::domain::ranking::Leaf;
use copydesk_retrieval::domain::records::KnowledgeBase;
use copydesk_retrieval::domain::source::KnowledgeBaseKind;
use copydesk_retrieval::domain::token_weights::TokenWeights;
use copydesk_retrieval::embedders::Embedders;
use copydesk_retrieval::ports::{
    Corpus, EmbedError, Embedded, Embedder, IndexError, KnowledgeStore, Purpose, RequestKey, VectorIndex,
};
use copydesk_retrieval::{Config, Outside};
use copydesk_rpc::{CallContext, testing};
use copydesk_types::{KnowledgeBaseId, TenantId};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_embedder_both_legs_answer_and_a_broken_one_is_admitted() {
    let embedder = Arc::new(LetterEmbedder::default());
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
        let kept = tenant.search_with(request(&[&base], "badger", 3)).await.unwrap();
        assert_eq!((kept.mode(), kept.cached, &kept.hits), (SearchMode::Hybrid, true, &answer.hits));
        // The vector of the same words is kept too.
        let anew = SearchRequest { skip_cache: true, ..request(&[&base], "badger?", 3) };
        let answer = tenant.search_with(anew).await.unwrap();
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

    async fn by_tokens(
        &self,
        _: &Corpus,
        _: &TokenWeights,
        _: &Lens,
        _: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        Ok(Vec::new())
    }
}

/// A desk over a new database with a knowledge base of the letter embedder.
async fn desk(
    meanings: Option<Arc<dyn VectorIndex>>,
    embedder: Arc<dyn Embedder>,
) -> (Desk, TenantId, KnowledgeBaseId) {
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let store = DatabaseStore::new(database.clone());
    let context = testing::context(&std::env::temp_dir());
    let outside = Outside {
        embedders: Embedders::only(Some(embedder)),
        reranker: None,
        ocr: None,
        resolver: Arc::new(SystemResolver),
        places: None,
    };
    let mut desk = copydesk_retrieval::desk(Config::default(), database, context, outside);
    if let Some(meanings) = meanings {
        desk.meanings = meanings;
    }
    let (tenant, id) = (TenantId::from_u128(1), KnowledgeBaseId::generate());
    let base = KnowledgeBase {
        id,
        name: "company".into(),
        documents: 0,
        chunks: 0,
        version: 1,
        create_time: 5,
        embedder: "test/letters".into(),
        dimensions: 26,
        kind: KnowledgeBaseKind::General,
        reembedding: None,
    };
    let request = RequestKey { id: "r".into(), fingerprint: "body".into() };
    store.create_knowledge_base(tenant, &base, &request).await.unwrap();
    (desk, tenant, id)
}

#[tokio::test]
async fn a_lost_scan_of_meanings_is_admitted_too() {
    let (desk, tenant, id) = desk(Some(Arc::new(LostIndex)), Arc::new(LetterEmbedder::default())).await;
    let found = desk.search(tenant, Query::new(vec![id], "badger")).await.unwrap();
    assert!(!found.hybrid());
    assert!(found.degraded.is_some_and(|reason| reason.contains("lost")));
}

/// A model that never answers.
struct SilentEmbedder;

#[async_trait::async_trait]
impl Embedder for SilentEmbedder {
    fn id(&self) -> &str {
        "test/letters"
    }

    fn dimensions(&self) -> usize {
        26
    }

    async fn embed(&self, _: Vec<String>, _: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_silent_model_takes_half_of_the_time_and_no_more() {
    let (desk, tenant, id) = desk(None, Arc::new(SilentEmbedder)).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(200);
    let call = CallContext::default().with_deadline(Some(deadline));
    let found = call.scope(desk.search(tenant, Query::new(vec![id], "badger"))).await.unwrap();
    assert!(!found.hybrid());
    assert!(found.degraded.is_some_and(|reason| reason.contains("no vector came within")));
}
