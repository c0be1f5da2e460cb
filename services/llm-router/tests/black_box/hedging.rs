//! A slow model is overtaken by a second one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use std::collections::BTreeMap;

use crate::support::mesh::{Mesh, ask, completion, generate, only, openai, outcomes, streamed, tenant};
use crate::support::server::{Act, Server, finish, json, stream};
use copydesk_llm_router::{Config, TaskConfig};
use copydesk_proto::llm_router::v1 as pb;

const OK: &str = include_str!("golden/openai_stream.txt");

/// Enough calls to know how fast a model usually is.
const WARM: usize = 12;

fn good(streams: bool) -> Vec<Act> {
    if streams { stream(OK, 30, finish()) } else { json("200 OK", "", &completion("Vans – cold.")) }
}

fn with(hedging: pb::Hedging) -> pb::GenerateRequest {
    let routing = Some(pb::Routing { hedging: hedging.into(), ..pb::Routing::default() });
    pb::GenerateRequest { routing, ..ask("Hi") }
}

async fn call(mesh: &Mesh, streams: bool, request: pb::GenerateRequest) -> (String, pb::Completion) {
    if streams {
        let (text, done) = streamed(mesh, request).await;
        return (text, done.unwrap());
    }
    let answer = generate(mesh, 1, request).await.unwrap();
    (answer.text, answer.completion.unwrap())
}

/// Two models; the first is fast for a while and then does as the script says.
async fn warm(streams: bool, then: Vec<Act>, tasks: BTreeMap<String, TaskConfig>) -> (Mesh, Server, Server) {
    let script = std::iter::repeat_n(good(streams), WARM).chain([then]).collect();
    let first = Server::start(script).await;
    let second = Server::start(vec![good(streams)]).await;
    let config = Config { tasks, ..only(vec![openai("a", &first.url), openai("b", &second.url)]) };
    let mesh = Mesh::local(config).await;
    for _ in 0..WARM {
        let (_, done) = call(&mesh, streams, with(pb::Hedging::Off)).await;
        assert_eq!(done.model, "a/m");
    }
    (mesh, first, second)
}

fn hedged(done: &pb::Completion) -> Vec<(&str, &str, bool)> {
    done.attempts.iter().map(|a| (a.model.as_str(), a.outcome.as_str(), a.hedge)).collect()
}

#[tokio::test]
async fn the_second_model_overtakes_a_slow_first_one() {
    for streams in [false, true] {
        let (mesh, mut first, second) = warm(streams, vec![Act::WaitForClient], BTreeMap::new()).await;
        let (text, done) = call(&mesh, streams, with(pb::Hedging::On)).await;
        assert_eq!((text.as_str(), done.model.as_str()), ("Vans – cold.", "b/m"));
        assert_eq!(hedged(&done), [("a/m", "OUTHEDGED", false), ("b/m", "ok", true)], "{streams}");
        assert!(!done.degraded, "the first model did not fail: {}", done.degraded_reason);
        first.departure().await;
        assert_eq!((first.seen().len(), second.seen().len()), (WARM + 1, 1));

        let rows = mesh.ledger(tenant(1)).await.records;
        let row = rows.iter().find(|row| row.outcome == "OUTHEDGED").expect("the loser is in the ledger");
        let used = row.usage.unwrap();
        assert!(used.estimated && used.input_tokens > 0 && row.cost_nanos > 0, "and is paid: {used:?}");
        let sum: i64 = done.attempts.iter().map(|attempt| attempt.cost_nanos).sum();
        assert_eq!(done.cost_nanos, sum, "both are paid");
        let health = &mesh.providers().await[0].models[0];
        assert_eq!((health.breaker(), health.failures), (pb::BreakerState::Closed, 0));
    }
}

#[tokio::test]
async fn without_hedging_a_slow_model_is_waited_for() {
    for streams in [false, true] {
        let then = [vec![Act::WaitForWord], good(streams)].concat();
        let (mesh, mut first, second) = warm(streams, then, BTreeMap::new()).await;
        for _ in 0..WARM {
            first.arrival().await;
        }
        let mut slow = Box::pin(call(&mesh, streams, ask("Hi")));
        tokio::select! { _ = &mut slow => panic!("no reply was sent"), () = first.arrival() => {} }
        let usual = mesh.providers().await[0].models[0].latency_p95_us;
        // As long again as it usually takes, and more: whoever hedges has done so by now.
        let began = tokio::time::Instant::now();
        while began.elapsed().as_micros() < u128::from(usual) * 2 {
            tokio::select! { biased; _ = &mut slow => panic!("no reply was sent"), () = tokio::task::yield_now() => {} }
        }
        assert!(second.seen().is_empty());
        first.go_on();
        let (_, done) = slow.await;
        assert_eq!(hedged(&done), [("a/m", "ok", false)]);
        assert!(second.seen().is_empty());
    }
}

#[tokio::test]
async fn a_task_may_be_hedged_by_configuration() {
    let task = TaskConfig { hedge: true, ..TaskConfig::default() };
    let tasks = BTreeMap::from([("review".to_owned(), task)]);
    let (mesh, _first, second) = warm(false, vec![Act::WaitForClient], tasks).await;
    let request = pb::GenerateRequest { task: pb::Task::Review.into(), ..ask("Hi") };
    let (_, done) = call(&mesh, false, request).await;
    assert_eq!((done.model.as_str(), second.seen().len()), ("b/m", 1));
}

#[tokio::test]
async fn a_model_that_is_not_known_yet_is_not_hedged() {
    let first = Server::start(vec![good(false)]).await;
    let second = Server::start(vec![good(false)]).await;
    let mesh = Mesh::local(only(vec![openai("a", &first.url), openai("b", &second.url)])).await;
    for _ in 0..10 {
        let (_, done) = call(&mesh, false, with(pb::Hedging::On)).await;
        assert_eq!(outcomes(&done), [("a/m", "ok")]);
    }
    assert!(second.seen().is_empty());
}

#[tokio::test]
async fn when_the_hedge_fails_the_first_model_is_waited_for() {
    let script = std::iter::repeat_n(good(false), WARM)
        .chain([[vec![Act::WaitForWord], good(false)].concat()])
        .collect();
    let first = Server::start(script).await;
    let mut second = Server::start(vec![json("500 Oops", "", "{}")]).await;
    let mesh = Mesh::local(only(vec![openai("a", &first.url), openai("b", &second.url)])).await;
    for _ in 0..WARM {
        call(&mesh, false, with(pb::Hedging::Off)).await;
    }
    let mut slow = Box::pin(call(&mesh, false, with(pb::Hedging::On)));
    tokio::select! { _ = &mut slow => panic!("no reply was sent"), () = second.arrival() => {} }
    // The second model has failed before the first one answers.
    while mesh.providers().await[1].models[0].failures == 0 {
        tokio::select! { biased; _ = &mut slow => panic!("no reply was sent"), () = tokio::task::yield_now() => {} }
    }
    first.go_on();
    let (text, done) = slow.await;
    assert_eq!(text, "Vans – cold.");
    assert_eq!(hedged(&done), [("b/m", "PROVIDER_ERROR", true), ("a/m", "ok", false)]);
    assert_eq!(second.seen().len(), 1);
}
