//! Failures: statuses, error bodies, waits, and replies that are none.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use std::time::Duration;

use crate::support::kinds::{KEY, KINDS, call, provider};
use crate::support::server::{Act, Server, json as reply};
use copydesk_llm_router::domain::Outcome;
use copydesk_llm_router::providers::ProviderError;

/// The error of a whole answer from a server that does as the script says, and that of a stream.
async fn errors(kind: &str, script: Vec<Act>) -> [ProviderError; 2] {
    let server = Server::start(vec![script]).await;
    let provider = provider(kind, &server.url);
    let unary = provider.generate(&call(None)).await.unwrap_err();
    let Err(streamed) = provider.stream(&call(None)).await else { panic!("{kind}: a stream began") };
    [unary, streamed]
}

async fn error(kind: &str, script: Vec<Act>) -> ProviderError {
    let server = Server::start(vec![script]).await;
    provider(kind, &server.url).generate(&call(None)).await.unwrap_err()
}

#[tokio::test]
async fn failures_have_reasons() {
    let limited = r#"{"error":{"type":"rate_limit_error","message":"slow down, k-123"}}"#;
    for kind in &KINDS {
        for (script, outcome, status) in [
            (reply("429 Too Many Requests", "retry-after: 7\r\n", limited), Outcome::RateLimited, Some(429)),
            (reply("500 Internal Server Error", "", "oops"), Outcome::ProviderError, Some(500)),
            (reply("529 Overloaded", "", "{}"), Outcome::ProviderError, Some(529)),
            (reply("401 Unauthorized", "", "{}"), Outcome::Auth, Some(401)),
            (reply("402 Payment Required", "", "{}"), Outcome::Auth, Some(402)),
            (reply("404 Not Found", "", "{}"), Outcome::NotFound, Some(404)),
            (reply("400 Bad Request", "", "{}"), Outcome::RefusedInput, Some(400)),
            (
                reply("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", ""),
                Outcome::ProviderError,
                Some(307),
            ),
            (vec![Act::Reset], Outcome::Unreachable, None),
        ] {
            let shown = format!("{} {script:?}", kind.kind);
            for error in errors(kind.kind, script).await {
                assert_eq!((error.outcome, error.status), (outcome, status), "{shown}");
                let limited = outcome == Outcome::RateLimited;
                assert_eq!(error.retry_after.map(|d| d.as_secs()), limited.then_some(7), "{shown}");
                assert_eq!(error.message.as_deref(), limited.then_some("slow down, ***"), "{shown}");
                let logged = format!("{error:?} {error}");
                assert!(!logged.contains(KEY) && !logged.contains("slow down"), "{logged}");
            }
        }
        let error = provider(kind.kind, &Server::nobody().await).generate(&call(None)).await.unwrap_err();
        assert_eq!((error.outcome, error.status), (Outcome::Unreachable, None));
    }
}

