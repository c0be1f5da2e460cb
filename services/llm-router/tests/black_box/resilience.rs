//! Breakers, retries, and what is told of a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use std::time::Duration;

use crate::support::mesh::{
    Mesh, ask, completion, generate, metadata, only, openai, outcomes, reason, retry_delay, streamed, tenant,
    user,
};
use crate::support::server::{Act, Server, finish, json, stream};
use copydesk_llm_router::{BreakerConfig, Config, RetryConfig};
use copydesk_proto::llm_router::v1 as pb;
use copydesk_rpc::{CallContext, testing};
use copydesk_types::{Scopes, Secret};
use tokio::time::Instant;
use tonic::Code;

const OK: &str = include_str!("golden/openai_stream.txt");

fn good() -> Vec<Act> {
    json("200 OK", "", &completion("Hello."))
}

fn dead() -> Vec<Act> {
    json("500 Oops", "", "{}")
}

/// The usual three rounds, without their waits.
fn eager() -> RetryConfig {
    RetryConfig { base_ms: 1, ..RetryConfig::default() }
}

async fn health(mesh: &Mesh, provider: usize) -> pb::ModelHealth {
    mesh.providers().await[provider].models[0].clone()
}

async fn explain(mesh: &Mesh) -> Vec<pb::Candidate> {
    let mut routing = mesh.routing.clone();
    let request = pb::ExplainRouteRequest { request: Some(ask("Hi")) };
    let call = user(tenant(1), async { routing.explain_route(request).await }).await;
    call.unwrap().into_inner().decision.unwrap().candidates
}

#[tokio::test]
async fn thirty_calls_over_a_dead_first_model_reach_it_a_few_times_only() {
    for streams in [false, true] {
        let first = Server::start(vec![dead()]).await;
        let second = Server::start(vec![if streams { stream(OK, 20, finish()) } else { good() }]).await;
        let config =
            Config { retry: eager(), ..only(vec![openai("a", &first.url), openai("b", &second.url)]) };
        let mesh = Mesh::local(config).await;
        for _ in 0..30 {
            let done = match streams {
                false => generate(&mesh, 1, ask("Hi")).await.unwrap().completion.unwrap(),
                true => streamed(&mesh, ask("Hi")).await.1.unwrap(),
            };
            assert_eq!(done.model, "b/m");
        }
        let reached = first.seen().len();
        assert!((1..=6).contains(&reached), "{reached} calls to the dead model");
        assert_eq!(second.seen().len(), 30);
        assert_eq!(health(&mesh, 0).await.breaker(), pb::BreakerState::Open);
    }
}

#[tokio::test]
async fn whole_answers_and_streams_share_a_breaker() {
    let first = Server::start(vec![dead()]).await;
    let mesh = Mesh::local(only(vec![openai("a", &first.url)])).await;
    for n in 0..5 {
        assert_eq!(health(&mesh, 0).await.breaker(), pb::BreakerState::Closed, "{n}");
        let status = match n % 2 {
            0 => generate(&mesh, 1, ask("Hi")).await.unwrap_err(),
            _ => streamed(&mesh, ask("Hi")).await.1.unwrap_err(),
        };
        assert_eq!(reason(&status), "ALL_MODELS_FAILED");
    }
    assert_eq!(health(&mesh, 0).await.breaker(), pb::BreakerState::Open);
}

#[tokio::test]
async fn the_breaker_of_the_only_model_holds_and_is_shown() {
    let server = Server::start(vec![dead()]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    for _ in 0..5 {
        generate(&mesh, 1, ask("Hi")).await.unwrap_err();
    }
    assert_eq!(server.seen().len(), 5);
    for streams in [false, true] {
        let status = match streams {
            false => generate(&mesh, 1, ask("Hi")).await.unwrap_err(),
            true => streamed(&mesh, ask("Hi")).await.1.unwrap_err(),
        };
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "ALL_MODELS_FAILED"));
        assert_eq!(metadata(&status, "attempts"), "a/m: BREAKER_OPEN");
        let wait = retry_delay(&status).unwrap();
        assert!((Duration::from_secs(10)..=Duration::from_secs(60)).contains(&wait), "{wait:?}");
    }
    assert_eq!(server.seen().len(), 5, "nobody is called");
    assert_eq!(mesh.ledger(tenant(1)).await.records.len(), 5);
    let shown = health(&mesh, 0).await;
    let wait = shown.breaker_retry_in.unwrap().seconds;
    assert_eq!((shown.breaker(), shown.calls, shown.failures), (pb::BreakerState::Open, 5, 5));
    assert!((1..=60).contains(&wait) && shown.last_outcome == "PROVIDER_ERROR", "{shown:?}");
    let candidate = explain(&mesh).await.remove(0);
    assert_eq!((candidate.verdict(), candidate.position), (pb::Verdict::BreakerOpen, 0));
}

