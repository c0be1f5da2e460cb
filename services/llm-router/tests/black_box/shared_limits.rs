//! The contract of limits that replicas share, over both of their kinds, and both step by step against each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    dead_code,
    reason = "a failed step must stop the test; the support code serves several tests"
)]

use crate::support::redis as redis_server;
use crate::support::shared;
use std::sync::Arc;
use std::time::Duration;

use copydesk_llm_router::domain::Rates;
use copydesk_llm_router::limits::{Ask, MemoryLimits, News, PlaceId, SharedLimits, Taken};
use proptest::prelude::*;
use shared::{Hands, PATIENT, provider, redis};

const LEASE: Duration = Duration::from_secs(10);
/// Above zero and below the longest pause of a step.
const STAYS: Duration = Duration::from_secs(2);

/// One kind of limits, its clock, and a provider of the test's own.
struct Subject {
    name: &'static str,
    limits: Arc<dyn SharedLimits>,
    clock: Arc<Hands>,
    provider: String,
}

fn both() -> Vec<Subject> {
    let clock = Arc::new(Hands::default());
    let memory: Arc<dyn SharedLimits> = Arc::new(MemoryLimits::new(clock.clone()));
    let mut all = vec![Subject { name: "memory", limits: memory, clock, provider: provider() }];
    if let Some(url) = redis_server::url() {
        let clock = Arc::new(Hands::default());
        let limits = Arc::new(redis(&url, PATIENT).timed_by(clock.clone()));
        all.push(Subject { name: "redis", limits, clock, provider: provider() });
    }
    all
}

fn per_minute(requests: u32, tokens: u32) -> Ask {
    Ask { rates: Rates { requests, tokens }, concurrency: 0, tokens: 1, lease: LEASE, waits: None }
}

fn at_once(concurrency: u32) -> Ask {
    Ask { rates: Rates::default(), concurrency, tokens: 1, lease: LEASE, waits: None }
}

fn of(tokens: u64, ask: Ask) -> Ask {
    Ask { tokens, ..ask }
}

fn wait(ms: u64) -> Taken {
    Taken::No { wait: Duration::from_millis(ms), crowded: false }
}

const CROWDED: Taken = Taken::No { wait: Duration::ZERO, crowded: true };

impl Subject {
    async fn take(&self, place: u128, ask: Ask) -> Taken {
        self.limits.take(&self.provider, PlaceId(place), &ask).await.unwrap()
    }

    async fn settle(&self, news: &[News]) {
        self.limits.settle(&self.provider, news).await.unwrap();
    }

    async fn renew(&self, places: &[u128], lease: Duration) {
        let places: Vec<PlaceId> = places.iter().copied().map(PlaceId).collect();
        self.limits.renew(&self.provider, &places, lease).await.unwrap();
    }
}

#[tokio::test]
async fn a_minute_holds_so_many_calls() {
    for subject in both() {
        let name = subject.name;
        for n in 0..10 {
            assert_eq!(subject.take(n, per_minute(10, 0)).await, Taken::Yes, "{name}");
            subject.clock.advance(100);
        }
        assert_eq!(subject.take(10, per_minute(10, 0)).await, wait(59_000), "{name}");
        subject.clock.advance(59_000);
        assert_eq!(subject.take(10, per_minute(10, 0)).await, Taken::Yes, "{name}: the first has left");
        assert_eq!(subject.take(11, per_minute(10, 0)).await, wait(100), "{name}");
        // A lowered limit waits for as many as are too many.
        assert_eq!(subject.take(11, per_minute(8, 0)).await, wait(300), "{name}");
        let other = Subject { provider: provider(), ..subject };
        assert_eq!(other.take(0, per_minute(10, 0)).await, Taken::Yes, "{name}: providers are apart");
    }
}

#[tokio::test]
async fn a_long_window_is_gone_through_in_steps() {
    for subject in both() {
        let name = subject.name;
        for n in 0..250 {
            assert_eq!(subject.take(n, of(2, per_minute(0, 500))).await, Taken::Yes, "{name}");
            subject.clock.advance(10);
        }
        assert_eq!(subject.take(250, of(500, per_minute(0, 500))).await, wait(59_990), "{name}");
        assert_eq!(subject.take(250, of(301, per_minute(0, 500))).await, wait(59_000), "{name}");
        subject.clock.advance(59_990);
        assert_eq!(subject.take(250, of(500, per_minute(0, 500))).await, Taken::Yes, "{name}: all have left");
        assert_eq!(subject.take(251, of(1, per_minute(0, 500))).await, wait(60_000), "{name}");
    }
}