#[tokio::test]
async fn replies_that_make_no_sense_are_told_apart_from_failures() {
    for kind in &KINDS {
        for script in [
            reply("200 OK", "", "not json"),
            reply("200 OK", "", "[]"),
            reply("200 OK", "", "{}"),
            vec![
                Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 17000000\r\n\r\n".to_vec()),
                Act::WaitForClient,
            ],
        ] {
            let shown = format!("{} {script:?}", kind.kind);
            let error = error(kind.kind, script).await;
            assert_eq!((error.outcome, error.status), (Outcome::BadReply, Some(200)), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_a_broken_one_not_a_faulty_one() {
    for kind in &KINDS {
        for end in [Act::Close, Act::Reset] {
            let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec();
            let error = error(kind.kind, vec![Act::Send(begun), end]).await;
            assert_eq!((error.outcome, error.status), (Outcome::StreamBroken, Some(200)), "{}", kind.kind);
        }
    }
}

#[tokio::test]
async fn a_reply_beyond_the_limit_is_not_kept() {
    let chunk = [b"100000\r\n".to_vec(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let mut script = vec![Act::Send(head)];
    script.extend(std::iter::repeat_n(Act::Send(chunk), 17));
    script.push(Act::WaitForClient);
    let error = error("openai", script).await;
    assert_eq!((error.outcome, error.detail.as_str()), (Outcome::BadReply, "the reply is too long"));
}

#[tokio::test]
async fn a_page_instead_of_an_answer_is_named() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 13\r\n\r\n<html></html>";
    for kind in &KINDS {
        for error in errors(kind.kind, vec![Act::Send(page.into())]).await {
            assert_eq!((error.outcome, error.status), (Outcome::BadReply, Some(200)), "{}", kind.kind);
            assert_eq!(error.detail, "the reply is text/html, not JSON");
        }
    }
}

#[tokio::test]
async fn bodies_say_more_than_statuses() {
    for (kind, status, body, outcome, detail, message) in [
        (
            "openai",
            "429 Too Many Requests",
            r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Outcome::Auth,
            "insufficient_quota",
            "You exceeded your current quota.",
        ),
        (
            "openai",
            "404 Not Found",
            r#"{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}"#,
            Outcome::NotFound,
            "HTTP 404 model_not_found",
            "The model does not exist",
        ),
        (
            "groq",
            "400 Bad Request",
            r#"{"error":{"message":"Failed to generate JSON","type":"invalid_request_error","code":"json_validate_failed","failed_generation":"x"}}"#,
            Outcome::BadReply,
            "HTTP 400 json_validate_failed",
            "Failed to generate JSON",
        ),
        (
            "groq",
            "413 Payload Too Large",
            r#"{"error":{"message":"Request too large for tokens per minute","type":"tokens","code":"rate_limit_exceeded"}}"#,
            Outcome::RateLimited,
            "HTTP 413 rate_limit_exceeded",
            "Request too large for tokens per minute",
        ),
        (
            "vllm",
            "400 Bad Request",
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            Outcome::RefusedInput,
            "HTTP 400 BadRequestError",
            "too long",
        ),
        (
            "anthropic",
            "529 Overloaded",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#,
            Outcome::ProviderError,
            "HTTP 529 overloaded_error",
            "Overloaded",
        ),
        (
            "anthropic",
            "400 Bad Request",
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low."}}"#,
            Outcome::Auth,
            "insufficient_quota",
            "Your credit balance is too low.",
        ),
        (
            "gemini",
            "400 Bad Request",
            r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#,
            Outcome::Auth,
            "HTTP 400 INVALID_ARGUMENT",
            "API key not valid.",
        ),
        (
            "ollama",
            "404 Not Found",
            r#"{"error":"model \"m\" not found, try pulling it first"}"#,
            Outcome::NotFound,
            "HTTP 404",
            "model \"m\" not found, try pulling it first",
        ),
    ] {
        for error in errors(kind, reply(status, "", body)).await {
            assert_eq!(error.outcome, outcome, "{kind} {body}");
            assert_eq!(error.detail, detail, "{kind}");
            assert_eq!(error.message.as_deref(), Some(message), "{kind}");
        }
    }
}

#[tokio::test]
async fn waits_are_read_from_headers_and_bodies() {
    let gemini = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}"#;
    let quota = r#"{"error":{"code":"insufficient_quota"}}"#;
    for (status, headers, body, wait) in [
        ("429 Too Many Requests", "retry-after-ms: 250\r\nretry-after: 9\r\n", "{}", Some(250)),
        ("429 Too Many Requests", "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n", "{}", Some(0)),
        (
            "429 Too Many Requests",
            "x-ratelimit-reset-requests: 6m0s\r\nx-ratelimit-reset-tokens: 20ms\r\n",
            "{}",
            Some(20),
        ),
        (
            "429 Too Many Requests",
            "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6m0s\r\nx-ratelimit-reset-tokens: 20ms\r\n",
            "{}",
            Some(360_000),
        ),
        ("503 Unavailable", "x-ratelimit-reset-requests: 6m0s\r\n", "{}", None),
        ("503 Unavailable", "retry-after: 3\r\n", "{}", Some(3_000)),
        ("429 Too Many Requests", "", gemini, Some(34_000)),
        ("429 Too Many Requests", "retry-after: 1\r\n", quota, None),
    ] {
        let error = error("gemini", reply(status, headers, body)).await;
        assert_eq!(error.retry_after, wait.map(Duration::from_millis), "{status} {headers} {body}");
    }
}

#[tokio::test]
async fn a_sentence_is_cut_and_cleaned() {
    let body = serde_json::json!({"error": {"message": format!("a\u{1}b\n{KEY}{}", "é".repeat(400))}});
    let error = error("openai", reply("400 Bad Request", "", &body.to_string())).await;
    let message = error.message.unwrap();
    assert!(message.starts_with("ab ***é"), "{message}");
    assert_eq!(message.chars().count(), 300);
}
