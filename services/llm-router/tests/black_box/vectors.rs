//! Vectors and rankings: batches, repetitions, what is known from earlier calls, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{Mesh, only, openai, outcomes, reason, retry_delay, tenant, user};
use crate::support::server::{Act, Server, json as reply};
use copydesk_llm_router::{Config, ModelConfig, ProviderConfig};
use copydesk_proto::llm_router::v1 as pb;
use serde_json::{Value, json};
use tonic::{Code, Status};

/// The vector of `text 7` is 7 and 1, and comes in another order than the texts.
fn vectors(body: &Value) -> String {
    let texts = body["input"].as_array().unwrap();
    let number = |text: &Value| text.as_str().unwrap().rsplit(' ').next().unwrap().parse::<f32>().unwrap();
    let item = |(index, text)| json!({"index": index, "embedding": [number(text), 1.0]});
    let data: Vec<Value> = texts.iter().enumerate().rev().map(item).collect();
    let tokens = texts.len() * 3;
    json!({"data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}).to_string()
}

fn embedder(url: &str, change: impl FnOnce(&mut ModelConfig)) -> Config {
    let mut provider = openai("a", url);
    provider.models[0].capabilities = vec!["embed".into()];
    provider.models[0].embedding_batch = 4;
    change(&mut provider.models[0]);
    only(vec![provider])
}

fn texts(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|n| format!("text {n}")).collect()
}

async fn embed(mesh: &Mesh, of: u128, numbers: &[usize]) -> Result<pb::EmbedResponse, Status> {
    ask_for(mesh, of, pb::EmbedRequest { inputs: texts(numbers), ..Default::default() }).await
}

async fn ask_for(mesh: &Mesh, of: u128, request: pb::EmbedRequest) -> Result<pb::EmbedResponse, Status> {
    let mut llm = mesh.llm.clone();
    user(tenant(of), async { llm.embed(request).await }).await.map(tonic::Response::into_inner)
}

fn firsts(answer: &pb::EmbedResponse) -> Vec<usize> {
    answer.vectors.iter().map(|vector| vector.values[0] as usize).collect()
}

#[tokio::test]
async fn each_text_is_asked_for_once_in_batches_and_the_order_stays() {
    let server = Server::start(vec![vec![Act::Make(vectors)]]).await;
    for mesh in Mesh::both(embedder(&server.url, |_| {})).await {
        let before = server.seen().len();
        let numbers = [9, 3, 3, 8, 1, 2, 9, 4, 5, 6, 7, 10];
        let answer = embed(&mesh, 1, &numbers).await.unwrap();
        assert_eq!((firsts(&answer), answer.dimensions, answer.cached_inputs), (numbers.to_vec(), 2, 0));
        let mut sizes: Vec<usize> =
            server.seen()[before..].iter().map(|seen| seen.body["input"].as_array().unwrap().len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [2, 4, 4], "ten different texts");
        let done = answer.completion.unwrap();
        assert_eq!((done.usage.unwrap().input_tokens, done.cost_nanos), (30, 30_000));
        assert_eq!(outcomes(&done), [("a/m", "ok"); 3]);
        let rows = mesh.ledger(tenant(1)).await.records;
        assert!(rows.len() == 3 && rows.iter().all(|row| row.operation() == pb::Operation::Embed));

        let again = embed(&mesh, 1, &[3, 11, 9, 9]).await.unwrap();
        assert_eq!((firsts(&again), again.cached_inputs), (vec![3, 11, 9, 9], 3));
        assert_eq!(again.completion.unwrap().usage.unwrap().input_tokens, 3, "only the new one is paid");
        assert_eq!(server.seen().last().unwrap().body["input"], json!(["text 11"]));
        let known = embed(&mesh, 1, &[1, 2]).await.unwrap();
        assert_eq!((known.cached_inputs, known.completion.unwrap().cost_nanos), (2, 0));
        assert_eq!(server.seen().len() - before, 4, "nobody is called for what is known");

        let other = embed(&mesh, 2, &[3]).await.unwrap();
        assert_eq!((other.cached_inputs, server.seen().len() - before), (0, 5), "another tenant's texts");
        let query = pb::EmbedRequest {
            purpose: pb::EmbedPurpose::Query.into(),
            inputs: texts(&[3]),
            ..Default::default()
        };
        assert_eq!(
            ask_for(&mesh, 1, query).await.unwrap().cached_inputs,
            0,
            "queries have vectors of their own"
        );
    }
}

#[tokio::test]
async fn vectors_of_another_length_are_refused_and_paid() {
    let server = Server::start(vec![vec![Act::Make(vectors)]]).await;
    let mesh = Mesh::local(embedder(&server.url, |model| model.embedding_dimensions = 3)).await;
    let status = embed(&mesh, 1, &[1]).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "BAD_VECTORS"));
    assert!(status.message().contains("has 2 dimensions, not 3"), "{}", status.message());
    let row = mesh.ledger(tenant(1)).await.records.remove(0);
    assert_eq!((row.outcome.as_str(), row.cost_nanos), ("BAD_REPLY", 3_000));

    let free = Mesh::local(embedder(&server.url, |_| {})).await;
    let asked = |dimensions| pb::EmbedRequest {
        dimensions: Some(dimensions),
        inputs: texts(&[1]),
        ..Default::default()
    };
    assert_eq!(reason(&ask_for(&free, 1, asked(5)).await.unwrap_err()), "BAD_VECTORS");
    assert_eq!(server.seen().last().unwrap().body["dimensions"], 5);
    assert_eq!(ask_for(&free, 1, asked(2)).await.unwrap().dimensions, 2);
}