#[tokio::test]
async fn one_probe_closes_the_breaker_again() {
    let script = std::iter::repeat_n(dead(), 5).chain([good()]).collect();
    let server = Server::start(script).await;
    let breaker = BreakerConfig { open_s: 1, ..BreakerConfig::default() };
    let mesh = Mesh::local(Config { breaker, ..only(vec![openai("a", &server.url)]) }).await;
    for _ in 0..5 {
        generate(&mesh, 1, ask("Hi")).await.unwrap_err();
    }
    let opened = Instant::now();
    let answer = loop {
        match generate(&mesh, 1, ask("Hi")).await {
            Ok(answer) => break answer,
            Err(status) => assert_eq!(metadata(&status, "attempts"), "a/m: BREAKER_OPEN"),
        }
        assert!(opened.elapsed() < Duration::from_secs(60), "it never tried again");
        tokio::task::yield_now().await;
    };
    assert_eq!((answer.text.as_str(), server.seen().len()), ("Hello.", 6));
    let shown = health(&mesh, 0).await;
    assert_eq!((shown.breaker(), shown.breaker_retry_in), (pb::BreakerState::Closed, None));
}

#[tokio::test]
async fn a_caller_in_a_hurry_says_nothing_about_a_model() {
    let script = std::iter::repeat_n(vec![Act::WaitForClient], 10).chain([good()]).collect();
    let mut server = Server::start(script).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    for n in 0..10 {
        let deadline = Some(Instant::now() + Duration::from_millis(100));
        let context = CallContext::bearer(testing::user_token(tenant(1), Scopes::all()));
        let call = context.with_deadline(deadline).scope(async {
            if n % 2 == 0 {
                return generate_here(&mesh).await;
            }
            let request = pb::StreamGenerateRequest { request: Some(ask("Hi")) };
            let mut events = mesh.llm.clone().stream_generate(request).await?.into_inner();
            events.message().await.map(drop)
        });
        let status = call.await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        server.departure().await;
    }
    let shown = health(&mesh, 0).await;
    assert_eq!((shown.breaker(), shown.failures), (pb::BreakerState::Closed, 0));
    assert_eq!(generate(&mesh, 1, ask("Hi")).await.unwrap().text, "Hello.");
}

async fn generate_here(mesh: &Mesh) -> Result<(), tonic::Status> {
    mesh.llm.clone().generate(ask("Hi")).await.map(drop)
}

#[tokio::test]
async fn an_outage_is_not_made_worse_by_retries() {
    let server = Server::start(vec![dead()]).await;
    let breaker = BreakerConfig { failures: 1_000, ..BreakerConfig::default() };
    let mesh = Mesh::local(Config { breaker, retry: eager(), ..only(vec![openai("a", &server.url)]) }).await;
    for _ in 0..100 {
        generate(&mesh, 1, ask("Hi")).await.unwrap_err();
    }
    let reached = server.seen().len();
    assert!((120..=130).contains(&reached), "{reached} calls for a hundred");
    assert!(mesh.providers().await[0].retry_budget_left < 0.2);
}

#[tokio::test]
async fn a_call_that_failed_once_is_repeated_unseen() {
    let server = Server::start(vec![dead(), good()]).await;
    let mesh = Mesh::local(Config { retry: eager(), ..only(vec![openai("a", &server.url)]) }).await;
    let done = generate(&mesh, 1, ask("Hi")).await.unwrap().completion.unwrap();
    assert_eq!(outcomes(&done), [("a/m", "PROVIDER_ERROR"), ("a/m", "ok")]);
    assert!(!done.degraded, "the first choice answered");
}

