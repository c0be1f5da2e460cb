//! What is refused of calls for vectors and rankings before any model is asked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{Mesh, fields, only, openai, tenant, user};
use copydesk_llm_router::{Config, ModelConfig, ProviderConfig};
use copydesk_proto::llm_router::v1 as pb;
use tonic::{Code, Status};

fn config() -> Config {
    let model = |name: &str, can: &str| ModelConfig {
        name: name.into(),
        capabilities: vec![can.into()],
        ..ModelConfig::default()
    };
    let models = vec![model("writer", "chat"), model("vectors", "embed"), model("ranks", "rerank")];
    only(vec![ProviderConfig { models, ..openai("openai", "http://127.0.0.1:9") }])
}

async fn embed(mesh: &Mesh, request: pb::EmbedRequest) -> Status {
    let mut llm = mesh.llm.clone();
    user(tenant(1), async { llm.embed(request).await }).await.unwrap_err()
}

async fn rerank(mesh: &Mesh, request: pb::RerankRequest) -> Status {
    let mut llm = mesh.llm.clone();
    user(tenant(1), async { llm.rerank(request).await }).await.unwrap_err()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Nobody listens where the models are, so a good request comes so far and no further.
fn was_taken(status: Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unimplemented)
}

fn stranger() -> Option<pb::Attribution> {
    Some(pb::Attribution { run_id: "run_1".into(), ..pb::Attribution::default() })
}

#[tokio::test]
async fn every_fault_of_a_call_for_vectors_is_named_at_once() {
    for mesh in Mesh::both(config()).await {
        let bad = pb::EmbedRequest {
            attribution: stranger(),
            model: "openai/writer".into(),
            inputs: texts(&["fine", "", "a\0b", &"x".repeat(65_537)]),
            dimensions: Some(0),
            purpose: 9,
        };
        let status = embed(&mesh, bad).await;
        assert_eq!(status.code(), Code::InvalidArgument);
        let expected =
            ["attribution.run_id", "model", "inputs[1]", "inputs[2]", "inputs[3]", "dimensions", "purpose"];
        assert_eq!(fields(&status), expected);
    }
}

#[tokio::test]
async fn texts_to_embed_are_limited_in_number_and_together() {
    let mesh = Mesh::local(config()).await;
    let good = || pb::EmbedRequest { inputs: texts(&["x"]), ..pb::EmbedRequest::default() };
    let status = embed(&mesh, pb::EmbedRequest { inputs: Vec::new(), ..good() }).await;
    assert_eq!(fields(&status), ["inputs"]);
    let status = embed(&mesh, pb::EmbedRequest { inputs: vec!["x".into(); 2_049], ..good() }).await;
    assert_eq!(fields(&status), ["inputs"]);
    let status = embed(&mesh, pb::EmbedRequest { inputs: vec!["x".repeat(64 << 10); 65], ..good() }).await;
    assert_eq!(fields(&status), ["inputs"]);
    let status = embed(&mesh, pb::EmbedRequest { dimensions: Some(16_385), ..good() }).await;
    assert_eq!(fields(&status), ["dimensions"]);
    for model in ["openai/ranks", "nobody/nothing"] {
        let status = embed(&mesh, pb::EmbedRequest { model: model.into(), ..good() }).await;
        assert_eq!(fields(&status), ["model"], "{model}");
    }
    for request in [
        good(),
        pb::EmbedRequest { inputs: vec!["x".repeat(64 << 10); 64], model: "openai/vectors".into(), ..good() },
        pb::EmbedRequest { inputs: vec!["x".into(); 2_048], dimensions: Some(16_384), purpose: 2, ..good() },
    ] {
        assert!(was_taken(embed(&mesh, request).await));
    }
}

#[tokio::test]
async fn every_fault_of_a_call_for_a_ranking_is_named_at_once() {
    for mesh in Mesh::both(config()).await {
        let bad = pb::RerankRequest {
            attribution: stranger(),
            model: "openai/vectors".into(),
            query: "x".repeat((16 << 10) + 1),
            documents: texts(&["", "fine", "a\0b", &"x".repeat(65_537)]),
            top_n: 0,
        };
        let status = rerank(&mesh, bad).await;
        assert_eq!(status.code(), Code::InvalidArgument);
        let expected =
            ["attribution.run_id", "model", "query", "documents[0]", "documents[2]", "documents[3]"];
        assert_eq!(fields(&status), expected);
    }
}

#[tokio::test]
async fn texts_to_rank_are_limited_in_number_and_together() {
    let mesh = Mesh::local(config()).await;
    let good =
        || pb::RerankRequest { query: "q".into(), documents: texts(&["x"]), ..pb::RerankRequest::default() };
    let status =
        rerank(&mesh, pb::RerankRequest { query: String::new(), documents: Vec::new(), ..good() }).await;
    assert_eq!(fields(&status), ["query", "documents"]);
    let status = rerank(&mesh, pb::RerankRequest { documents: vec!["x".into(); 1_001], ..good() }).await;
    assert_eq!(fields(&status), ["documents"]);
    let status =
        rerank(&mesh, pb::RerankRequest { documents: vec!["x".repeat(64 << 10); 65], ..good() }).await;
    assert_eq!(fields(&status), ["documents"]);
    for request in [
        good(),
        pb::RerankRequest {
            query: "x".repeat(16 << 10),
            documents: vec!["x".repeat(64 << 10); 64],
            ..good()
        },
        pb::RerankRequest {
            documents: vec!["x".into(); 1_000],
            top_n: 5_000,
            model: "openai/ranks".into(),
            ..good()
        },
    ] {
        assert!(was_taken(rerank(&mesh, request).await));
    }
}