#[tokio::test]
async fn tokens_are_corrected_and_calls_given_back() {
    for subject in both() {
        let (name, ask) = (subject.name, per_minute(0, 1_000));
        assert_eq!(subject.take(1, of(800, ask)).await, Taken::Yes, "{name}");
        assert_eq!(subject.take(2, of(300, ask)).await, wait(60_000), "{name}");
        subject.settle(&[News::Corrected(PlaceId(1), 100), News::Released(PlaceId(1))]).await;
        assert_eq!(subject.take(3, of(900, ask)).await, Taken::Yes, "{name}: there is room now");
        assert_eq!(subject.take(4, of(1, ask)).await, wait(60_000), "{name}");
        subject.settle(&[News::GivenBack(PlaceId(3)), News::Corrected(PlaceId(3), 999)]).await;
        assert_eq!(subject.take(4, of(900, ask)).await, Taken::Yes, "{name}");
        subject.settle(&[News::Corrected(PlaceId(4), 0)]).await;
        subject.settle(&[News::GivenBack(PlaceId(4)), News::GivenBack(PlaceId(77))]).await;
        assert_eq!(subject.take(5, of(900, ask)).await, Taken::Yes, "{name}: nothing is left of it");
        subject.clock.advance(60_000);
        // What has left the window is not counted again.
        assert_eq!(subject.take(6, of(1_000, ask)).await, Taken::Yes, "{name}");
        subject.settle(&[News::Corrected(PlaceId(5), 10), News::GivenBack(PlaceId(1))]).await;
        assert_eq!(subject.take(7, of(1, ask)).await, wait(60_000), "{name}");
    }
}

#[tokio::test]
async fn a_call_larger_than_the_limit_goes_alone() {
    for subject in both() {
        let (name, ask) = (subject.name, per_minute(0, 100));
        assert_eq!(subject.take(1, of(500, ask)).await, Taken::Yes, "{name}");
        subject.clock.advance(10);
        assert_eq!(subject.take(2, of(500, ask)).await, wait(59_990), "{name}");
        subject.clock.advance(59_990);
        assert_eq!(subject.take(2, of(500, ask)).await, Taken::Yes, "{name}");
    }
}

#[tokio::test]
async fn so_many_calls_are_under_way_at_once() {
    for subject in both() {
        let name = subject.name;
        assert_eq!(subject.take(1, at_once(2)).await, Taken::Yes, "{name}");
        assert_eq!(subject.take(2, at_once(2)).await, Taken::Yes, "{name}");
        assert_eq!(subject.take(3, at_once(2)).await, CROWDED, "{name}");
        subject.settle(&[News::Released(PlaceId(1)), News::Released(PlaceId(1))]).await;
        assert_eq!(subject.take(3, at_once(2)).await, Taken::Yes, "{name}: one has ended");
        assert_eq!(subject.take(4, at_once(2)).await, CROWDED, "{name}");
        subject.settle(&[News::GivenBack(PlaceId(2))]).await;
        assert_eq!(subject.take(4, at_once(2)).await, Taken::Yes, "{name}: one never was");
        // Whoever is under way counts, also under a limit that came later.
        assert_eq!(subject.take(5, at_once(0)).await, Taken::Yes, "{name}");
        assert_eq!(subject.take(6, at_once(3)).await, CROWDED, "{name}");
        assert_eq!(subject.take(6, at_once(4)).await, Taken::Yes, "{name}");
    }
}

#[tokio::test]
async fn who_waits_goes_before_who_comes_later() {
    for subject in both() {
        let (name, plain) = (subject.name, at_once(1));
        let waits = Ask { waits: Some(STAYS), ..plain };
        assert_eq!(subject.take(1, plain).await, Taken::Yes, "{name}");
        assert_eq!(subject.take(9, waits).await, CROWDED, "{name}");
        subject.clock.advance(1);
        assert_eq!(subject.take(2, waits).await, CROWDED, "{name}");
        subject.settle(&[News::Released(PlaceId(1))]).await;
        assert_eq!(subject.take(3, plain).await, CROWDED, "{name}: two came before it");
        assert_eq!(subject.take(2, waits).await, CROWDED, "{name}: one came before it");
        // For a second place the first two are no reason to wait.
        assert_eq!(subject.take(2, Ask { concurrency: 2, ..waits }).await, Taken::Yes, "{name}");
        assert_eq!(subject.take(9, Ask { concurrency: 2, ..waits }).await, Taken::Yes, "{name}");
        subject.settle(&[News::Released(PlaceId(2)), News::Released(PlaceId(9))]).await;
        assert_eq!(subject.take(3, plain).await, Taken::Yes, "{name}: nobody waits");
    }
}

