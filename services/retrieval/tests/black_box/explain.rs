//! Several searches at once, and why a passage is found or not: both must say what Search says.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::models::{LetterEmbedder, Script, ScriptedReranker};
use crate::common::{Doc, Tenant, benches_with_models, doc, passage_ids, refusal, request};
use copydesk_proto::retrieval::v1::batch_search_result::Outcome;
use copydesk_proto::retrieval::v1::field_condition::Test;
use copydesk_proto::retrieval::v1::filter::Condition;
use copydesk_proto::retrieval::v1::{
    BatchSearchRequest, ExplainReason, ExplainSearchRequest, ExplainSearchResponse, FieldCondition, Filter,
    FusionMethod, FusionOptions, MmrOptions, RerankOptions, SearchMode, SearchRequest, SearchResponse,
    SourceQuota, SourceWeight,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::Config;
use tonic::{Code, Status};

const KINDS: [SourceKind; 4] =
    [SourceKind::Document, SourceKind::Issue, SourceKind::Commit, SourceKind::Readme];
const WORDS: [&str; 12] =
    ["heron", "river", "cold", "van", "truck", "alert", "night", "market", "lamp", "road", "poplar", "nest"];

/// Documents of words that look drawn by lot but are always the same.
fn library(count: usize) -> Vec<Doc> {
    let mut state = 7u64;
    let mut draw = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut text = |words: usize| {
        let words: Vec<&str> = (0..words).map(|_| WORDS[draw(WORDS.len() - 2)]).collect();
        words.join(" ")
    };
    // Titles say nothing: a chunk is found by its own words.
    (0..count).map(|at| doc(&format!("{at}"), KINDS[at % 4], text(3 + at % 17))).collect()
}

/// Searches of all sorts.
fn searches(base: &str) -> Vec<SearchRequest> {
    let plain = |query: &str, top_k| request(&[base], query, top_k);
    let weights = |list: &[(SourceKind, f64)]| {
        list.iter()
            .map(|(kind, weight)| SourceWeight { source_kind: (*kind).into(), weight: *weight })
            .collect()
    };
    let quota =
        |kind: SourceKind, at_least, at_most| SourceQuota { source_kind: kind.into(), at_least, at_most };
    let rrf = FusionOptions { method: FusionMethod::Rrf.into(), ..FusionOptions::default() };
    let both = SearchRequest {
        source_weights: weights(&[(SourceKind::Readme, 1.5), (SourceKind::Document, 0.7)]),
        mmr: Some(MmrOptions { lambda: 0.4 }),
        source_quotas: vec![quota(SourceKind::Commit, Some(2), Some(3))],
        ..plain("river heron in the night", 6)
    };
    let only = FieldCondition { path: "@source_kind".into(), test: Some(Test::Equals("readme".into())) };
    let readmes = Filter { condition: Some(Condition::Field(only)) };
    vec![
        SearchRequest { filter: Some(readmes), ..plain("heron river", 5) },
        plain("heron river", 5),
        plain("cold cold van", 1),
        plain("nothing of the kind", 3),
        plain("poplar nest", 3),
        SearchRequest { mode: SearchMode::Lexical.into(), ..plain("heron river", 4) },
        SearchRequest { fusion: Some(rrf), ..plain("alert at night", 7) },
        SearchRequest {
            source_weights: weights(&[(SourceKind::Issue, 4.0), (SourceKind::Commit, 0.25)]),
            ..plain("truck on the road", 5)
        },
        SearchRequest {
            source_quotas: vec![
                quota(SourceKind::Issue, None, Some(1)),
                quota(SourceKind::Readme, Some(3), None),
            ],
            ..plain("lamp market", 5)
        },
        SearchRequest { mmr: Some(MmrOptions { lambda: 0.2 }), ..plain("cold river van", 6) },
        SearchRequest {
            rerank: Some(RerankOptions { candidates: 9, ..RerankOptions::default() }),
            ..plain("road lamp", 4)
        },
        SearchRequest { exclude_source_kinds: vec![SourceKind::Issue.into()], ..plain("heron", 5) },
        SearchRequest {
            rerank: Some(RerankOptions::default()),
            mode: SearchMode::Lexical.into(),
            ..both.clone()
        },
        both,
    ]
}

async fn explained(
    tenant: &Tenant,
    search: &SearchRequest,
    passage: &str,
) -> Result<ExplainSearchResponse, Status> {
    let request = ExplainSearchRequest { search: Some(search.clone()), passage_id: passage.into() };
    Ok(tenant.run(tenant.searches().explain_search(request)).await?.into_inner())
}

/// Everything that the explanation of a passage must share with the answer.
fn agrees(answer: &SearchResponse, why: &ExplainSearchResponse, passage: &str) {
    let at = answer.hits.iter().position(|hit| hit.passage.as_ref().unwrap().passage_id == passage);
    assert_eq!((why.returned, why.rank as usize), (at.is_some(), at.map_or(0, |at| at + 1)), "{why:#?}");
    assert_eq!(why.reason() == ExplainReason::Returned, why.returned);
    assert_eq!((why.mode(), why.degraded), (answer.mode(), answer.degraded));
    assert_eq!(why.returned_count as usize, answer.hits.len());
    assert_eq!(why.last_fused_score, answer.hits.last().map(|hit| hit.fused_score));
    assert!(!why.message.is_empty());
    if let Some(at) = at {
        assert_eq!(why.hit.as_ref(), Some(&answer.hits[at]), "the numbers of the answer");
    }
    let near = |left: f64, right: f64| (left - right).abs() < 1e-9 * left.abs().max(1.0);
    if let Some(lexical) = &why.lexical {
        let sum: f64 = lexical.terms.iter().map(|term| term.contribution).sum();
        assert!(near(sum, lexical.score), "{lexical:?}");
        for term in &lexical.terms {
            assert_eq!(term.contribution > 0.0, term.in_chunk > 0, "{term:?}");
            let (all, holding) = (lexical.chunk_count as f64, term.document_frequency as f64);
            assert!(near(term.idf, (1.0 + (all - holding + 0.5) / (holding + 0.5)).ln()));
        }
    }
    let Some(hit) = &why.hit else { return };
    let place = why.place.unwrap();
    assert!(place.fused <= place.candidates && place.returned == why.rank);
    if let Some(score) = hit.lexical_score {
        assert!(near(score, why.lexical.as_ref().unwrap().score), "{why:#?}");
    }
    if let Some(score) = hit.dense_score {
        assert!((score - why.dense.as_ref().unwrap().cosine.unwrap()).abs() < 1e-6, "{why:#?}");
    }
    assert_eq!(why.matched, hit.matched);
}

/// What a reason claims, checked against the numbers beside it.
fn holds(search: &SearchRequest, why: &ExplainSearchResponse) {
    let wanted = why.wanted_count;
    match why.reason() {
        ExplainReason::Returned => assert!(why.returned),
        ExplainReason::ScoreTooLow => {
            let place = why.place.unwrap();
            assert!(place.fused > wanted, "{why:#?}");
            let plain = search.mmr.is_none() && search.rerank.is_none() && search.source_quotas.is_empty();
            assert!(!plain || why.hit.as_ref().unwrap().fused_score <= why.last_fused_score.unwrap());
        }
        ExplainReason::Reranked => {
            let place = why.place.unwrap();
            assert!(search.rerank.is_some() && place.fused <= wanted && place.reranked > wanted);
        }
        ExplainReason::TooSimilar => {
            let place = why.place.unwrap();
            assert!(search.mmr.is_some() && place.reranked <= wanted && place.diversified > wanted);
        }
        ExplainReason::Quota => assert!(!search.source_quotas.is_empty()),
        ExplainReason::SourceKindExcluded => {
            assert!(!search.exclude_source_kinds.is_empty() && why.lexical.is_none() && why.hit.is_none());
        }
        ExplainReason::Filtered => {
            assert!(search.filter.is_some() && why.lexical.is_none() && why.hit.is_none());
            assert_eq!(why.failed_condition, "`@source_kind` is one of 1 values");
        }
        ExplainReason::NoMatch => {
            assert!(why.lexical.as_ref().unwrap().score == 0.0 && why.hit.is_none() && why.dense.is_none());
        }
        other => unreachable!("{other:?} in a library of 36: {why:#?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explanations_agree_with_answers_for_every_passage() {
    let reranker = Arc::new(ScriptedReranker::new(Script::ShortestFirst));
    let mut reasons = std::collections::BTreeSet::new();
    for embedder in
        [None, Some(Arc::new(LetterEmbedder::default()) as Arc<dyn copydesk_retrieval::ports::Embedder>)]
    {
        let bench = benches_with_models(Config::default(), embedder, Some(reranker.clone())).await.remove(0);
        let tenant = bench.tenant(1);
        let base = tenant.new_base("library").await.knowledge_base_id;
        tenant.ingest("r", &base, &library(36)).await;
        let passages = passage_ids(&bench.database).await;
        assert_eq!(passages.len(), 36);
        for search in searches(&base) {
            let answer = tenant.search_with(search.clone()).await.unwrap();
            for passage in &passages {
                let why = explained(&tenant, &search, passage).await.unwrap();
                agrees(&answer, &why, passage);
                holds(&search, &why);
                reasons.insert(why.reason().as_str_name());
            }
        }
        bench.database.close().await;
    }
    assert!(reasons.len() >= 8, "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_candidates_and_outside_the_search() {
    for bench in benches_with_models(Config::default(), None, None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("crowd").await.knowledge_base_id;
        let mut docs: Vec<Doc> =
            (0..110).map(|at| doc(&format!("{at:03}"), SourceKind::Post, "Okapi okapi.")).collect();
        docs.push(doc("faint", SourceKind::Post, "One okapi, seen from far away between many other words."));
        tenant.ingest("r", &base, &docs).await;
        let passages = passage_ids(&bench.database).await;
        let elsewhere = tenant.new_base("elsewhere").await.knowledge_base_id;
        tenant.ingest("r2", &elsewhere, &[doc("okapi", SourceKind::Post, "Okapi.")]).await;
        let all = passage_ids(&bench.database).await;
        let outside = all.iter().find(|id| !passages.contains(id)).unwrap();

        let search = request(&[&base], "okapi", 3);
        let why = explained(&tenant, &search, &passages[110]).await.unwrap();
        assert_eq!(why.reason(), ExplainReason::NotACandidate, "{why:#?}");
        let lexical = why.lexical.unwrap();
        assert!(lexical.score > 0.0 && lexical.score < lexical.list_end.unwrap());
        assert_eq!((lexical.chunk_count, why.hit, why.place), (111, None, None));
        let why = explained(&tenant, &search, outside).await.unwrap();
        assert_eq!(why.reason(), ExplainReason::KnowledgeBaseNotSearched);
        assert_eq!((why.returned, why.lexical), (false, None));

        let nobody = copydesk_types::PassageId::from_u128(7).to_string();
        let unknown = explained(&tenant, &search, &nobody).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        let bad = request(&[&base], "", 3);
        let refused = explained(&tenant, &bad, "psg_x").await.unwrap_err();
        assert_eq!(
            refusal(&refused),
            (Code::InvalidArgument, vec!["search.query".into(), "passage_id".into()])
        );
        bench.database.close().await;
    }
}

async fn batched(tenant: &Tenant, searches: Vec<SearchRequest>) -> Result<Vec<Outcome>, Status> {
    let answer = tenant.run(tenant.searches().batch_search(BatchSearchRequest { searches })).await?;
    Ok(answer.into_inner().results.into_iter().map(|result| result.outcome.unwrap()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_answers_as_single_searches_do_with_one_call_to_the_model() {
    let reranker = Arc::new(ScriptedReranker::new(Script::ShortestFirst));
    let embedder = Arc::new(LetterEmbedder::default());
    for bench in benches_with_models(Config::default(), Some(embedder.clone()), Some(reranker.clone())).await
    {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("library").await.knowledge_base_id;
        let other = tenant.new_base("other").await.knowledge_base_id;
        tenant.ingest("r1", &base, &library(40)).await;
        tenant.ingest("r2", &other, &library(9)).await;
        let missing = copydesk_types::KnowledgeBaseId::from_u128(7).to_string();
        let mut all = searches(&base);
        all.push(request(&[&other, &base], "heron river", 9));
        all.push(request(&[&base, &missing], "heron", 1));
        let before = embedder.calls.load(Ordering::SeqCst);
        let results = batched(&tenant, all.clone()).await.unwrap();
        assert_eq!(embedder.calls.load(Ordering::SeqCst) - before, 1, "on {}", bench.name);
        assert_eq!(results.len(), all.len());
        for (search, result) in all.iter().zip(results) {
            let anew = SearchRequest { skip_cache: true, ..search.clone() };
            match (tenant.search_with(anew).await, result) {
                (Ok(single), Outcome::Response(batched)) => assert_eq!(single, batched),
                (Err(status), Outcome::Error(error)) => {
                    assert_eq!((status.code(), status.message()), (Code::NotFound, error.message.as_str()));
                    assert_eq!((error.code, error.reason.is_empty()), (5, false));
                }
                (single, batched) => unreachable!("{single:?} but {batched:?}"),
            }
        }
        for result in batched(&tenant, all[..3].to_vec()).await.unwrap() {
            assert!(matches!(result, Outcome::Response(answer) if answer.cached), "a batch is kept too");
        }
        let bad = vec![
            all[0].clone(),
            request(&["kb_x"], "", 3),
            SearchRequest { intent: "x".into(), ..all[0].clone() },
        ];
        let refused = refusal(&batched(&tenant, bad).await.unwrap_err());
        let fields = ["searches[1].knowledge_base_ids[0]", "searches[1].query"];
        assert_eq!(refused, (Code::InvalidArgument, fields.map(str::to_owned).to_vec()));
        let unknown = vec![all[0].clone(), SearchRequest { intent: "x".into(), ..all[0].clone() }];
        assert_eq!(refusal(&batched(&tenant, unknown).await.unwrap_err()).1, ["searches[1].intent"]);
        assert_eq!(refusal(&batched(&tenant, Vec::new()).await.unwrap_err()).1, ["searches"]);
        let many = vec![all[0].clone(); 65];
        assert_eq!(refusal(&batched(&tenant, many).await.unwrap_err()).1, ["searches"]);
        bench.database.close().await;
    }
}
