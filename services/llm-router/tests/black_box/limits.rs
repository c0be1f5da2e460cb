//! The limits of a provider: so many calls at once, so many calls and tokens in a minute.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use std::time::Duration;

use crate::support::mesh::{
    Mesh, ask, completion, generate, metadata, only, openai, outcomes, reason, retry_delay, tenant,
};
use crate::support::server::{Act, Server, json};
use copydesk_llm_router::ProviderConfig;
use copydesk_proto::llm_router::v1 as pb;
use futures_util::future::join_all;
use tonic::{Code, Status};

fn good() -> Vec<Act> {
    json("200 OK", "", &completion("Hello."))
}

/// Answers when it is told to.
fn held() -> Vec<Act> {
    [vec![Act::WaitForWord], good()].concat()
}

/// A call that counts as a hundred tokens until its true number is known, which is fifteen.
fn hundred() -> pb::GenerateRequest {
    pb::GenerateRequest { max_output_tokens: Some(95), ..ask("Hi") }
}

async fn many(mesh: &Mesh, number: usize) -> Vec<Result<pb::Completion, Status>> {
    let calls = (0..number).map(|_| generate(mesh, 1, hundred()));
    join_all(calls).await.into_iter().map(|answer| answer.map(|a| a.completion.unwrap())).collect()
}

/// Lets as many calls be answered as the provider may hold at once, when it holds them and the others are gone.
async fn release(mesh: &Mesh, server: &mut Server, number: usize, others: &Server, rest: usize) {
    for _ in 0..number {
        server.arrival().await;
    }
    while others.seen().len() < rest {
        tokio::task::yield_now().await;
    }
    let provider = &mesh.providers().await[0];
    assert_eq!(provider.in_flight as usize, number);
    (0..number).for_each(|_| server.go_on());
}

#[tokio::test]
async fn a_hundred_callers_get_exactly_the_rate_and_the_rest_another_model() {
    let with = |requests_per_minute, tokens_per_minute, max_concurrency| ProviderConfig {
        requests_per_minute,
        tokens_per_minute,
        max_concurrency,
        ..ProviderConfig::default()
    };
    for (name, limits) in
        [("requests", with(10, 0, 0)), ("tokens", with(0, 1_000, 0)), ("concurrency", with(0, 0, 10))]
    {
        let mut first = Server::start(vec![held()]).await;
        let second = Server::start(vec![good()]).await;
        let ProviderConfig { name: named, kind, base_url, models, .. } = openai("a", &first.url);
        let limited = ProviderConfig { name: named, kind, base_url, models, queue_ms: 20, ..limits };
        let mesh = Mesh::local(only(vec![limited, openai("b", &second.url)])).await;
        let calls = many(&mesh, 100);
        let (done, ()) = tokio::join!(calls, release(&mesh, &mut first, 10, &second, 90));
        let done: Vec<_> = done.into_iter().map(Result::unwrap).collect();
        assert_eq!((first.seen().len(), second.seen().len()), (10, 90), "{name}");
        for done in done.iter().filter(|done| done.model == "b/m") {
            // Who is told that it is full goes on at once; who came later knew.
            let ways = [vec![("a/m", "QUEUE_FULL"), ("b/m", "ok")], vec![("b/m", "ok")]];
            assert!(ways.contains(&outcomes(done)), "{name}: {:?}", outcomes(done));
        }
        let rows = mesh.ledger(tenant(1)).await;
        assert_eq!(rows.total_cost_nanos, 100 * 15_000, "{name}: who was not called is not paid");
    }
}

#[tokio::test]
async fn tokens_that_were_not_used_make_room() {
    let (first, second) = (Server::start(vec![good()]).await, Server::start(vec![good()]).await);
    let limited = ProviderConfig { tokens_per_minute: 1_000, queue_ms: 0, ..openai("a", &first.url) };
    let mesh = Mesh::local(only(vec![limited, openai("b", &second.url)])).await;
    for _ in 0..70 {
        generate(&mesh, 1, hundred()).await.unwrap();
    }
    // Sixty calls of fifteen tokens leave room for one more of a hundred, 61 do not.
    assert_eq!((first.seen().len(), second.seen().len()), (61, 9));
}