#[tokio::test]
async fn who_waits_leaves_the_line_by_going_or_by_looking_no_more() {
    for subject in both() {
        let (name, plain) = (subject.name, at_once(1));
        let waits = Ask { waits: Some(STAYS), ..plain };
        assert_eq!(subject.take(1, plain).await, Taken::Yes, "{name}");
        for place in [2, 3] {
            assert_eq!(subject.take(place, waits).await, CROWDED, "{name}");
            subject.clock.advance(1_000);
        }
        subject.settle(&[News::Released(PlaceId(1))]).await;
        assert_eq!(subject.take(4, plain).await, CROWDED, "{name}: the second still waits");
        subject.settle(&[News::GivenBack(PlaceId(3))]).await;
        assert_eq!(
            subject.take(4, plain).await,
            Taken::Yes,
            "{name}: it has gone, and the first was not heard of"
        );
        // Who lacks room in the window does not keep the others from the places.
        let minute = Ask { rates: Rates { requests: 1, tokens: 0 }, concurrency: 1, ..waits };
        let other = Subject { provider: provider(), ..subject };
        assert_eq!(other.take(5, minute).await, Taken::Yes, "{name}");
        assert!(matches!(other.take(6, minute).await, Taken::No { crowded: true, .. }), "{name}");
        other.settle(&[News::Released(PlaceId(5))]).await;
        assert_eq!(other.take(7, plain).await, Taken::Yes, "{name}");
    }
}

#[tokio::test]
async fn a_lease_ends_unless_it_is_renewed() {
    for subject in both() {
        let name = subject.name;
        assert_eq!(subject.take(1, at_once(2)).await, Taken::Yes, "{name}");
        assert_eq!(subject.take(2, at_once(2)).await, Taken::Yes, "{name}");
        subject.clock.advance(9_999);
        assert_eq!(subject.take(3, at_once(2)).await, CROWDED, "{name}");
        subject.renew(&[2], LEASE).await;
        subject.clock.advance(1);
        assert_eq!(subject.take(3, at_once(2)).await, Taken::Yes, "{name}: the first is lost");
        assert_eq!(subject.take(4, at_once(2)).await, CROWDED, "{name}: the second is not");
        subject.clock.advance(60_000);
        // A call that goes on although its lease has ended is counted again.
        subject.renew(&[2, 3], LEASE).await;
        assert_eq!(subject.take(4, at_once(2)).await, CROWDED, "{name}");
        subject.settle(&[News::Released(PlaceId(2))]).await;
        assert_eq!(subject.take(4, at_once(2)).await, Taken::Yes, "{name}");
    }
}

#[tokio::test]
async fn who_is_refused_has_taken_nothing() {
    for subject in both() {
        let name = subject.name;
        let ask = Ask { concurrency: 1, ..per_minute(2, 0) };
        assert_eq!(subject.take(1, ask).await, Taken::Yes, "{name}");
        for n in 2..10 {
            assert_eq!(subject.take(n, ask).await, CROWDED, "{name}");
        }
        subject.settle(&[News::Released(PlaceId(1))]).await;
        assert_eq!(subject.take(10, ask).await, Taken::Yes, "{name}: the window has room");
        let both_lacking = Taken::No { wait: Duration::from_secs(60), crowded: true };
        assert_eq!(subject.take(11, ask).await, both_lacking, "{name}");
        subject.settle(&[News::Released(PlaceId(10))]).await;
        assert_eq!(subject.take(11, ask).await, wait(60_000), "{name}");
        subject.clock.advance(60_000);
        assert_eq!(subject.take(11, ask).await, Taken::Yes, "{name}: it is not crowded");
    }
}

#[tokio::test]
async fn redis_keeps_its_own_time_and_forgets_by_itself() {
    let Some(url) = redis_server::url() else { return };
    let (limits, name) = (redis(&url, PATIENT), provider());
    let ask = Ask { concurrency: 5, ..per_minute(1, 100) };
    assert_eq!(limits.take(&name, PlaceId(1), &ask).await, Ok(Taken::Yes));
    let Ok(Taken::No { wait, crowded: false }) = limits.take(&name, PlaceId(2), &ask).await else {
        panic!("there is no room")
    };
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(60), "{wait:?}");
    limits.settle(&name, &[News::Corrected(PlaceId(1), 9)]).await.unwrap();
    limits.renew(&name, &[PlaceId(1)], LEASE).await.unwrap();
    let mut operator = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    for key in ["calls", "tokens", "held"] {
        let key = format!("{{copydesk:llm:limits:{name}}}:{key}");
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut operator).await.unwrap();
        assert!((1..=120_000).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn a_redis_that_forgot_its_scripts_is_told_again() {
    let Some(server) = redis_server::Redis::start() else { return };
    let (limits, name) = (redis(&server.url(), PATIENT), provider());
    let ask = per_minute(1, 0);
    assert_eq!(limits.take(&name, PlaceId(1), &ask).await, Ok(Taken::Yes));
    let client = redis::Client::open(server.url()).unwrap();
    let mut operator = client.get_multiplexed_async_connection().await.unwrap();
    let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut operator).await.unwrap();
    limits.settle(&name, &[News::Released(PlaceId(1)), News::GivenBack(PlaceId(1))]).await.unwrap();
    assert_eq!(limits.take(&name, PlaceId(2), &ask).await, Ok(Taken::Yes));
}

