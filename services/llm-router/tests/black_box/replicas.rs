//! Three routers that share a Redis keep one provider's limits together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    dead_code,
    reason = "a failed step must stop the test; the support code serves several tests"
)]

use crate::support::redis as redis_server;
use std::sync::Arc;
use std::time::Duration;

use crate::support::mesh::{Mesh, ask, completion, generate, only, openai};
use crate::support::server::{Act, Server, json};
use copydesk_llm_router::{CacheConfig, Config, ProviderConfig};
use copydesk_proto::llm_router::v1 as pb;
use copydesk_types::Secret;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A name that no other test has: the limits are kept under the provider's name.
fn name(kind: &str) -> String {
    format!("{kind}-{:08x}", fastrand::u32(..))
}

async fn three(url: &str, limited: ProviderConfig, second: &str) -> [Arc<Mesh>; 3] {
    // On a busy machine the default would be too short, and a replica that does not wait has limits of its own.
    let cache =
        CacheConfig { redis_url: Some(Secret::new(url)), limits_wait_ms: 30_000, ..CacheConfig::default() };
    let config = Config { cache, ..only(vec![limited, openai("b", second)]) };
    let replicas = [(); 3].map(|()| Box::pin(Mesh::local(config.clone())));
    let [one, two, three] = replicas;
    [Arc::new(one.await), Arc::new(two.await), Arc::new(three.await)]
}

fn good() -> Vec<Act> {
    json("200 OK", "", &completion("Hello."))
}

/// Answers when it is told to.
fn held() -> Vec<Act> {
    [vec![Act::WaitForWord], good()].concat()
}

/// The model that answers. A task of its own: Redis is waited for briefly, so its answers must be read between the calls.
fn answered(mesh: &Arc<Mesh>) -> BoxFuture<'static, String> {
    let mesh = Arc::clone(mesh);
    let call = tokio::spawn(async move {
        let answer: pb::GenerateResponse = generate(&mesh, 1, ask("Hi")).await.unwrap();
        answer.completion.unwrap().model
    });
    Box::pin(async { call.await.unwrap() })
}

/// The tests take turns: a replica's own work must not hold up the others'.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_callers_at_three_replicas_get_exactly_the_rate() {
    let Some(url) = redis_server::url() else { return };
    let _turn = TURN.lock().await;
    let (first, second) = (Server::start(vec![good()]).await, Server::start(vec![good()]).await);
    let limits =
        ProviderConfig { requests_per_minute: 10, queue_ms: 0, ..openai(&name("calls"), &first.url) };
    let meshes = three(&url, limits, &second.url).await;
    // The second model answers the rest.
    join_all((0..100).map(|n| answered(&meshes[n % 3]))).await;
    assert_eq!((first.seen().len(), second.seen().len()), (10, 90));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_replicas_never_call_more_at_once_than_one_may() {
    let Some(url) = redis_server::url() else { return };
    let _turn = TURN.lock().await;
    let (mut first, second) = (Server::start(vec![held()]).await, Server::start(vec![good()]).await);
    let limits =
        ProviderConfig { max_concurrency: 5, queue_ms: 60_000, ..openai(&name("at-once"), &first.url) };
    let meshes = three(&url, limits, &second.url).await;
    let calls = join_all((0..60).map(|n| answered(&meshes[n % 3])));
    let conduct = async {
        for _ in 0..5 {
            first.arrival().await;
        }
        for done in 1..=55 {
            first.go_on();
            first.arrival().await;
            assert_eq!(first.seen().len(), 5 + done, "for each that ends one comes");
        }
        (0..5).for_each(|_| first.go_on());
    };
    let (answers, ()) = tokio::join!(calls, conduct);
    assert!(answers.iter().all(|model| *model != "b/m"), "all waited for the first");
    assert!(second.seen().is_empty());
}

/// Nobody fails and nobody waits while Redis is gone; each replica has its own limit then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_whose_redis_is_killed_go_on_alone_and_share_again_when_it_returns() {
    let Some(redis) = redis_server::Redis::start() else { return };
    let _turn = TURN.lock().await;
    let (mut first, second) = (Server::start(vec![held()]).await, Server::start(vec![good()]).await);
    let limits = ProviderConfig { max_concurrency: 1, queue_ms: 0, ..openai("a", &first.url) };
    let [one, two, three] = three(&redis.url(), limits, &second.url).await;
    let conduct = Box::pin(async {
        first.arrival().await;
        assert_eq!([answered(&two).await, answered(&three).await], ["b/m"; 2], "the one place is taken");
        let port = redis.kill();
        let alone = Box::pin(async {
            first.arrival().await;
            first.arrival().await;
            let more = [answered(&one).await, answered(&two).await, answered(&three).await];
            assert_eq!(more, ["b/m"; 3], "nobody has more than its own limit");
            (0..3).for_each(|_| first.go_on());
        });
        let answers = tokio::join!(answered(&two), answered(&three), alone);
        assert_eq!([answers.0, answers.1], ["a/m"; 2]);
        port
    });
    let (answer, port) = tokio::join!(answered(&one), conduct);
    assert_eq!(answer, "a/m");
    let _redis = redis_server::Redis::start_at(port).unwrap().expect("the port is free again");
    let shared = async { while !share(&one, &two, &mut first).await {} };
    timeout(Duration::from_secs(40), shared).await.expect("the limits are shared again");
}

/// Whether a call at one replica leaves no place to one at the other.
async fn share(one: &Arc<Mesh>, other: &Arc<Mesh>, first: &mut Server) -> bool {
    let mut held = answered(one);
    tokio::select! {
        // The end of an earlier call is not known yet.
        _ = &mut held => return false,
        () = first.arrival() => {}
    }
    let mut second = answered(other);
    let shared = tokio::select! {
        model = &mut second => {
            assert_eq!(model, "b/m", "nobody was told to answer");
            true
        }
        () = first.arrival() => false,
    };
    first.go_on();
    if !shared {
        first.go_on();
        second.await;
    }
    held.await;
    shared
}
