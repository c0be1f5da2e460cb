//! Rate limits: exact under concurrency, each key and class of method for itself.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use copydesk_gateway::{Config, RateLimits};
use copydesk_proto::llm_router::v1::GenerateRequest;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::door::{Client, Door, reason, soon, store, why, with_key};
use crate::script::Script;

/// Small, so that the next token drips in long after the test: one in 15 s.
const LIMIT: usize = 4;
const CALLERS: usize = 64;

/// A door with this limit on generating, and the count of calls that came through.
async fn limited() -> (Door, Arc<AtomicUsize>) {
    let through = Arc::new(AtomicUsize::new(0));
    let counter = through.clone();
    let script = Script::new().on_generate(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Ok(Response::new(Default::default())) }
    });
    let rate_limits = RateLimits { generate: LIMIT as u32, ..RateLimits::default() };
    let config = Config { rate_limits, ..Config::default() };
    (Door::local(&script, config, store().await).await, through)
}

async fn generate(door: &Client, secret: &str) -> Result<(), Status> {
    with_key(secret, door.llm().generate(GenerateRequest::default())).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_limit_comes_through_at_once() {
    let (door, through) = limited().await;
    let mut secrets = vec![door.secret.clone()];
    secrets.push(door.make_key("another", &["llm:write"]).await.1);
    for (round, secret) in secrets.into_iter().enumerate() {
        let mut callers = JoinSet::new();
        let start = Arc::new(Barrier::new(CALLERS));
        for _ in 0..CALLERS {
            let (client, secret, start) = (door.client.clone(), secret.clone(), start.clone());
            callers.spawn(async move {
                start.wait().await;
                generate(&client, &secret).await
            });
        }
        let answers = soon(callers.join_all()).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), LIMIT, "another key has its own");
        assert_eq!(
            through.load(Ordering::SeqCst),
            LIMIT * (round + 1),
            "the refused ones did not reach the peer"
        );
        for refused in answers.into_iter().filter_map(Result::err) {
            assert_eq!(
                (refused.code(), reason(&refused).as_str()),
                (Code::ResourceExhausted, "RATE_LIMITED")
            );
            let details = refused.get_error_details();
            let wait = details.retry_info().and_then(|info| info.retry_delay).expect("a time to come back");
            let longest = Duration::from_secs(60) / LIMIT as u32;
            assert!(wait > Duration::ZERO && wait <= longest, "{wait:?}");
            let quota = details.quota_failure().expect("a quota").violations.clone();
            assert_eq!(quota.len(), 1);
            assert!(
                quota[0].subject.starts_with("key_") && !quota[0].subject.contains(&*door.secret),
                "{quota:?}"
            );
            assert_eq!(quota[0].description, "4 generate calls a minute");
        }
    }
}

#[tokio::test]
async fn a_class_that_is_used_up_leaves_the_others_alone() {
    let (door, _) = limited().await;
    for _ in 0..LIMIT {
        generate(&door, &door.secret).await.expect("within the limit");
    }
    let refused = generate(&door, &door.secret).await;
    assert_eq!(why(refused), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
    for _ in 0..100 {
        door.search_with(&door.secret).await.expect("reading goes on");
    }
    let (_, other) = door.make_key("managing goes on", &["llm:write"]).await;
    generate(&door, &other).await.expect("another key of the same tenant");
}

#[tokio::test]
async fn a_call_that_may_not_be_made_costs_nothing() {
    let (door, through) = limited().await;
    let (_, reader) = door.make_key("a reader", &["knowledge:read"]).await;
    for _ in 0..3 * LIMIT {
        assert_eq!(why(generate(&door, &reader).await), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    }
    assert_eq!(through.load(Ordering::SeqCst), 0);
}
