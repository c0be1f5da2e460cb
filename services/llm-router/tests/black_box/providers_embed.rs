//! Vectors and rankings of every kind that gives them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::kinds::{call, golden, provider};
use crate::support::server::{Server, json as reply};
use copydesk_llm_router::domain::{EmbedCall, Outcome, RerankCall, Usage};
use copydesk_llm_router::providers;
use copydesk_proto::llm_router::v1::EmbedPurpose;
use serde_json::{Value, json};

struct Kind {
    kind: &'static str,
    /// The address of vectors and what comes from it: the second text's vector first where there are numbers.
    embed: Option<(&'static str, Value)>,
    /// The address of rankings and what comes from it.
    rerank: Option<(&'static str, Value)>,
    /// Tokens counted for vectors, and for rankings.
    tokens: [Option<u64>; 2],
}

fn kinds() -> Vec<Kind> {
    let numbered = json!([{"object": "embedding", "index": 1, "embedding": [0.0, -2.5]}, {"object": "embedding", "index": 0, "embedding": [1.0, 0.5]}]);
    let plain = json!([[1.0, 0.5], [0.0, -2.5]]);
    let scored = json!([{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.25}]);
    vec![
        Kind {
            kind: "openai",
            embed: Some((
                "/embeddings",
                json!({"object": "list", "data": numbered, "model": "m", "usage": {"prompt_tokens": 7, "total_tokens": 7}}),
            )),
            rerank: None,
            tokens: [Some(7), None],
        },
        Kind {
            kind: "ollama",
            embed: Some(("/api/embed", json!({"model": "m", "embeddings": plain, "prompt_eval_count": 7}))),
            rerank: None,
            tokens: [Some(7), None],
        },
        Kind {
            kind: "gemini",
            embed: Some((
                "/models/m:batchEmbedContents",
                json!({"embeddings": [{"values": [1.0, 0.5]}, {"values": [0.0, -2.5]}]}),
            )),
            rerank: None,
            tokens: [None, None],
        },
        Kind {
            kind: "cohere",
            embed: Some((
                "/v2/embed",
                json!({"id": "e", "texts": ["a", "b"], "embeddings": {"float": plain}, "response_type": "embeddings_by_type", "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}}),
            )),
            rerank: Some((
                "/v2/rerank",
                json!({"id": "r", "results": scored, "meta": {"billed_units": {"search_units": 1}}}),
            )),
            tokens: [Some(7), None],
        },
        Kind {
            kind: "jina",
            embed: Some((
                "/v1/embeddings",
                json!({"model": "m", "object": "list", "usage": {"total_tokens": 7}, "data": numbered}),
            )),
            rerank: Some((
                "/v1/rerank",
                json!({"model": "m", "usage": {"total_tokens": 9}, "results": scored}),
            )),
            tokens: [Some(7), Some(9)],
        },
        Kind {
            kind: "tei",
            embed: Some(("/embed", plain)),
            rerank: Some((
                "/rerank",
                json!([{"index": 0, "score": 0.25}, {"index": 1, "score": 0.125}, {"index": 2, "score": 0.9}]),
            )),
            tokens: [None, None],
        },
    ]
}

fn embed_call(purpose: EmbedPurpose, dimensions: Option<u32>) -> EmbedCall {
    EmbedCall { model: "m".into(), inputs: vec!["one – a".into(), "two".into()], dimensions, purpose }
}

fn rerank_call() -> RerankCall {
    let documents = vec!["a".into(), "b".into(), "c".into()];
    RerankCall { model: "m".into(), query: "which?".into(), documents, top_n: 2 }
}

fn read(tokens: Option<u64>) -> Option<Usage> {
    tokens.map(|input| Usage { input, ..Usage::default() })
}

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts() {
    for kind in kinds() {
        let Some((path, body)) = kind.embed else { continue };
        let server = Server::start(vec![reply("200 OK", "", &body.to_string())]).await;
        let provider = provider(kind.kind, &server.url);
        for (purpose, dimensions, name) in [
            (EmbedPurpose::Document, Some(2), "document"),
            (EmbedPurpose::Query, None, "query"),
            (EmbedPurpose::Unspecified, None, "plain"),
        ] {
            let found = provider.embed(&embed_call(purpose, dimensions)).await.unwrap();
            assert_eq!(found.vectors, [[1.0, 0.5], [0.0, -2.5]], "{}", kind.kind);
            assert_eq!(found.usage, read(kind.tokens[0]), "{}", kind.kind);
            let seen = server.seen();
            let last = seen.last().unwrap();
            assert!(last.head.starts_with(&format!("POST {path} ")), "{}", kind.kind);
            golden(&format!("{}_embed_{name}", kind.kind), &last.body);
        }
    }
}

#[tokio::test]
async fn rankings_come_best_first() {
    for kind in kinds() {
        let Some((path, body)) = kind.rerank else { continue };
        let server = Server::start(vec![reply("200 OK", "", &body.to_string())]).await;
        let found = provider(kind.kind, &server.url).rerank(&rerank_call()).await.unwrap();
        assert_eq!(found.results, [(2, 0.9), (0, 0.25)], "{}", kind.kind);
        assert_eq!(found.usage, read(kind.tokens[1]), "{}", kind.kind);
        let seen = &server.seen()[0];
        assert!(seen.head.starts_with(&format!("POST {path} ")), "{}", kind.kind);
        golden(&format!("{}_rerank", kind.kind), &seen.body);
    }
}

#[tokio::test]
async fn vectors_that_cannot_be_true_are_refused() {
    for kind in kinds() {
        let Some((_, body)) = kind.embed else { continue };
        let body = body.to_string();
        for (what, from, to) in [
            ("too long", "-2.5]", "-2.5,1.0]"),
            ("not finite", "-2.5", "1e39"),
            ("no number", "-2.5", "null"),
            ("empty", "[1.0,0.5]", "[]"),
        ] {
            let faulty = body.replace(from, to);
            assert_ne!(faulty, body, "{} {what}", kind.kind);
            let server = Server::start(vec![reply("200 OK", "", &faulty)]).await;
            let asked = embed_call(EmbedPurpose::Unspecified, None);
            let error = provider(kind.kind, &server.url).embed(&asked).await.unwrap_err();
            assert_eq!((error.outcome, error.status), (Outcome::BadReply, Some(200)), "{} {what}", kind.kind);
        }
        let server = Server::start(vec![reply("200 OK", "", &body)]).await;
        let mut more = embed_call(EmbedPurpose::Unspecified, None);
        more.inputs.push("three".into());
        let error = provider(kind.kind, &server.url).embed(&more).await.unwrap_err();
        assert_eq!(error.outcome, Outcome::BadReply, "{}: two vectors for three texts", kind.kind);
    }
    let twice = json!({"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]});
    let server = Server::start(vec![reply("200 OK", "", &twice.to_string())]).await;
    let asked = embed_call(EmbedPurpose::Unspecified, None);
    let error = provider("openai", &server.url).embed(&asked).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::BadReply);
}

#[tokio::test]
async fn rankings_that_cannot_be_true_are_refused() {
    for kind in kinds() {
        let Some((_, body)) = kind.rerank else { continue };
        let body = body.to_string();
        for (what, from, to) in [
            ("out of range", "\"index\":2", "\"index\":3"),
            ("twice", "\"index\":2", "\"index\":0"),
            ("negative", "\"index\":2", "\"index\":-1"),
            ("not finite", "0.9", "1e999"),
        ] {
            let faulty = body.replace(from, to);
            assert_ne!(faulty, body, "{} {what}", kind.kind);
            let server = Server::start(vec![reply("200 OK", "", &faulty)]).await;
            let error = provider(kind.kind, &server.url).rerank(&rerank_call()).await.unwrap_err();
            assert_eq!(error.outcome, Outcome::BadReply, "{} {what}", kind.kind);
        }
    }
}

#[tokio::test]
async fn errors_of_vectors_and_rankings_are_told() {
    for (kind, status, body, outcome, message) in [
        (
            "cohere",
            "401 Unauthorized",
            r#"{"message":"invalid api token"}"#,
            Outcome::Auth,
            "invalid api token",
        ),
        (
            "cohere",
            "429 Too Many Requests",
            r#"{"id":"x","message":"trial key"}"#,
            Outcome::RateLimited,
            "trial key",
        ),
        (
            "jina",
            "422 Unprocessable Entity",
            r#"{"detail":"no such task"}"#,
            Outcome::RefusedInput,
            "no such task",
        ),
        ("jina", "402 Payment Required", r#"{"detail":"no tokens left"}"#, Outcome::Auth, "no tokens left"),
        (
            "tei",
            "413 Payload Too Large",
            r#"{"error":"batch size > 32","error_type":"Validation"}"#,
            Outcome::RefusedInput,
            "batch size > 32",
        ),
        (
            "tei",
            "424 Failed Dependency",
            r#"{"error":"model is not a re-ranker","error_type":"Backend"}"#,
            Outcome::ProviderError,
            "model is not a re-ranker",
        ),
    ] {
        let server = Server::start(vec![reply(status, "", body)]).await;
        let provider = provider(kind, &server.url);
        for error in [
            provider.embed(&embed_call(EmbedPurpose::Query, None)).await.unwrap_err(),
            provider.rerank(&rerank_call()).await.unwrap_err(),
        ] {
            assert_eq!(
                (error.outcome, error.message.as_deref()),
                (outcome, Some(message)),
                "{kind} {status}"
            );
        }
    }
}

#[tokio::test]
async fn who_cannot_says_so_without_a_call() {
    let server = Server::start(vec![reply("200 OK", "", "{}")]).await;
    for kind in ["cohere", "jina", "tei"] {
        let provider = provider(kind, &server.url);
        assert!(provider.generate(&call(None)).await.is_err(), "{kind}");
        assert!(provider.stream(&call(None)).await.is_err(), "{kind}");
        assert_eq!(providers::entry(kind).unwrap().capabilities.names(), ["embed", "rerank"]);
    }
    assert!(provider("anthropic", &server.url).embed(&embed_call(EmbedPurpose::Query, None)).await.is_err());
    assert!(provider("gemini", &server.url).rerank(&rerank_call()).await.is_err());
    assert!(server.seen().is_empty());
    for (kind, path) in [("cohere", "/v1/models"), ("jina", "/v1/models"), ("tei", "/health")] {
        provider(kind, &server.url).health().await.unwrap();
        assert!(server.seen().last().unwrap().head.starts_with(&format!("GET {path} ")), "{kind}");
    }
}
