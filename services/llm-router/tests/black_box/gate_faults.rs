//! Gates whose Redis is killed or freezes while they use it: they go on by themselves, and together when it returns.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    dead_code,
    reason = "a failed step must stop the test; the support code serves several tests"
)]

use crate::support::gates;
use crate::support::redis as redis_server;
use crate::support::shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use copydesk_llm_router::app::Gate;
use copydesk_llm_router::domain::Rates;
use copydesk_llm_router::limits::{Patience, SharedLimits};
use futures_util::future::join_all;
use gates::{AGES, ANY, caller, gate, in_time, requests, until, waiting};
use redis_server::Redis;
use shared::{Hands, PATIENT, provider, redis};
use tokio::task::JoinSet;
use tokio::time::Instant;

const NOW: Duration = Duration::ZERO;

/// Gives up soon, and tries again soon.
const HASTY: Patience = Patience { limit: Duration::from_millis(250), rest: Duration::from_millis(20) };

fn over(server: &Redis, patience: Patience) -> Arc<dyn SharedLimits> {
    Arc::new(redis(&server.url(), patience))
}

/// Two replicas, each with a connection of its own, that hold one call at once together.
fn two(server: &Redis, queue: Duration) -> [Arc<Gate>; 2] {
    let name = provider();
    [(); 2].map(|()| gate(&over(server, HASTY), &name, 1, ANY, queue))
}

/// Waits until a call at one gate is a reason to refuse one at the other. A call that is let in by itself ends at once.
async fn together(one: &Arc<Gate>, other: &Arc<Gate>) {
    let shared = async || {
        let Ok(_held) = one.enter(1, None).await else { return false };
        other.enter(1, None).await.is_err()
    };
    until("the limits are shared", shared).await;
}

/// Waits until each has its own limits: one call at both, and no second one.
async fn apart(one: &Arc<Gate>, other: &Arc<Gate>) {
    let alone = async || {
        let passes = (one.enter(1, None).await, other.enter(1, None).await);
        let own = [one.enter(1, None).await, other.enter(1, None).await];
        assert!(own.iter().all(Result::is_err), "nobody has more than its own");
        passes.0.is_ok() && passes.1.is_ok()
    };
    until("each has its own limits", alone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_leaves_each_its_own_limits_until_it_returns() {
    let Some(server) = Redis::start() else { return };
    let [one, other] = two(&server, NOW);
    together(&one, &other).await;
    let port = server.kill();
    in_time(apart(&one, &other)).await.expect("nobody hangs");
    // A call that began meanwhile counts as soon as Redis is back, although Redis never heard of it.
    let long = one.enter(1, None).await.unwrap();
    let server = Redis::start_at(port).unwrap().expect("the port is free again");
    until("the call is known", async || other.enter(1, None).await.is_err()).await;
    drop(long);
    together(&one, &other).await;
    together(&other, &one).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_leaves_each_its_own_limits_until_it_goes_on() {
    let Some(server) = Redis::start() else { return };
    let [one, other] = two(&server, NOW);
    together(&one, &other).await;
    server.freeze();
    in_time(apart(&one, &other)).await.expect("nobody hangs");
    let long = one.enter(1, None).await.unwrap();
    server.thaw();
    until("the call is known", async || other.enter(1, None).await.is_err()).await;
    drop(long);
    together(&one, &other).await;
    together(&other, &one).await;
}

/// Who waited in line for a place of all replicas gets one of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_when_redis_dies_goes_on() {
    for freezes in [false, true] {
        let Some(server) = Redis::start() else { return };
        let [one, other] = two(&server, AGES);
        let held = one.enter(1, None).await.unwrap();
        let waits = [caller(&other, 1), caller(&other, 1), caller(&other, 1)];
        waiting(&other, 3).await;
        let server = if freezes {
            server.freeze();
            Some(server)
        } else {
            server.kill();
            None
        };
        // Who stands first is not known here: each leaves as it comes.
        join_all(waits.map(async |wait| drop(in_time(wait).await.expect("it goes on").unwrap().unwrap())))
            .await;
        drop((held, server));
    }
}

/// The deadline counts even where Redis is waited for without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_is_not_waited_for_beyond_the_deadline() {
    let Some(server) = Redis::start() else { return };
    let gate = gate(&over(&server, PATIENT), &provider(), 1, ANY, AGES);
    drop(gate.enter(1, None).await.unwrap());
    server.freeze();
    let by = Some(Instant::now() + Duration::from_millis(100));
    let entered = in_time(gate.enter(1, by)).await.expect("it does not hang");
    assert!(entered.is_err());
    assert_eq!((gate.under_way(), gate.waiting()), (0, 0));
}

/// A frozen server takes the places that it was asked for when it goes on, after the calls have ended. Its time stands
/// still here, so that no lease ends: only word of the calls' end frees the places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_of_calls_that_ended_while_redis_was_frozen_come_free() {
    let Some(server) = Redis::start() else { return };
    let name = provider();
    let limits = || -> Arc<dyn SharedLimits> {
        Arc::new(redis(&server.url(), HASTY).timed_by(Arc::new(Hands::default())))
    };
    let rates = Rates { requests: 1_000, tokens: 0 };
    let (one, other) = (gate(&limits(), &name, 5, rates, NOW), gate(&limits(), &name, 5, rates, NOW));
    let mut operator = operator(&server).await;
    let mut count = async |kind: &str| -> usize {
        let key = format!("{{copydesk:llm:limits:{name}}}:{kind}");
        redis::cmd("ZCARD").arg(key).query_async(&mut operator).await.unwrap()
    };
    drop(one.enter(1, None).await.unwrap());
    until("the first has ended", async || count("held").await == 0).await;
    server.freeze();
    let waits = [(); 5].map(|()| caller(&one, 1));
    for wait in waits {
        drop(in_time(wait).await.expect("nobody hangs").unwrap().unwrap());
    }
    server.thaw();
    until("the places are taken", async || count("calls").await == 6).await;
    until("the places are free", async || count("held").await == 0).await;
    let passes: Vec<_> = join_all((0..5).map(|_| other.enter(1, None))).await;
    assert!(passes.iter().all(Result::is_ok));
}