/// One component for `text 1`, two for the others.
fn uneven(body: &Value) -> String {
    let one = body["input"][0] == "text 1";
    let vector = if one { json!([1.0]) } else { json!([2.0, 1.0]) };
    json!({"data": [{"index": 0, "embedding": vector}]}).to_string()
}

#[tokio::test]
async fn vectors_of_different_lengths_never_come_together() {
    let server = Server::start(vec![vec![Act::Make(uneven)]]).await;
    let mesh = Mesh::local(embedder(&server.url, |model| model.embedding_batch = 1)).await;
    assert_eq!(reason(&embed(&mesh, 1, &[1, 2]).await.unwrap_err()), "BAD_VECTORS", "of two batches");
    assert_eq!(
        reason(&embed(&mesh, 1, &[2, 1]).await.unwrap_err()),
        "BAD_VECTORS",
        "kept from an earlier call"
    );
}

#[tokio::test]
async fn no_other_model_takes_the_place_of_one_that_gives_vectors() {
    let first = Server::start(vec![reply("503 Busy", "retry-after: 9\r\n", "{}")]).await;
    let second = Server::start(vec![vec![Act::Make(vectors)]]).await;
    let mut config = embedder(&first.url, |_| {});
    let other = ProviderConfig {
        name: "b".into(),
        base_url: Some(second.url.clone()),
        ..config.providers[0].clone()
    };
    config.providers.push(other);
    let mesh = Mesh::local(config).await;
    let status = embed(&mesh, 1, &[1]).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), retry_delay(&status).unwrap().as_secs()), ("ALL_MODELS_FAILED", 9));
    assert!(second.seen().is_empty(), "their vectors do not compare");
}

#[tokio::test]
async fn documents_are_ranked_and_another_model_takes_over() {
    let busy = Server::start(vec![reply("429 Slow", "", "{}")]).await;
    let ranking = json!({
        "results": [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.4}],
        "usage": {"total_tokens": 12}
    });
    let good = Server::start(vec![reply("200 OK", "", &ranking.to_string())]).await;
    let ranker = |name: &str, url: &str| ProviderConfig { kind: "jina".into(), ..openai(name, url) };
    for mesh in Mesh::both(only(vec![ranker("a", &busy.url), ranker("b", &good.url)])).await {
        let request = pb::RerankRequest {
            query: "vans".into(),
            documents: ["one", "two", "three"].map(str::to_owned).to_vec(),
            top_n: 2,
            ..Default::default()
        };
        let mut llm = mesh.llm.clone();
        let answer = user(tenant(1), async { llm.rerank(request).await }).await.unwrap().into_inner();
        let results: Vec<_> = answer.results.iter().map(|one| (one.index, one.score)).collect();
        assert_eq!(results, [(2, 0.9), (0, 0.4)]);
        let done = answer.completion.unwrap();
        assert_eq!(outcomes(&done), [("a/m", "RATE_LIMITED"), ("b/m", "ok")]);
        assert_eq!((done.usage.unwrap().input_tokens, done.cost_nanos), (12, 12_000));
        let rows = mesh.ledger(tenant(1)).await.records;
        assert!(rows.len() == 2 && rows.iter().all(|row| row.operation() == pb::Operation::Rerank));
        let body = good.seen().pop().unwrap().body;
        assert_eq!((&body["query"], &body["top_n"]), (&json!("vans"), &json!(2)));
    }
}

#[tokio::test]
async fn a_ranking_of_documents_that_are_not_there_is_refused() {
    let ranking = json!({"results": [{"index": 7, "relevance_score": 0.9}]}).to_string();
    let server = Server::start(vec![reply("200 OK", "", &ranking)]).await;
    let mesh =
        Mesh::local(only(vec![ProviderConfig { kind: "jina".into(), ..openai("a", &server.url) }])).await;
    let request =
        pb::RerankRequest { query: "vans".into(), documents: vec!["one".into()], ..Default::default() };
    let status = user(tenant(1), async { mesh.llm.clone().rerank(request).await }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "ALL_MODELS_FAILED"));
    assert_eq!(mesh.ledger(tenant(1)).await.records[0].outcome, "BAD_REPLY");
}
