//! What a search may ask for: weights, quotas, another fusion, difference, a second look.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::models::{LetterEmbedder, Script, ScriptedReranker};
use crate::common::{Doc, Tenant, benches_with_models, doc, refusal, request, titles};
use copydesk_proto::retrieval::v1::{
    FusionMethod, FusionOptions, MmrOptions, RerankOptions, SearchMode, SearchRequest, SearchResponse,
    SourceQuota, SourceWeight,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::{Config, Rerank};
use tonic::Code;

/// Settings with an intent, and with no patience for rerankers.
fn config() -> Config {
    let intent = BTreeMap::from([("issue".to_owned(), 2.0), ("post".to_owned(), 0.5)]);
    Config {
        intents: BTreeMap::from([("trouble".to_owned(), intent)]),
        rerank: Rerank { timeout_ms: 20 },
        ..Config::default()
    }
}

fn weight(kind: SourceKind, weight: f64) -> SourceWeight {
    SourceWeight { source_kind: kind.into(), weight }
}

fn quota(kind: SourceKind, at_least: Option<u32>, at_most: Option<u32>) -> SourceQuota {
    SourceQuota { source_kind: kind.into(), at_least, at_most }
}

/// 120 posts that say the word often, and three of other kinds that hardly do.
fn crowd() -> Vec<Doc> {
    let mut docs: Vec<Doc> =
        (0..120).map(|at| doc(&format!("post {at:03}"), SourceKind::Post, "Okapi okapi.")).collect();
    let faint = "One okapi, seen from far away between many other words about the weather and the road to the market.";
    docs.push(doc("issue", SourceKind::Issue, faint));
    docs.push(doc("readme", SourceKind::Readme, format!("{faint} It was late.")));
    docs.push(doc("code", SourceKind::Code, format!("{faint} It was late, and nobody had a lamp.")));
    docs
}

async fn asked(tenant: &Tenant, request: SearchRequest) -> SearchResponse {
    let answer = tenant.search_with(request).await.unwrap();
    assert!(answer.hits.iter().all(|hit| hit.fused_score == hit.passage.as_ref().unwrap().score));
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_lift_kinds_from_anywhere_and_are_shown() {
    for bench in benches_with_models(config(), None, None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("crowd").await.knowledge_base_id;
        tenant.ingest("r", &base, &crowd()).await;
        let plain = asked(&tenant, request(&[&base], "okapi", 3)).await;
        assert!(plain.hits.iter().all(|hit| hit.weight == 1.0 && hit.fused_score == 1.0));
        assert_eq!(titles(&plain.hits), ["post 000", "post 001", "post 002"], "ties in order of id");

        let weights = vec![weight(SourceKind::Issue, 100.0), weight(SourceKind::Post, 0.01)];
        let heavy = SearchRequest { source_weights: weights, ..request(&[&base], "okapi", 4) };
        let answer = asked(&tenant, heavy).await;
        assert_eq!(titles(&answer.hits), ["issue", "readme", "code", "post 000"], "on {}", bench.name);
        let shown: Vec<f64> = answer.hits.iter().map(|hit| hit.weight).collect();
        assert_eq!(shown, [4.0, 1.0, 1.0, 0.25], "clamped");
        for hit in &answer.hits {
            assert!((hit.fused_score - hit.weight * hit.lexical_normal.unwrap()).abs() < 1e-12);
        }
        assert!(answer.hits[0].lexical_rank > Some(100), "it was looked for besides");

        let named = SearchRequest { intent: "trouble".into(), ..request(&[&base], "okapi", 2) };
        let answer = asked(&tenant, named.clone()).await;
        let issue = answer.hits.iter().find(|hit| hit.passage.as_ref().unwrap().title == "issue");
        assert!(issue.is_none_or(|hit| hit.weight == 2.0));
        assert!(answer.hits.iter().any(|hit| hit.weight == 0.5 || hit.weight == 2.0));
        let stronger = SearchRequest { source_weights: vec![weight(SourceKind::Post, 4.0)], ..named };
        assert!(asked(&tenant, stronger).await.hits.iter().all(|hit| hit.weight == 4.0));
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_hold_whenever_there_is_enough() {
    for bench in benches_with_models(config(), None, None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("crowd").await.knowledge_base_id;
        tenant.ingest("r", &base, &crowd()).await;
        let of = |quotas| SearchRequest { source_quotas: quotas, ..request(&[&base], "okapi", 4) };
        let owed =
            of(vec![quota(SourceKind::Readme, Some(1), None), quota(SourceKind::Product, Some(2), None)]);
        let answer = asked(&tenant, owed).await;
        assert_eq!(titles(&answer.hits), ["post 000", "post 001", "post 002", "readme"]);
        let bounded = of(vec![quota(SourceKind::Post, None, Some(1))]);
        assert_eq!(titles(&asked(&tenant, bounded).await.hits), ["post 000", "issue", "readme", "code"]);
        let none = of(vec![quota(SourceKind::Post, None, Some(0)), quota(SourceKind::Code, None, Some(0))]);
        assert_eq!(titles(&asked(&tenant, none).await.hits), ["issue", "readme"]);
        let greedy = of(vec![quota(SourceKind::Post, Some(3), None), quota(SourceKind::Code, Some(2), None)]);
        let refused = tenant.search_with(greedy).await.unwrap_err();
        assert_eq!(refusal(&refused), (Code::InvalidArgument, vec!["source_quotas".to_owned()]));
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_search_is_told_at_once() {
    let bench = benches_with_models(config(), None, None).await.remove(0);
    let tenant = bench.tenant(1);
    let base = tenant.new_base("any").await.knowledge_base_id;
    let bad = SearchRequest {
        mode: 9,
        fusion: Some(FusionOptions {
            method: 9,
            rrf_k: Some(0.0),
            lexical_weight: Some(-1.0),
            dense_weight: Some(f64::NAN),
            sparse_weight: Some(4.5),
        }),
        source_weights: vec![weight(SourceKind::Issue, 0.0), weight(SourceKind::Issue, 1.0)],
        source_quotas: vec![quota(SourceKind::Post, Some(3), Some(2)), SourceQuota::default()],
        mmr: Some(MmrOptions { lambda: 1.5 }),
        rerank: Some(RerankOptions { candidates: 101, ..RerankOptions::default() }),
        ..request(&[&base], "x", 1)
    };
    let (code, mut fields) = refusal(&tenant.search_with(bad).await.unwrap_err());
    fields.sort();
    let expected = [
        "fusion.dense_weight",
        "fusion.lexical_weight",
        "fusion.method",
        "fusion.rrf_k",
        "fusion.sparse_weight",
        "mmr.lambda",
        "mode",
        "rerank.candidates",
        "source_quotas[0].at_most",
        "source_quotas[1].source_kind",
        "source_weights[0].weight",
        "source_weights[1].source_kind",
    ];
    assert_eq!((code, fields), (Code::InvalidArgument, expected.map(str::to_owned).to_vec()));
    let nothing =
        FusionOptions { lexical_weight: Some(0.0), dense_weight: Some(0.0), ..FusionOptions::default() };
    let bad = SearchRequest { fusion: Some(nothing), ..request(&[&base], "x", 1) };
    assert_eq!(refusal(&tenant.search_with(bad).await.unwrap_err()).1, ["fusion.dense_weight"]);
    let unknown = SearchRequest { intent: "howto".into(), ..request(&[&base], "x", 1) };
    assert_eq!(refusal(&tenant.search_with(unknown).await.unwrap_err()).1, ["intent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fusions_and_modes_are_as_asked() {
    let embedder = Arc::new(LetterEmbedder::default());
    for bench in benches_with_models(config(), Some(embedder.clone()), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("letters").await.knowledge_base_id;
        let docs = [
            doc("words", SourceKind::Post, "the badger sleeps here under a very old tree"),
            doc("letters", SourceKind::Issue, "gebdra gebdra"),
            doc("neither", SourceKind::Issue, "oooo uuuu oooo"),
        ];
        tenant.ingest("r", &base, &docs).await;
        let of = |options| SearchRequest { fusion: Some(options), ..request(&[&base], "badger", 3) };
        let rrf =
            FusionOptions { method: FusionMethod::Rrf.into(), rrf_k: Some(1.0), ..FusionOptions::default() };
        let answer = asked(&tenant, of(rrf)).await;
        assert_eq!((answer.fusion(), answer.embedder.as_str()), (FusionMethod::Rrf, "test/letters"));
        for hit in &answer.hits {
            let normal = |rank: Option<u32>| rank.map(|rank| 2.0 / (1.0 + f64::from(rank)));
            assert_eq!(
                (hit.lexical_normal, hit.dense_normal),
                (normal(hit.lexical_rank), normal(hit.dense_rank))
            );
        }
        let dense = FusionOptions { lexical_weight: Some(0.0), ..FusionOptions::default() };
        let answer = asked(&tenant, of(dense)).await;
        assert_eq!(titles(&answer.hits)[0], "letters");
        assert!(answer.hits.is_sorted_by(|a, b| a.dense_score >= b.dense_score));
        assert_eq!(answer.fusion(), FusionMethod::Dbsf);
        let words = SearchRequest { mode: SearchMode::Lexical.into(), ..request(&[&base], "badger", 3) };
        let answer = asked(&tenant, words).await;
        assert_eq!(
            (answer.mode(), answer.degraded, answer.fusion()),
            (SearchMode::Lexical, false, FusionMethod::Unspecified)
        );
        assert_eq!((titles(&answer.hits), answer.embedder.as_str()), (vec!["words".to_owned()], ""));
        bench.database.close().await;
    }
    let bench = benches_with_models(config(), None, None).await.remove(0);
    let tenant = bench.tenant(1);
    let base = tenant.new_base("words").await.knowledge_base_id;
    let both = SearchRequest { mode: SearchMode::Hybrid.into(), ..request(&[&base], "badger", 3) };
    let answer = asked(&tenant, both).await;
    assert_eq!((answer.mode(), answer.degraded), (SearchMode::Lexical, true));
    assert!(answer.degraded_reason.contains("no embedder"), "{}", answer.degraded_reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn difference_is_preferred_when_it_is_asked_for() {
    let embedder = Arc::new(LetterEmbedder::default());
    for embedder in [None, Some(embedder as Arc<dyn copydesk_retrieval::ports::Embedder>)] {
        for bench in benches_with_models(config(), embedder.clone(), None).await {
            let tenant = bench.tenant(1);
            let base = tenant.new_base("twins").await.knowledge_base_id;
            let docs = [
                doc("one", SourceKind::Post, "The heron eats fish in the cold river."),
                doc("two", SourceKind::Post, "The heron eats fish in the cold river."),
                doc("other", SourceKind::Post, "A heron may build its nest on top of quite tall poplars."),
            ];
            tenant.ingest("r", &base, &docs).await;
            let query = "Which fish does a heron eat in a cold river?";
            let plain = asked(&tenant, request(&[&base], query, 3)).await;
            assert_eq!(titles(&plain.hits), ["one", "two", "other"]);
            let of =
                |lambda| SearchRequest { mmr: Some(MmrOptions { lambda }), ..request(&[&base], query, 3) };
            assert_eq!(titles(&asked(&tenant, of(1.0)).await.hits), ["one", "two", "other"]);
            let answer = asked(&tenant, of(0.05)).await;
            assert_eq!(titles(&answer.hits), ["one", "other", "two"], "on {}", bench.name);
            assert_eq!(answer.hits[0].fused_score, plain.hits[0].fused_score, "scores stay");
            bench.database.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_look_orders_anew_and_its_failures_are_admitted() {
    let reranker = Arc::new(ScriptedReranker::new(Script::ShortestFirst));
    for bench in benches_with_models(config(), None, Some(reranker.clone())).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("long and short").await.knowledge_base_id;
        let text = |more: usize| format!("Lemur lemur. {}", "Bamboo grows. ".repeat(more));
        let docs: Vec<Doc> = (0..6).map(|at| doc(&format!("{at}"), SourceKind::Post, text(6 - at))).collect();
        tenant.ingest("r", &base, &docs).await;
        let plain = titles(&asked(&tenant, request(&[&base], "lemur bamboo", 6)).await.hits);
        let look = |candidates, top_k| SearchRequest {
            rerank: Some(RerankOptions { model: "shortest".into(), candidates }),
            skip_cache: true,
            ..request(&[&base], "lemur bamboo", top_k)
        };
        reranker.tell(Script::ShortestFirst);
        let answer = asked(&tenant, look(0, 6)).await;
        assert_eq!(titles(&answer.hits), ["5", "4", "3", "2", "1", "0"], "on {}", bench.name);
        assert_eq!((answer.reranker.as_str(), answer.degraded), ("scripted/shortest", false));
        let ranks: Vec<Option<u32>> = answer.hits.iter().map(|hit| hit.rerank_rank).collect();
        assert_eq!(ranks, (1..=6).map(Some).collect::<Vec<_>>());
        assert!(answer.hits.iter().all(|hit| hit.rerank_score.is_some() && hit.fused_score > 0.0));

        asked(&tenant, look(1, 2)).await;
        assert_eq!(reranker.saw.load(Ordering::SeqCst), 2, "never fewer than are wanted");
        reranker.tell(Script::OnlyTheLast);
        let answer = asked(&tenant, look(3, 3)).await;
        let expected = vec![plain[2].clone(), plain[0].clone(), plain[1].clone()];
        assert_eq!(titles(&answer.hits), expected, "what it did not score stays in order");
        assert_eq!(answer.hits[1].rerank_score, None);

        for (script, words) in [
            (Script::Fails, "out of paper"),
            (Script::OutOfRange, "does not fit"),
            (Script::Hangs, "in time"),
        ] {
            reranker.tell(script);
            let answer = asked(&tenant, look(0, 6)).await;
            assert_eq!(titles(&answer.hits), plain, "{script:?}");
            assert!(answer.degraded && answer.degraded_reason.contains(words), "{}", answer.degraded_reason);
            assert_eq!((answer.reranker.as_str(), answer.hits[0].rerank_score), ("", None));
        }
        bench.database.close().await;
    }
}