async fn operator(server: &Redis) -> redis::aio::MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Callers come all the time while Redis is killed, started anew, frozen, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nobody_hangs_and_nobody_fails_whatever_redis_does() {
    let Some(mut server) = Redis::start() else { return };
    let name = provider();
    let gates = [(); 3].map(|()| gate(&over(&server, HASTY), &name, 4, requests(1_000_000), AGES));
    let inside: [Arc<gates::Inside>; 3] = Default::default();
    let over = Arc::new(AtomicBool::new(false));
    let mut calls = JoinSet::new();
    for n in 0..60 {
        let (gate, inside, over) = (Arc::clone(&gates[n % 3]), Arc::clone(&inside[n % 3]), Arc::clone(&over));
        calls.spawn(async move {
            let mut done = 0;
            while !over.load(Ordering::SeqCst) {
                let pass = gate.enter(10, None).await.unwrap();
                inside.come();
                tokio::task::yield_now().await;
                inside.go();
                pass.correct(1);
                done += 1;
            }
            done
        });
    }
    let progress = async |what: &str| {
        // Everybody comes in again.
        for gate in &gates {
            drop(in_time(gate.enter(1, None)).await.expect(what).unwrap());
        }
    };
    progress("with Redis").await;
    for _ in 0..2 {
        let port = server.kill();
        progress("without Redis").await;
        server = Redis::start_at(port).unwrap().expect("the port is free again");
        progress("with another").await;
        server.freeze();
        progress("while it is frozen").await;
        server.thaw();
        progress("after that").await;
    }
    over.store(true, Ordering::SeqCst);
    let done = in_time(calls.join_all()).await.expect("nobody hangs");
    assert!(done.into_iter().all(|done: u32| done > 0), "everybody came in");
    assert!(inside.iter().all(|inside| inside.most() <= 4), "no replica ever has more than the limit");
}
