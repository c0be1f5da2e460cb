//! The same words at temperature 0 are answered once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failed step must stop the test"
)]

#[allow(dead_code, reason = "the servers of its own are for the tests of the cache")]
use crate::support::redis as redis_server;
use std::hash::{BuildHasher, RandomState};

use crate::support::mesh::{Mesh, ask, completion, generate, only, openai, reason, streamed, tenant, user};
use crate::support::server::{Act, Server, finish, json, stream};
use copydesk_llm_router::{CacheConfig, Config};
use copydesk_proto::llm_router::v1 as pb;
use copydesk_types::Secret;
use futures_util::future::{join, join_all};

const OK: &str = include_str!("golden/openai_stream.txt");

/// Each call gets another answer, up to the ninth.
async fn numbered() -> Server {
    Server::start((1..10).map(|n| json("200 OK", "", &completion(&n.to_string()))).collect()).await
}

fn cold(text: &str) -> pb::GenerateRequest {
    pb::GenerateRequest { temperature: Some(0.0), ..ask(text) }
}

/// The answer's text, whether it came from the cache, and its cost.
async fn told(mesh: &Mesh, of: u128, request: pb::GenerateRequest) -> (String, bool, i64) {
    let answer = generate(mesh, of, request).await.unwrap();
    let done = answer.completion.unwrap();
    assert!(!done.replayed);
    assert_eq!(done.cached, done.attempts.is_empty() && done.usage.unwrap().input_tokens == 0);
    (answer.text, done.cached, done.cost_nanos)
}

fn fresh(text: &str) -> (String, bool, i64) {
    (text.to_owned(), false, 15_000)
}

fn known(text: &str) -> (String, bool, i64) {
    (text.to_owned(), true, 0)
}

#[tokio::test]
async fn the_second_call_costs_nothing_and_calls_nobody() {
    let server = numbered().await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    assert_eq!(told(&mesh, 1, cold("Hi")).await, fresh("1"));
    assert_eq!(told(&mesh, 1, cold("Hi")).await, known("1"));
    let of_agent = pb::Attribution { agent: "writer".into(), ..pb::Attribution::default() };
    let by_agent = pb::GenerateRequest { attribution: Some(of_agent), ..cold("Hi") };
    assert_eq!(told(&mesh, 1, by_agent).await, known("1"), "whoever says it");
    let (text, done) = streamed(&mesh, cold("Hi")).await;
    let done = done.unwrap();
    assert_eq!((text.as_str(), done.cached, done.cost_nanos), ("1", true, 0), "a stream is given it too");
    assert_eq!((server.seen().len(), mesh.ledger(tenant(1)).await.records.len()), (1, 1));

    assert_eq!(told(&mesh, 2, cold("Hi")).await, fresh("2"), "another tenant's words");
    assert_eq!(told(&mesh, 1, cold("Ho")).await, fresh("3"), "other words");
    let longer = pb::GenerateRequest { max_output_tokens: Some(9), ..cold("Hi") };
    assert_eq!(told(&mesh, 1, longer).await, fresh("4"), "another limit");
}

