//! Another tenant's documents are in no answer and in no number, on every way to search.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::Arc;

use crate::common::models::{LetterEmbedder, Script, ScriptedReranker};
use crate::common::{Tenant, benches_with_models, doc, passage_ids, request, thirty};
use copydesk_proto::retrieval::v1::batch_search_result::Outcome;
use copydesk_proto::retrieval::v1::{
    BatchSearchRequest, ExplainSearchRequest, ExplainSearchResponse, GetPassageRequest, MmrOptions,
    RerankOptions, SearchMode, SearchRequest, SearchResponse, SourceQuota,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::Config;
use tonic::Code;

/// A search by every way.
fn ways(base: &str) -> Vec<SearchRequest> {
    let plain = SearchRequest { skip_cache: true, ..request(&[base], "What does a walnut cost a month?", 7) };
    let quota = SourceQuota { source_kind: SourceKind::Post.into(), at_least: Some(2), at_most: Some(4) };
    vec![
        plain.clone(),
        SearchRequest { mode: SearchMode::Lexical.into(), ..plain.clone() },
        SearchRequest { skip_cache: false, ..plain.clone() },
        SearchRequest { mmr: Some(MmrOptions { lambda: 0.5 }), ..plain.clone() },
        SearchRequest { rerank: Some(RerankOptions::default()), ..plain.clone() },
        SearchRequest { source_quotas: vec![quota], ..plain },
    ]
}

/// Everything that a tenant can see of its knowledge base by searching.
async fn seen(
    tenant: &Tenant,
    base: &str,
    passage: &str,
) -> (Vec<SearchResponse>, Vec<ExplainSearchResponse>) {
    let (mut answers, mut reasons) = (Vec::new(), Vec::new());
    for way in ways(base) {
        let answer = tenant.search_with(way.clone()).await.unwrap();
        answers.push(SearchResponse { cached: false, ..answer });
        let request = ExplainSearchRequest { search: Some(way), passage_id: passage.into() };
        reasons.push(tenant.run(tenant.searches().explain_search(request)).await.unwrap().into_inner());
    }
    let batch = BatchSearchRequest { searches: ways(base) };
    let batch = tenant.run(tenant.searches().batch_search(batch)).await.unwrap().into_inner();
    for result in batch.results {
        let Some(Outcome::Response(answer)) = result.outcome else { unreachable!("{result:?}") };
        answers.push(SearchResponse { cached: false, ..answer });
    }
    (answers, reasons)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hit_and_no_number_comes_from_another_tenant() {
    let models = || {
        let reranker = Arc::new(ScriptedReranker::new(Script::ShortestFirst));
        (Some(Arc::new(LetterEmbedder::default()) as _), Some(reranker as _))
    };
    let (embedder, reranker) = models();
    for bench in benches_with_models(Config::default(), embedder, reranker).await {
        let (tenant, other) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("company").await.knowledge_base_id;
        tenant.ingest("r", &base, &thirty()).await;
        let own = passage_ids(&bench.database).await;
        let before = seen(&tenant, &base, &own[3]).await;

        let foreign = other.new_base("company").await.knowledge_base_id;
        let walnuts =
            (0..40).map(|at| doc(&format!("{at}"), SourceKind::Post, "A walnut costs nothing a month."));
        let mut docs = thirty();
        docs.extend(walnuts);
        other.ingest("r", &foreign, &docs).await;
        seen(
            &other,
            &foreign,
            passage_ids(&bench.database).await.iter().find(|id| !own.contains(id)).unwrap(),
        )
        .await;
        let after = seen(&tenant, &base, &own[3]).await;
        assert_eq!(before, after, "on {}", bench.name);
        let hits = after.0.iter().flat_map(|answer| &answer.hits);
        assert!(hits.map(|hit| &hit.passage.as_ref().unwrap().passage_id).all(|id| own.contains(id)));

        let theirs = passage_ids(&bench.database).await.into_iter().find(|id| !own.contains(id)).unwrap();
        let explain =
            ExplainSearchRequest { search: Some(ways(&base).remove(0)), passage_id: theirs.clone() };
        let status = tenant.run(tenant.searches().explain_search(explain)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        let shown = GetPassageRequest { passage_id: theirs };
        assert_eq!(
            tenant.run(tenant.searches().get_passage(shown)).await.unwrap_err().code(),
            Code::NotFound
        );
        for way in ways(&foreign) {
            assert_eq!(tenant.search_with(way).await.unwrap_err().code(), Code::NotFound);
        }
        let searches = vec![ways(&base).remove(0), ways(&foreign).remove(0)];
        let batch =
            tenant.run(tenant.searches().batch_search(BatchSearchRequest { searches })).await.unwrap();
        let outcomes: Vec<Outcome> =
            batch.into_inner().results.into_iter().filter_map(|one| one.outcome).collect();
        assert!(matches!(&outcomes[0], Outcome::Response(_)));
        assert!(matches!(&outcomes[1], Outcome::Error(error) if error.code == Code::NotFound as i32));
        bench.database.close().await;
    }
}
