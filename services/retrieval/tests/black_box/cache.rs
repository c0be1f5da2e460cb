//! Answers that are given again, and when they are not.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::common::models::{Script, ScriptedReranker};
use crate::common::{benches, benches_with_models, doc, request, titles};
use copydesk_proto::retrieval::v1::{DeleteDocumentRequest, RerankOptions, SearchRequest};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::{DatabaseStore, MIGRATOR, SystemResolver};
use copydesk_retrieval::app::{Desk, Query};
use copydesk_retrieval::domain::records::KnowledgeBase;
use copydesk_retrieval::domain::source::KnowledgeBaseKind;
use copydesk_retrieval::embedders::Embedders;
use copydesk_retrieval::ports::{Clock, KnowledgeStore, RequestKey};
use copydesk_retrieval::{Config, Outside, QueryCache as Settings};
use copydesk_rpc::testing;
use copydesk_types::{KnowledgeBaseId, TenantId};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_search_is_answered_once_until_something_changes() {
    for bench in benches().await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let docs = [
            doc("a", SourceKind::Post, "One heron."),
            doc("b", SourceKind::Post, "Two herons, and a secret."),
        ];
        tenant.ingest("r1", &base, &docs).await;
        let ask = request(&[&base], "heron secret", 5);
        let first = tenant.search_with(ask.clone()).await.unwrap();
        let again = tenant.search_with(ask.clone()).await.unwrap();
        assert_eq!((first.cached, again.cached, first.hits.len()), (false, true, 2));
        assert_eq!(again.hits, first.hits);
        assert_eq!(again.knowledge_bases, first.knowledge_bases);
        let anew = SearchRequest { skip_cache: true, ..ask.clone() };
        assert!(!tenant.search_with(anew).await.unwrap().cached);
        for other in [
            SearchRequest { top_k: 4, ..ask.clone() },
            SearchRequest { query: "heron  secret".into(), ..ask.clone() },
            SearchRequest { exclude_source_kinds: vec![SourceKind::Issue.into()], ..ask.clone() },
        ] {
            assert!(!tenant.search_with(other).await.unwrap().cached);
        }
        let order = request(&[&base, &base], "heron secret", 5);
        assert!(
            !tenant.search_with(order).await.unwrap().cached,
            "another request, though it means the same"
        );

        let secret =
            first.hits.iter().find(|hit| hit.passage.as_ref().unwrap().text.contains("secret")).unwrap();
        let delete =
            DeleteDocumentRequest { document_id: secret.passage.as_ref().unwrap().document_id.clone() };
        tenant.run(tenant.knowledge().delete_document(delete)).await.unwrap();
        let after = tenant.search_with(ask.clone()).await.unwrap();
        assert_eq!((after.cached, titles(&after.hits)), (false, vec!["a".to_owned()]));
        assert!(after.knowledge_bases[0].version > first.knowledge_bases[0].version);
        tenant.ingest("r2", &base, &[doc("c", SourceKind::Post, "A third heron.")]).await;
        let more = tenant.search_with(ask.clone()).await.unwrap();
        assert_eq!((more.cached, more.hits.len()), (false, 2));

        let stranger = bench.tenant(2).search_with(ask).await.unwrap_err();
        assert_eq!(stranger.code(), tonic::Code::NotFound);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_degraded_answer_is_not_kept() {
    let reranker = Arc::new(ScriptedReranker::new(Script::Fails));
    let bench = benches_with_models(Config::default(), None, Some(reranker.clone())).await.remove(0);
    let tenant = bench.tenant(1);
    let base = tenant.new_base("company").await.knowledge_base_id;
    tenant.ingest("r", &base, &[doc("a", SourceKind::Post, "One heron.")]).await;
    let ask = SearchRequest { rerank: Some(RerankOptions::default()), ..request(&[&base], "heron", 1) };
    let seen = |answer: copydesk_proto::retrieval::v1::SearchResponse| (answer.degraded, answer.cached);
    assert_eq!(seen(tenant.search_with(ask.clone()).await.unwrap()), (true, false));
    assert_eq!(seen(tenant.search_with(ask.clone()).await.unwrap()), (true, false));
    reranker.tell(Script::ShortestFirst);
    assert_eq!(seen(tenant.search_with(ask.clone()).await.unwrap()), (false, false));
    assert_eq!(seen(tenant.search_with(ask).await.unwrap()), (false, true));
}

/// A clock that is set by hand.
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn an_answer_holds_for_its_time_and_memory_is_bounded() {
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let store = DatabaseStore::new(database.clone());
    let clock = Arc::new(HandClock(AtomicI64::new(1_000)));
    let query_cache = Settings { ttl_seconds: 60, max_bytes: 4_096 };
    let config = Config { query_cache, ..Config::default() };
    let context = testing::context(&std::env::temp_dir());
    let outside = Outside {
        embedders: Embedders::only(None),
        reranker: None,
        ocr: None,
        resolver: Arc::new(SystemResolver),
        places: None,
    };
    let desk =
        Desk { clock: clock.clone(), ..copydesk_retrieval::desk(config, database.clone(), context, outside) };
    let (tenant, id) = (TenantId::from_u128(1), KnowledgeBaseId::generate());
    let base = KnowledgeBase {
        id,
        name: "company".into(),
        documents: 0,
        chunks: 0,
        version: 1,
        create_time: 5,
        embedder: String::new(),
        dimensions: 0,
        kind: KnowledgeBaseKind::General,
        reembedding: None,
    };
    let request = RequestKey { id: "r".into(), fingerprint: "body".into() };
    store.create_knowledge_base(tenant, &base, &request).await.unwrap();
    let cached = async |text: &str| desk.search(tenant, Query::new(vec![id], text)).await.unwrap().cached;
    assert!(!cached("heron").await && cached("heron").await);
    clock.0.store(1_000 + 59_999, Ordering::SeqCst);
    assert!(cached("heron").await);
    clock.0.store(1_000 + 60_000, Ordering::SeqCst);
    assert!(!cached("heron").await, "its time is over");
    assert!(cached("heron").await);
    for at in 0..100 {
        assert!(!cached(&format!("heron {at}")).await);
    }
    assert!((1..=4_096).contains(&desk.cache.held()), "{}", desk.cache.held());
    database.close().await;
}