#[tokio::test]
async fn a_streamed_answer_is_kept_too() {
    let server = Server::start(vec![stream(OK, 30, finish())]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let (text, done) = streamed(&mesh, cold("Hi")).await;
    assert!(!done.unwrap().cached);
    assert_eq!(told(&mesh, 1, cold("Hi")).await, known(&text));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn what_must_be_new_is_new() {
    let server = numbered().await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let warm = pb::GenerateRequest { temperature: Some(0.5), ..ask("Hi") };
    assert_eq!(told(&mesh, 1, warm.clone()).await, fresh("1"));
    assert_eq!(told(&mesh, 1, warm).await, fresh("2"));
    assert_eq!(told(&mesh, 1, ask("Hi")).await, fresh("3"), "the model's own temperature is not known");
    let routing = Some(pb::Routing { cache: pb::CacheMode::Bypass.into(), ..pb::Routing::default() });
    let bypass = pb::GenerateRequest { routing, ..cold("Hi") };
    assert_eq!(told(&mesh, 1, bypass.clone()).await, fresh("4"));
    assert_eq!(told(&mesh, 1, cold("Hi")).await, fresh("5"), "what went round the cache is not in it");
    assert_eq!(told(&mesh, 1, bypass).await, fresh("6"));
    assert_eq!(told(&mesh, 1, cold("Hi")).await, known("5"));

    let cache = CacheConfig { ttl_s: 0, ..CacheConfig::default() };
    let off = Mesh::local(Config { cache, ..only(vec![openai("a", &server.url)]) }).await;
    assert_eq!(told(&off, 1, cold("Hi")).await, fresh("7"));
    assert_eq!(told(&off, 1, cold("Hi")).await, fresh("8"), "it is switched off");
}

#[tokio::test]
async fn sixty_four_calls_at_once_are_one_call() {
    let mut script = vec![Act::WaitForWord];
    script.extend(json("200 OK", "", &completion("Once.")));
    let mut server = Server::start(vec![script]).await;
    for mesh in Mesh::both(only(vec![openai("a", &server.url)])).await {
        let before = server.seen().len();
        let calls = join_all((0..64).map(|_| told(&mesh, 1, cold("Hi"))));
        let word = async {
            server.arrival().await;
            server.go_on();
        };
        let (answers, ()) = join(calls, word).await;
        assert_eq!(answers.iter().filter(|answer| **answer == fresh("Once.")).count(), 1);
        assert_eq!(answers.iter().filter(|answer| **answer == known("Once.")).count(), 63);
        assert_eq!(server.seen().len() - before, 1);
        assert_eq!(mesh.ledger(tenant(1)).await.records.len(), 1);
    }
}

#[tokio::test]
async fn routers_share_what_is_kept_in_redis() {
    let Some(url) = redis_server::url() else { return };
    let server = numbered().await;
    let cache = CacheConfig { redis_url: Some(Secret::new(url)), ..CacheConfig::default() };
    let config = Config { cache, ..only(vec![openai("a", &server.url)]) };
    let [one, two] = [Mesh::local(config.clone()).await, Mesh::local(config).await];
    let half = || u128::from(RandomState::new().hash_one(0));
    let (mine, other) = (half() << 64 | half(), half() << 64 | half());
    assert_eq!(told(&one, mine, cold("Hi")).await, fresh("1"));
    assert_eq!(told(&two, mine, cold("Hi")).await, known("1"));
    assert_eq!(told(&two, other, cold("Hi")).await, fresh("2"));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_second_rate_answer_is_not_kept() {
    let first =
        Server::start(vec![json("500 Oops", "", "{}"), json("200 OK", "", &completion("Mine."))]).await;
    let second = Server::start(vec![json("200 OK", "", &completion("Hers."))]).await;
    let mesh = Mesh::local(only(vec![openai("a", &first.url), openai("b", &second.url)])).await;
    assert_eq!(told(&mesh, 1, cold("Hi")).await, fresh("Hers."));
    assert_eq!(told(&mesh, 1, cold("Hi")).await, fresh("Mine."));
    assert_eq!(told(&mesh, 1, cold("Hi")).await, known("Mine."));
}

#[tokio::test]
async fn a_cached_answer_is_kept_under_the_id_that_asked_for_it() {
    let server = numbered().await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let with_id = |id: &str| pb::GenerateRequest { request_id: id.into(), ..cold("Hi") };
    assert_eq!(told(&mesh, 1, cold("Hi")).await, fresh("1"));
    assert_eq!(told(&mesh, 1, with_id("r1")).await, known("1"));
    let again = generate(&mesh, 1, with_id("r1")).await.unwrap();
    let done = again.completion.unwrap();
    assert_eq!((again.text.as_str(), done.replayed, done.cost_nanos), ("1", true, 0));
    let other = pb::GenerateRequest { request_id: "r1".into(), ..cold("Ho") };
    assert_eq!(generate(&mesh, 1, other).await.unwrap_err().code(), tonic::Code::AlreadyExists);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn who_has_money_is_not_refused_for_want_of_anothers() {
    let server = numbered().await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let of = |agent: &str| {
        let attribution = Some(pb::Attribution { agent: agent.into(), ..pb::Attribution::default() });
        pb::GenerateRequest { attribution, ..cold("Hi") }
    };
    let key = pb::BudgetKey {
        subject_kind: pb::BudgetSubjectKind::Agent.into(),
        subject: "poor".into(),
        period: pb::BudgetPeriod::Total.into(),
    };
    let request = pb::SetBudgetRequest { key: Some(key), limit_nanos: Some(10), ..Default::default() };
    user(tenant(1), async { mesh.usage.clone().set_budget(request).await }).await.unwrap();
    let (poor, rich) = join(generate(&mesh, 1, of("poor")), generate(&mesh, 1, of("rich"))).await;
    assert_eq!(reason(&poor.unwrap_err()), "BUDGET_EXHAUSTED");
    assert_eq!(rich.unwrap().text, "1");
}
