//! The real all-MiniLM-L6-v2, where `COPYDESK_TEST_MINILM_DIR` names its folder; `deploy/test.sh` fetches it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lint's exception for tests does not see the cases as tests"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{benches_with, doc, request};
use copydesk_proto::retrieval::v1::SearchMode;
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::embedders::open_local;
use copydesk_retrieval::ports::{Embedder, Purpose};
use copydesk_retrieval::{Config, EmbedderConfig, Embedding};

/// The model; `None`, said aloud, where there is none.
fn minilm() -> Option<Arc<dyn Embedder>> {
    let Some(dir) = std::env::var_os("COPYDESK_TEST_MINILM_DIR") else {
        assert!(std::env::var_os("COPYDESK_REQUIRE_MINILM").is_none(), "COPYDESK_TEST_MINILM_DIR is not set");
        println!("SKIPPED: COPYDESK_TEST_MINILM_DIR names no folder with all-MiniLM-L6-v2");
        return None;
    };
    let config = EmbedderConfig { model_dir: PathBuf::from(dir), ..EmbedderConfig::default() };
    Some(open_local(&config, Path::new("")).unwrap())
}

fn cosine(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_cards_own_example_comes_out() {
    let Some(model) = minilm() else { return };
    assert_eq!((model.dimensions(), model.max_tokens()), (384, Some(254)));
    assert_eq!(model.count("That is a happy person"), 5);
    let texts = [
        "That is a happy person",
        "That is a happy dog",
        "That is a very happy person",
        "Today is a sunny day",
        "",
    ];
    let texts = texts.map(str::to_owned).to_vec();
    let embedded = model.embed(texts, Purpose::Document).await.unwrap();
    let vectors: Vec<Vec<f32>> = embedded.into_iter().map(|own| own.vector).collect();
    let cosines: Vec<f64> = (1..4).map(|at| cosine(&vectors[0], &vectors[at])).collect();
    for (got, wanted) in cosines.iter().zip([0.695, 0.943, 0.257]) {
        assert!((got - wanted).abs() < 6e-4, "{cosines:?}");
    }
    // Computed by onnxruntime from the same weights.
    let reference = [-0.033_876_8, 0.091_941_6, 0.048_701_3, -0.034_883_6, -0.064_829_2, -0.026_685_8];
    for (got, wanted) in vectors[0].iter().zip(reference) {
        assert!((got - wanted).abs() < 2e-6, "{got} {wanted}");
    }
    assert!((cosine(&vectors[4], &vectors[4]) - 1.0).abs() < 1e-5, "also no words have a direction");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meaning_finds_what_words_do_not() {
    let Some(model) = minilm() else { return };
    let id = model.id().to_owned();
    // Without optimisation the model takes seconds for a query.
    let embedding = Embedding { query_timeout_ms: 60_000, ..Embedding::default() };
    let mut benches = benches_with(Config { embedding, ..Config::default() }, Some(model)).await;
    let tenant = benches.remove(0).tenant(1);
    let base = tenant.new_base("company").await;
    assert!(base.embedder == id && id.starts_with("local/") && base.dimensions == 384, "{id}");
    let base = base.knowledge_base_id;
    let docs = [
        doc("refund", SourceKind::Post, "You get your money back within two weeks."),
        doc("cooling", SourceKind::Post, "The van keeps ice cream below minus eighteen degrees."),
        doc("office", SourceKind::Post, "Our office is closed on public holidays."),
    ];
    tenant.ingest("1", &base, &docs).await;
    for (query, wanted) in
        [("how do I receive a refund for an order?", "refund"), ("transport of frozen food", "cooling")]
    {
        let answer = tenant.search_with(request(&[&base], query, 1)).await.unwrap();
        assert_eq!(
            (answer.mode(), answer.degraded),
            (SearchMode::Hybrid, false),
            "{}",
            answer.degraded_reason
        );
        assert_eq!(answer.hits[0].passage.as_ref().unwrap().title, wanted, "{query}");
    }
}