#[tokio::test]
async fn without_another_model_the_rest_are_told_when_to_come_again() {
    for tokens in [false, true] {
        let first = Server::start(vec![good()]).await;
        let mut limited = ProviderConfig { queue_ms: 20, ..openai("a", &first.url) };
        if tokens {
            limited.tokens_per_minute = 100;
        } else {
            limited.requests_per_minute = 5;
        }
        let mesh = Mesh::local(only(vec![limited])).await;
        let done = many(&mesh, 60).await;
        let passed = done.iter().filter(|done| done.is_ok()).count();
        assert_eq!((passed, first.seen().len()), if tokens { (1, 1) } else { (5, 5) });
        for status in done.into_iter().filter_map(Result::err) {
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "ALL_MODELS_FAILED"));
            let attempts = metadata(&status, "attempts");
            assert!(["a/m: QUEUE_FULL", "a/m: RATE_LIMITED"].contains(&attempts.as_str()), "{attempts}");
            let wait = retry_delay(&status).unwrap();
            assert!(wait > Duration::from_secs(10) && wait <= Duration::from_secs(60), "{wait:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_can_wait_briefly_waits() {
    let mut server = Server::start(vec![held()]).await;
    let narrow = ProviderConfig { max_concurrency: 1, queue_ms: 60_000, ..openai("a", &server.url) };
    let other = Server::start(vec![good()]).await;
    let mesh = Mesh::local(only(vec![narrow, openai("b", &other.url)])).await;
    let calls = many(&mesh, 3);
    let watch = async {
        server.arrival().await;
        let provider = loop {
            let provider = mesh.providers().await.remove(0);
            if provider.queued == 2 {
                break provider;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((provider.in_flight, server.seen().len()), (1, 1));
        (0..3).for_each(|_| server.go_on());
    };
    let (done, ()) = tokio::join!(calls, watch);
    let done: Vec<_> = done.into_iter().map(Result::unwrap).collect();
    assert!(done.iter().all(|done| done.model == "a/m" && !done.degraded));
    assert_eq!(done.iter().filter(|done| done.queued_us > 0).count(), 3, "each says how long it waited");
    let mut waits: Vec<u64> = done.iter().map(|done| done.queued_us).collect();
    waits.sort_unstable();
    assert!(waits[1] > waits[0] && done.iter().all(|done| done.overhead_us <= done.latency_us));
    assert!(other.seen().is_empty());
    let provider = mesh.providers().await.remove(0);
    assert_eq!((provider.in_flight, provider.queued), (0, 0));
}

#[tokio::test]
async fn a_caller_who_goes_leaves_the_queue() {
    let mut server = Server::start(vec![held()]).await;
    let narrow = ProviderConfig { max_concurrency: 1, queue_ms: 60_000, ..openai("a", &server.url) };
    let mesh = Mesh::local(only(vec![narrow])).await;
    let mut first = Box::pin(generate(&mesh, 1, ask("Hi")));
    tokio::select! { _ = &mut first => panic!("no reply was sent"), () = server.arrival() => {} }
    {
        let mut second = Box::pin(generate(&mesh, 1, ask("Hi")));
        while mesh.providers().await[0].queued == 0 {
            tokio::select! { biased; _ = &mut second => panic!("there is no place"), () = tokio::task::yield_now() => {} }
        }
    }
    while mesh.providers().await[0].queued > 0 {
        tokio::task::yield_now().await;
    }
    server.go_on();
    first.await.unwrap();
    server.go_on();
    generate(&mesh, 1, ask("Hi")).await.unwrap();
    assert_eq!(server.seen().len(), 2, "who went was never called for");
    assert_eq!(mesh.ledger(tenant(1)).await.records.len(), 2);
}
