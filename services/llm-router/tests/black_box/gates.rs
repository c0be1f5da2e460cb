//! Gates that share limits: never more than the limit, nobody left behind, nothing lost with who goes. In paused time
//! over limits in memory, and over a real Redis.
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
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use copydesk_llm_router::app::{Full, Gate};
use copydesk_llm_router::domain::Rates;
use copydesk_llm_router::limits::SharedLimits;
use gates::{AGES, ANY, Inside, Wire, caller, gate, in_time, memory, requests, tokens, until, waiting};
use shared::{Hands, PATIENT, provider, redis};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, advance, sleep};

const NOW: Duration = Duration::ZERO;

/// Limits in the test server, if there is one.
fn in_redis() -> Option<Arc<dyn SharedLimits>> {
    Some(Arc::new(redis(&redis_server::url()?, PATIENT)))
}

fn three(limits: &Arc<dyn SharedLimits>, concurrency: u32, rates: Rates, queue: Duration) -> [Arc<Gate>; 3] {
    let name = provider();
    std::array::from_fn(|_| gate(limits, &name, concurrency, rates, queue))
}

/// A hundred callers at three gates, ten at once. The first ten must be inside together; all get through.
async fn ten_at_once(limits: &Arc<dyn SharedLimits>) {
    let gates = three(limits, 10, ANY, AGES);
    let inside = Arc::new(Inside::default());
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let (gate, inside) = (Arc::clone(&gates[n % 3]), Arc::clone(&inside));
        calls.spawn(async move {
            let pass = gate.enter(1, None).await.unwrap();
            inside.come();
            while inside.most() < 10 {
                yield_now().await;
            }
            for _ in 0..20 {
                yield_now().await;
            }
            inside.go();
            drop(pass);
        });
    }
    in_time(calls.join_all()).await.expect("all get through");
    assert_eq!((inside.now(), inside.most()), (0, 10));
    let counts = gates.each_ref().map(|gate| (gate.under_way(), gate.waiting()));
    assert_eq!(counts, [(0, 0); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_at_three_gates_are_never_more_than_ten() {
    ten_at_once(&memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_at_three_gates_are_never_more_than_ten_in_redis() {
    let Some(limits) = in_redis() else { return };
    ten_at_once(&limits).await;
}

/// A hundred callers at three gates of whom ten fit into the minute; the others are told at once.
async fn ten_a_minute(limits: &Arc<dyn SharedLimits>, rates: Rates, queue: Duration) {
    let gates = three(limits, 50, rates, queue);
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let gate = Arc::clone(&gates[n % 3]);
        calls.spawn(async move { gate.enter(100, None).await.map(drop) });
    }
    let ended = in_time(calls.join_all()).await.expect("nobody waits in vain");
    let full: Vec<Full> = ended.into_iter().filter_map(Result::err).collect();
    assert_eq!(full.len(), 90, "{rates:?} {queue:?}");
    for Full { retry_after } in full {
        assert!(retry_after.is_none_or(|wait| wait > Duration::from_secs(10)), "{retry_after:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_at_three_gates_get_exactly_the_rate_in_redis() {
    let Some(limits) = in_redis() else { return };
    for queue in [NOW, Duration::from_secs(5)] {
        ten_a_minute(&limits, requests(10), queue).await;
        ten_a_minute(&limits, tokens(1_000), queue).await;
    }
}

/// Who waits long enough gets through, in every gate in the order of coming, and no minute holds more than ten.
#[tokio::test(start_paused = true)]
async fn a_hundred_callers_who_wait_go_ten_a_minute_in_their_order() {
    for rates in [requests(10), tokens(1_000)] {
        let gates = three(&memory(), 0, rates, AGES);
        let entered = Arc::new(Mutex::new(Vec::new()));
        let mut calls = JoinSet::new();
        for n in 0..100 {
            let (gate, entered) = (Arc::clone(&gates[n % 3]), Arc::clone(&entered));
            calls.spawn(async move {
                let _pass = gate.enter(100, None).await.unwrap();
                entered.lock().unwrap().push((n, Instant::now()));
            });
            yield_now().await;
        }
        calls.join_all().await;
        let entered = entered.lock().unwrap();
        for (at, (_, when)) in entered.iter().enumerate().skip(10) {
            assert!(
                *when - entered[at - 10].1 >= Duration::from_secs(60),
                "{rates:?}: the {at}th came early"
            );
        }
        for gate in 0..3 {
            let order: Vec<usize> = entered.iter().map(|(n, _)| *n).filter(|n| n % 3 == gate).collect();
            assert!(order.is_sorted(), "{rates:?}: {order:?}");
        }
        let all = entered[99].1 - entered[0].1;
        assert!(all < Duration::from_secs(9 * 60 + 30), "{rates:?}: room was left unused, {all:?}");
    }
}

/// A replica whose line never ends does not keep the places from another that has one caller.
#[tokio::test(start_paused = true)]
async fn a_busy_replica_leaves_places_to_a_quiet_one() {
    let (limits, name) = (memory(), provider());
    let busy = gate(&limits, &name, 1, ANY, AGES);
    let quiet = gate(&limits, &name, 1, ANY, AGES);
    let done = Arc::new(Inside::default());
    let mut crowd = JoinSet::new();
    for _ in 0..200 {
        let (busy, done) = (Arc::clone(&busy), Arc::clone(&done));
        crowd.spawn(async move {
            let pass = busy.enter(1, None).await.unwrap();
            sleep(Duration::from_millis(100)).await;
            done.come();
            drop(pass);
        });
    }
    waiting(&busy, 199).await;
    let pass = quiet.enter(1, None).await.unwrap();
    assert!(done.now() <= 2, "{} went before it", done.now());
    drop(pass);
    crowd.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_wait_is_refused_by_limits_only() {
    let gate = Arc::new(Gate::new(Instant::now()));
    gate.set(0, requests(1_000_000), NOW);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let gate = Arc::clone(&gate);
        calls.spawn(async move {
            let mut refused = 0;
            for _ in 0..300 {
                refused += usize::from(gate.enter(1, None).await.is_err());
            }
            refused
        });
    }
    assert_eq!(calls.join_all().await.into_iter().sum::<usize>(), 0, "there was room for all");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_replica_held_comes_free_after_its_lease() {
    let (limits, name) = (memory(), provider());
    let wire = Wire::to(&limits);
    let near: Arc<dyn SharedLimits> = wire.clone();
    let (dying, other) = (gate(&near, &name, 3, ANY, NOW), gate(&limits, &name, 3, ANY, AGES));
    let lost = [dying.enter(1, None).await.unwrap(), dying.enter(1, None).await.unwrap()];
    let lives = other.enter(1, None).await.unwrap();
    // Renewed again and again, the places outlast their leases.
    sleep(Duration::from_secs(100)).await;
    other.set(3, ANY, NOW);
    assert!(other.enter(1, None).await.is_err());
    other.set(3, ANY, AGES);
    wire.cut(true);
    let died = Instant::now();
    let gained = [other.enter(1, None).await.unwrap(), other.enter(1, None).await.unwrap()];
    let after = died.elapsed();
    assert!(after > Duration::from_secs(9) && after <= Duration::from_millis(15_100), "{after:?}");
    other.set(3, ANY, NOW);
    assert!(other.enter(1, None).await.is_err(), "who lives keeps its place");
    drop((lost, lives, gained));
}

#[tokio::test]
async fn what_a_killed_replica_held_comes_free_after_its_lease_in_redis() {
    let Some(url) = redis_server::url() else { return };
    let (clock, name) = (Arc::new(Hands::default()), provider());
    let limits = || -> Arc<dyn SharedLimits> { Arc::new(redis(&url, PATIENT).timed_by(clock.clone())) };
    let dying = (limits(), name.clone());
    // A runtime of its own that is torn down: nobody tells Redis anything.
    let killed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let gate = gate(&dying.0, &dying.1, 2, ANY, NOW);
            std::mem::forget([gate.enter(1, None).await.unwrap(), gate.enter(1, None).await.unwrap()]);
        });
        runtime.shutdown_background();
    });
    killed.join().unwrap();
    let other = gate(&limits(), &name, 2, ANY, NOW);
    assert!(other.enter(1, None).await.is_err());
    clock.advance(14_999);
    assert!(other.enter(1, None).await.is_err());
    clock.advance(1);
    let passes = [other.enter(1, None).await.unwrap(), other.enter(1, None).await.unwrap()];
    drop(passes);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_were_not_used_let_who_waits_in() {
    // By itself, at the same gate, at another one: then it is heard of at the next look.
    for (shared, same) in [(false, true), (true, true), (true, false)] {
        let (limits, name) = (memory(), provider());
        let one = gate(&limits, &name, 0, tokens(100), AGES);
        let alone = Arc::new(Gate::new(Instant::now()));
        alone.set(0, tokens(100), AGES);
        let one = if shared { one } else { alone };
        let two = if same { Arc::clone(&one) } else { gate(&limits, &name, 0, tokens(100), AGES) };
        let pass = one.enter(90, None).await.unwrap();
        let waits = caller(&two, 50);
        waiting(&two, 1).await;
        sleep(Duration::from_millis(300)).await;
        let corrected = Instant::now();
        pass.correct(10);
        let second = waits.await.unwrap().unwrap();
        let most = Duration::from_millis(if same { 1 } else { 1_001 });
        assert!(corrected.elapsed() <= most, "{shared} {same}: {:?}", corrected.elapsed());
        let waits = caller(&two, 50);
        waiting(&two, 1).await;
        let given = Instant::now();
        second.give_back();
        waits.await.unwrap().unwrap();
        assert!(given.elapsed() <= Duration::from_millis(1), "{shared} {same}: {:?}", given.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_of_a_full_window_is_forgotten_with_it() {
    let (limits, name) = (memory(), provider());
    let (one, two) = (gate(&limits, &name, 0, tokens(100), NOW), gate(&limits, &name, 0, tokens(100), NOW));
    let mine = two.enter(10, None).await.unwrap();
    let pass = one.enter(80, None).await.unwrap();
    assert!(two.enter(50, None).await.is_err());
    assert!(two.window_wait(50).is_some(), "it was told");
    pass.correct(0);
    yield_now().await;
    mine.correct(0);
    // The clerk, not the time, makes it forget.
    for _ in 0..10 {
        yield_now().await;
    }
    assert_eq!(two.window_wait(50), None);
    let pass = one.enter(100, None).await.unwrap();
    assert!(two.enter(50, None).await.is_err());
    drop(pass);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn true_tokens_make_and_take_room_in_redis() {
    let Some(limits) = in_redis() else { return };
    let name = provider();
    let (one, two) = (gate(&limits, &name, 0, tokens(100), AGES), gate(&limits, &name, 0, tokens(100), AGES));
    let pass = one.enter(90, None).await.unwrap();
    let waits = caller(&two, 50);
    waiting(&two, 1).await;
    pass.correct(10);
    let second = in_time(waits).await.expect("long before the minute is over").unwrap().unwrap();
    second.correct(500);
    two.set(0, tokens(100), NOW);
    one.set(0, tokens(100), NOW);
    assert!(two.enter(1, None).await.is_err(), "who used it knows at once");
    // The others, when they ask: what they take before that is given back.
    let told = async || match one.enter(1, None).await {
        Ok(early) => {
            early.give_back();
            false
        }
        Err(full) => full.retry_after.is_some(),
    };
    until("the tokens are known everywhere", told).await;
}

#[tokio::test(start_paused = true)]
async fn who_goes_while_it_asks_leaves_no_place_taken() {
    let (limits, name) = (memory(), provider());
    let wire = Wire::to(&limits);
    let near: Arc<dyn SharedLimits> = wire.clone();
    let rates = Rates { requests: 1, tokens: 0 };
    let (slow, other) = (gate(&near, &name, 1, rates, AGES), gate(&limits, &name, 1, rates, NOW));
    wire.hold_answers();
    let asks = caller(&slow, 1);
    while wire.asked.load(Ordering::SeqCst) == 0 {
        yield_now().await;
    }
    assert!(other.enter(1, None).await.is_err(), "it is taken, and nobody was told");
    asks.abort();
    assert!(asks.await.is_err());
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(other.enter(1, None).await.is_ok(), "given back, in the window too");
    assert_eq!((slow.under_way(), slow.waiting()), (0, 0));
}

/// Whoever leaves the line, its head included, lets the next proceed.
async fn the_line_goes_on(limits: &Arc<dyn SharedLimits>) {
    let name = provider();
    let (one, two) = (gate(limits, &name, 3, ANY, AGES), gate(limits, &name, 3, ANY, AGES));
    let held: Vec<_> = [one.enter(1, None).await, two.enter(1, None).await, two.enter(1, None).await].into();
    // Two with a place of the process, in line for one of all replicas; two in line for one of the process.
    let mut waits = Vec::new();
    for number in 1..=4 {
        waits.push(caller(&one, 1));
        waiting(&one, number).await;
    }
    for gone in [0, 1] {
        let gone = waits.remove(gone);
        gone.abort();
        assert!(gone.await.is_err());
    }
    waiting(&one, 2).await;
    drop(held);
    for wait in waits {
        in_time(wait).await.expect("it proceeds").unwrap().unwrap();
    }
    assert_eq!((one.under_way(), one.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_line_goes_on_without_who_left_it() {
    the_line_goes_on(&memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_goes_on_without_who_left_it_in_redis() {
    let Some(limits) = in_redis() else { return };
    the_line_goes_on(&limits).await;
}

/// Callers come and are cut off at any moment: in the end all places are there, and not one more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_storm_of_callers_who_go_all_places_are_there() {
    let Some(limits) = in_redis() else { return };
    let gates = three(&limits, 5, tokens(1_000_000), AGES);
    let inside = Arc::new(Inside::default());
    let calls: Vec<_> = (0..300)
        .map(|n| {
            let (gate, inside) = (Arc::clone(&gates[n % 3]), Arc::clone(&inside));
            let call = tokio::spawn(async move {
                let pass = gate.enter(10, None).await.unwrap();
                inside.come();
                inside.go();
                pass.correct(1);
            });
            (n, call)
        })
        .collect();
    for (n, call) in &calls {
        for _ in 0..n % 7 {
            yield_now().await;
        }
        if n % 2 == 0 {
            call.abort();
        }
    }
    for (_, call) in calls {
        let ended = in_time(call).await.expect("nobody hangs");
        assert!(ended.is_ok() || ended.is_err_and(|end| end.is_cancelled()));
    }
    assert!(inside.most() <= 5);
    let mut passes = Vec::new();
    for n in 0..5 {
        passes.push(in_time(gates[n % 3].enter(10, None)).await.expect("a place is there").unwrap());
    }
    gates[0].set(5, tokens(1_000_000), NOW);
    assert!(gates[0].enter(10, None).await.is_err());
    let counts = gates.each_ref().map(|gate| gate.waiting());
    assert_eq!(counts, [0; 3]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_shared_limits_beyond_its_deadline() {
    let limits = memory();
    let wire = Wire::to(&limits);
    let near: Arc<dyn SharedLimits> = wire.clone();
    let slow = gate(&near, &provider(), 1, ANY, AGES);
    wire.hold_answers();
    let began = Instant::now();
    let by = Some(began + Duration::from_secs(2));
    assert!(slow.enter(1, by).await.is_err());
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    advance(Duration::from_secs(1)).await;
    assert_eq!((slow.under_way(), slow.waiting()), (0, 0));
}