#[tokio::test]
async fn a_long_wait_is_not_waited_for_but_told() {
    let busy = json("429 Too Many Requests", "retry-after: 30\r\n", "{}");
    let server = Server::start(vec![busy]).await;
    let mesh = Mesh::local(Config { retry: eager(), ..only(vec![openai("a", &server.url)]) }).await;
    let status = generate(&mesh, 1, ask("Hi")).await.unwrap_err();
    assert_eq!((retry_delay(&status), server.seen().len()), (Some(Duration::from_secs(30)), 1));
    // Who comes next is told at once, without a call.
    let status = generate(&mesh, 1, ask("Hi")).await.unwrap_err();
    assert_eq!(metadata(&status, "attempts"), "a/m: RATE_LIMITED");
    let wait = retry_delay(&status).unwrap();
    assert!((Duration::from_secs(5)..=Duration::from_secs(30)).contains(&wait), "{wait:?}");
    assert_eq!(server.seen().len(), 1);
    assert!(health(&mesh, 0).await.rate_limited_for.is_some());
    assert_eq!(explain(&mesh).await[0].verdict(), pb::Verdict::RateLimited);
}

#[tokio::test]
async fn another_model_is_asked_before_the_dead_one_again() {
    let (first, second) = (Server::start(vec![dead()]).await, Server::start(vec![good()]).await);
    let retry = RetryConfig { base_ms: 60_000, longest_ms: 60_000, ..RetryConfig::default() };
    let config = Config { retry, ..only(vec![openai("a", &first.url), openai("b", &second.url)]) };
    let done = generate(&Mesh::local(config).await, 1, ask("Hi")).await.unwrap().completion.unwrap();
    assert_eq!(outcomes(&done), [("a/m", "PROVIDER_ERROR"), ("b/m", "ok")]);
    assert_eq!(first.seen().len(), 1);
}

#[tokio::test]
async fn a_status_keeps_its_meaning() {
    for (status, code, word, outcome) in [
        ("400 Bad Request", Code::FailedPrecondition, "REFUSED_INPUT", ""),
        ("413 Payload Too Large", Code::FailedPrecondition, "REFUSED_INPUT", ""),
        ("401 Unauthorized", Code::FailedPrecondition, "ALL_MODELS_FAILED", "AUTH"),
        ("404 Not Found", Code::FailedPrecondition, "ALL_MODELS_FAILED", "NOT_FOUND"),
        ("429 Too Many Requests", Code::Unavailable, "ALL_MODELS_FAILED", "RATE_LIMITED"),
    ] {
        let body = r#"{"error":{"message":"No, not with sk-123-456.","type":"a_word"}}"#;
        let server = Server::start(vec![json(status, "retry-after: 7\r\n", body)]).await;
        let mut provider = openai("a", &server.url);
        provider.api_key = Some(Secret::new("sk-123-456"));
        let number = &status[..3];
        for streams in [false, true] {
            let mesh = Mesh::local(only(vec![provider.clone()])).await;
            let told = match streams {
                false => generate(&mesh, 1, ask("Hi")).await.unwrap_err(),
                true => streamed(&mesh, ask("Hi")).await.1.unwrap_err(),
            };
            assert_eq!((told.code(), reason(&told).as_str()), (code, word), "{status}");
            let words = ["model", "upstream_status", "provider_message"].map(|name| metadata(&told, name));
            assert_eq!(words, ["a/m", number, "No, not with ***."], "{status}");
            if !outcome.is_empty() {
                let attempt = format!("a/m: {outcome} (HTTP {number})");
                assert_eq!(metadata(&told, "attempts"), attempt);
            }
            let wait = (number == "429").then_some(Duration::from_secs(7));
            assert_eq!(retry_delay(&told), wait, "{status}");
            assert_eq!(mesh.ledger(tenant(1)).await.records[0].upstream_status.to_string(), number);
            assert!(!format!("{told:?}").contains("sk-123"));
        }
    }
}
