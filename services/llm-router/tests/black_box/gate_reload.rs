//! Limits that change while callers wait for a place: by itself, over limits in memory in paused time, over a real Redis.
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
use std::time::Duration;

use copydesk_llm_router::app::Gate;
use copydesk_llm_router::domain::Rates;
use copydesk_llm_router::limits::SharedLimits;
use gates::{AGES, ANY, Inside, caller, gate, in_time, memory, requests, until, waiting};
use shared::{PATIENT, provider, redis};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const NOW: Duration = Duration::ZERO;

/// Limits in the test server, if there is one.
fn in_redis() -> Option<Arc<dyn SharedLimits>> {
    Some(Arc::new(redis(&redis_server::url()?, PATIENT)))
}

fn three(limits: &Arc<dyn SharedLimits>, concurrency: u32, rates: Rates, queue: Duration) -> [Arc<Gate>; 3] {
    let name = provider();
    std::array::from_fn(|_| gate(limits, &name, concurrency, rates, queue))
}

#[tokio::test(start_paused = true)]
async fn who_waits_does_so_for_the_limits_as_they_become() {
    for shared in [false, true] {
        let gate = match shared {
            true => gate(&memory(), &provider(), 0, requests(1), AGES),
            false => Arc::new(Gate::new(Instant::now())),
        };
        gate.set(0, requests(1), AGES);
        drop(gate.enter(1, None).await.unwrap());
        let waits = [caller(&gate, 1), caller(&gate, 1), caller(&gate, 1)];
        waiting(&gate, 3).await;
        sleep(Duration::from_secs(10)).await;
        // Raised: two of them enter at once.
        let raised = Instant::now();
        gate.set(0, requests(3), AGES);
        let [first, second, third] = waits;
        assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
        assert!(raised.elapsed() <= Duration::from_millis(1), "{shared}: {:?}", raised.elapsed());
        // Lowered: the third waits until all but one have left the window. No limit at all: it enters.
        gate.set(0, requests(1), AGES);
        sleep(Duration::from_secs(55)).await;
        assert_eq!(gate.waiting(), 1, "{shared}: the first left the window, two are in it");
        let freed = Instant::now();
        gate.set(0, ANY, AGES);
        third.await.unwrap().unwrap();
        assert!(freed.elapsed() <= Duration::from_millis(1), "{shared}: {:?}", freed.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lowered_number_of_places_holds_for_who_waits() {
    let gate = Arc::new(Gate::new(Instant::now()));
    gate.set(4, requests(2), AGES);
    let under_way = [gate.enter(1, None).await.unwrap(), gate.enter(1, None).await.unwrap()];
    // They have the other two places, and wait for the window.
    let waits = [caller(&gate, 1), caller(&gate, 1)];
    waiting(&gate, 2).await;
    assert_eq!(gate.under_way(), 2, "who waits is not under way");
    gate.set(2, requests(2), AGES);
    sleep(Duration::from_secs(61)).await;
    assert_eq!((gate.under_way(), gate.waiting()), (2, 2), "the window has room, the places are taken");
    drop(under_way);
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
    gate.set(1, ANY, NOW);
    let _last = gate.enter(1, None).await.unwrap();
    assert!(gate.enter(1, None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_place_on_its_way_to_who_goes_vanishes_when_the_limit_was_lowered() {
    let gate = Arc::new(Gate::new(Instant::now()));
    gate.set(2, ANY, AGES);
    let (first, _second) = (gate.enter(1, None).await.unwrap(), gate.enter(1, None).await.unwrap());
    let waits = caller(&gate, 1);
    waiting(&gate, 1).await;
    // The place is handed to who waits, who is gone before it looks.
    drop(first);
    gate.set(1, ANY, NOW);
    waits.abort();
    assert!(waits.await.is_err());
    assert!(gate.enter(1, None).await.is_err(), "one is under way, and no more may be");
}

/// All replicas are told to hold fewer calls, then more, while callers wait at all of them.
async fn reloads(limits: &Arc<dyn SharedLimits>) {
    let gates = three(limits, 6, ANY, AGES);
    let inside = Arc::new(Inside::default());
    let may_go = Arc::new(tokio::sync::Semaphore::new(0));
    let mut calls = JoinSet::new();
    for n in 0..60 {
        let (gate, inside) = (Arc::clone(&gates[n % 3]), Arc::clone(&inside));
        let may_go = Arc::clone(&may_go);
        calls.spawn(async move {
            let pass = gate.enter(1, None).await.unwrap();
            inside.come();
            may_go.acquire().await.unwrap().forget();
            inside.go();
            drop(pass);
        });
    }
    let set = |concurrency| gates.iter().for_each(|gate| gate.set(concurrency, ANY, AGES));
    until("six are inside", async || inside.now() == 6).await;
    set(2);
    // Nobody comes in for those who go first, unless shared limits were being asked already when they were lowered.
    while inside.now() > 2 {
        may_go.add_permits(1);
        until("one has gone", async || may_go.available_permits() == 0).await;
    }
    inside.count_anew();
    for _ in 0..10 {
        may_go.add_permits(1);
        until("one has gone", async || may_go.available_permits() == 0).await;
        until("the next has come", async || inside.now() == 2).await;
    }
    assert_eq!(inside.most(), 2);
    set(8);
    until("eight are inside", async || inside.now() == 8).await;
    may_go.add_permits(60);
    in_time(calls.join_all()).await.expect("all get through");
    assert_eq!((inside.now(), inside.most()), (0, 8));
}

#[tokio::test(start_paused = true)]
async fn all_replicas_change_their_limits_while_callers_wait() {
    reloads(&memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_change_their_limits_while_callers_wait_in_redis() {
    let Some(limits) = in_redis() else { return };
    reloads(&limits).await;
}