/// What may happen; places are meant by how many were taken since.
#[derive(Debug, Clone)]
enum Step {
    Pause(u64),
    /// Of so many tokens; true: it waits. The latter may be the place that was refused so many places ago.
    Take(u64, bool, Option<usize>),
    Correct(usize, u64),
    Release(usize),
    GiveBack(usize),
    Renew(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0u64..9_000).prop_map(Step::Pause),
        6 => (0u64..60, any::<bool>(), prop::option::of(0usize..4))
            .prop_map(|(tokens, waits, again)| Step::Take(tokens, waits, again)),
        2 => (0usize..8, 0u64..60).prop_map(|(n, tokens)| Step::Correct(n, tokens)),
        2 => (0usize..8).prop_map(Step::Release),
        1 => (0usize..8).prop_map(Step::GiveBack),
        1 => (0usize..8).prop_map(Step::Renew),
    ]
}

/// The place to ask for, and not to be asked for again unless it is refused.
fn wanted(refused: &mut Vec<u128>, again: Option<usize>, next: &mut u128) -> u128 {
    match again.and_then(|back| refused.len().checked_sub(back + 1)) {
        Some(at) => refused.remove(at),
        None => {
            *next += 1;
            *next
        }
    }
}

/// A call as the test remembers it.
struct Call {
    place: u128,
    at: u64,
    tokens: u64,
}

/// Takes the steps with all kinds at once: each must say the same, and no minute may hold more.
async fn take_steps(subjects: &[Subject], steps: &[Step]) {
    let rates = Rates { requests: 12, tokens: 300 };
    let (mut calls, mut now, mut next): (Vec<Call>, u64, u128) = (Vec::new(), 0, 0);
    let mut refused = Vec::new();
    for step in steps {
        let place = |back: usize| calls.iter().rev().nth(back).map_or(PlaceId(0), |call| PlaceId(call.place));
        let news = match step {
            Step::Pause(ms) => {
                now += ms;
                subjects.iter().for_each(|subject| subject.clock.advance(*ms));
                continue;
            }
            Step::Take(tokens, waits, again) => {
                let wanted = wanted(&mut refused, *again, &mut next);
                let waits = waits.then_some(STAYS);
                let ask = Ask { rates, concurrency: 4, tokens: *tokens, lease: LEASE, waits };
                let answer = subjects[0].take(wanted, ask).await;
                for other in &subjects[1..] {
                    assert_eq!(other.take(wanted, ask).await, answer, "{}", other.name);
                }
                match answer {
                    Taken::Yes => calls.push(Call { place: wanted, at: now, tokens: *tokens }),
                    Taken::No { .. } => refused.push(wanted),
                }
                let minute = || calls.iter().filter(|call| call.at + 60_000 > now);
                assert!(minute().count() <= 12);
                if answer == Taken::Yes {
                    let sum: u64 = minute().map(|call| call.tokens).sum();
                    assert!(sum <= 300 || minute().count() == 1, "{sum}");
                }
                continue;
            }
            Step::Renew(back) => {
                let PlaceId(place) = place(*back);
                for subject in subjects {
                    subject.renew(&[place], LEASE).await;
                }
                continue;
            }
            Step::Correct(back, tokens) => News::Corrected(place(*back), *tokens),
            Step::Release(back) => News::Released(place(*back)),
            Step::GiveBack(back) => News::GivenBack(place(*back)),
        };
        for subject in subjects {
            subject.settle(&[news]).await;
        }
        match news {
            News::Corrected(place, tokens) => {
                calls.iter_mut().filter(|call| call.place == place.0).for_each(|call| call.tokens = tokens);
            }
            News::GivenBack(place) => calls.retain(|call| call.place != place.0),
            News::Released(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn both_kinds_say_the_same_and_no_minute_ever_holds_more(steps in prop::collection::vec(step(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(take_steps(&both(), &steps));
    }
}
