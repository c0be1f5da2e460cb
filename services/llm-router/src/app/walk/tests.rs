//! The way down the chain in paused time: waits are exact, and none of them takes any.
use std::sync::{Mutex, PoisonError};

use copydesk_proto::llm_router::v1::{Operation, Task};
use copydesk_store::{Database, DatabaseConfig};
use copydesk_types::TenantId;
use tempfile::TempDir;

use super::*;
use crate::adapters::{DatabaseStore, MIGRATOR, SystemClock};
use crate::app::course::{Departure, Size};
use crate::app::flights::Deadline;
use crate::app::{Board, Budgets, Catalog, Desk, Ledger, Live, Parts};
use crate::cache::MemoryCache;
use crate::config::{Config, ModelConfig, ProviderConfig};
use crate::domain::{Attribution, BreakerState};
use crate::metrics::Metrics;

const SECOND: Duration = Duration::from_secs(1);

/// A desk with the models `a/m`, `b/m` and `c/m`, none of which is ever called.
struct Bench {
    desk: Arc<Desk>,
    catalog: Arc<Catalog>,
    _dir: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = ModelConfig { name: "m".into(), ..ModelConfig::default() };
        let provider = |name: &str| ProviderConfig {
            name: name.into(),
            kind: "openai".into(),
            models: vec![model.clone()],
            ..ProviderConfig::default()
        };
        let providers = ["a", "b", "c"].map(provider).to_vec();
        let config = Config { providers, offline_fallback: false, ..Config::default() };
        let database = DatabaseConfig::file(dir.path().join("router.sqlite3"));
        let database = Database::open(&database, crate::NAME, &MIGRATOR).await.unwrap();
        let store = Arc::new(DatabaseStore::new(database));
        let metrics = Metrics::new(&opentelemetry::global::meter("test"));
        let live = Arc::new(Live::new(&config, Board::new(None)).unwrap());
        let clock = Arc::new(SystemClock);
        let (ledger, _) = Ledger::open(dir.path(), &config.ledger, store.clone()).unwrap();
        let (shared, replica) = (store.clone(), ledger.replica());
        let budgets = Budgets::new(shared, clock.clone(), replica, &config.budget, metrics.clone());
        let cache = Arc::new(MemoryCache::new(1 << 20, metrics.clone()));
        let (ledger, budgets) = (Arc::new(ledger), Arc::new(budgets));
        let parts = Parts { live, store, clock, metrics, ledger, budgets, cache };
        let desk = Arc::new(Desk::new(parts));
        tokio::time::pause();
        Self { catalog: desk.catalog(), desk, _dir: dir }
    }

    /// Goes down the chain; what it came to, and what the ledger gets.
    async fn walk(&self, errand: &Fake, rounds: u32, limit: Option<Duration>) -> Walked {
        let began = Instant::now();
        let departure = Departure {
            tenant: TenantId::from_u128(1),
            attribution: Arc::new(Attribution::default()),
            task: Task::Unspecified,
            operation: Operation::Chat,
            arrived: began,
            deadline: Deadline::at(limit.map(|limit| began + limit)),
            most: None,
            price_version: String::new(),
        };
        let course = Course::begin(Arc::clone(&self.desk), departure);
        let stops: Vec<Stop> = self.catalog.targets().iter().map(stop).collect();
        let backoff = Backoff { base: SECOND, longest: 10 * SECOND };
        let manner = Manner { rounds, backoff, ratio: 0.2 };
        let result = walk(&course, &stops, manner, errand).await;
        let took = tenths(began.elapsed());
        let rows = course.take_rows();
        let rows = rows.iter().map(|row| (row.attempt.model.clone(), row.attempt.outcome)).collect();
        Walked { result: result.map(|(_, stop)| stop.target.name.to_string()), took, rows }
    }

    fn breaker(&self, model: usize) -> BreakerState {
        let target = &self.catalog.targets()[model];
        target.health.standing(&target.breaker_rules).breaker
    }
}

impl Drop for Bench {
    /// The next one opens a database, which must not see its time jump.
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

struct Walked {
    result: Result<String, Error>,
    /// In seconds.
    took: f64,
    rows: Vec<(String, Outcome)>,
}

/// In seconds. A timer may be a millisecond late.
fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

fn stop(target: &Arc<crate::app::Target>) -> Stop {
    let lost = Arc::new(AtomicBool::new(false));
    Stop { target: Arc::clone(target), tier: Tier::Fallback, hedge: false, pinned: false, lost }
}

/// What each model does, call after call; the last goes on for ever. An outcome that is not `Ok` may tell a wait.
struct Fake {
    script: [Vec<(Duration, Outcome, Option<Duration>)>; 3],
    hedge: Option<Duration>,
    began: Instant,
    asked: Mutex<Vec<(usize, Duration, bool)>>,
}

impl Fake {
    fn new(script: [(f64, Outcome); 3]) -> Self {
        let once = |(took, outcome)| vec![(Duration::from_secs_f64(took), outcome, None)];
        Self { script: script.map(once), hedge: None, began: Instant::now(), asked: Mutex::default() }
    }

    fn hedging(self, after: Duration) -> Self {
        Self { hedge: Some(after), ..self }
    }

    /// Which model was asked, when, and whether as a hedge.
    fn asked(&self) -> Vec<(usize, f64, bool)> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().map(|(model, at, hedge)| (*model, tenths(*at), *hedge)).collect()
    }
}

#[async_trait]
impl Errand for Fake {
    type Gain = ();

    async fn ask(&self, course: &Arc<Course>, stop: &Stop) -> Result<(), Left> {
        let open = course.open(stop, Size { input: 1, output: 1 }).await?;
        let model = ["a/m", "b/m", "c/m"].iter().position(|name| *name == &*stop.target.name).unwrap();
        let (took, outcome, retry_after) = {
            let mut asked = self.asked.lock().unwrap();
            let times = asked.iter().filter(|(other, ..)| *other == model).count();
            asked.push((model, self.began.elapsed(), stop.hedge));
            self.script[model][times.min(self.script[model].len() - 1)]
        };
        if !took.is_zero() {
            sleep(took).await;
        }
        if outcome == Outcome::Ok {
            open.done(None);
            return Ok(());
        }
        let error = ProviderError { retry_after, ..ProviderError::new(outcome, "as the script says") };
        open.failed(&error);
        Err(error.into())
    }

    fn hedge_after(&self, _stop: &Stop) -> Option<Duration> {
        self.hedge
    }
}

use Outcome::{Ok as Good, Outhedged, ProviderError as Bad};

fn rows(rows: &[(&str, Outcome)]) -> Vec<(String, Outcome)> {
    rows.iter().map(|(model, outcome)| ((*model).to_owned(), *outcome)).collect()
}

#[tokio::test]
async fn a_slow_model_is_overtaken_at_the_moment_that_was_set() {
    let bench = Bench::new().await;
    let errand = Fake::new([(10.0, Good), (2.0, Good), (0.0, Good)]).hedging(SECOND);
    let walked = bench.walk(&errand, 1, None).await;
    assert_eq!((walked.result.unwrap().as_str(), walked.took), ("b/m", 3.0));
    assert_eq!(errand.asked(), [(0, 0.0, false), (1, 1.0, true)]);
    assert_eq!(walked.rows, rows(&[("b/m", Good), ("a/m", Outhedged)]));
}

#[tokio::test]
async fn a_first_model_that_comes_in_after_all_wins() {
    let bench = Bench::new().await;
    let errand = Fake::new([(1.5, Good), (2.0, Good), (0.0, Good)]).hedging(SECOND);
    let walked = bench.walk(&errand, 1, None).await;
    assert_eq!((walked.result.unwrap().as_str(), walked.took), ("a/m", 1.5));
    assert_eq!(walked.rows, rows(&[("a/m", Good), ("b/m", Outhedged)]));
}

#[tokio::test]
async fn who_fails_before_the_hedge_is_replaced_and_not_hedged() {
    let bench = Bench::new().await;
    let errand = Fake::new([(0.5, Bad), (10.0, Good), (0.0, Good)]).hedging(SECOND);
    let walked = bench.walk(&errand, 1, None).await;
    assert_eq!((walked.result.unwrap().as_str(), walked.took), ("b/m", 10.5));
    assert_eq!(errand.asked(), [(0, 0.0, false), (1, 0.5, false)], "only the first choice is hedged");
}

#[tokio::test]
async fn a_failed_race_goes_on_with_the_third_model() {
    for (first, second) in [(2.0, 5.0), (6.0, 2.0)] {
        let bench = Bench::new().await;
        let errand = Fake::new([(first, Bad), (second, Bad), (1.0, Good)]).hedging(SECOND);
        let walked = bench.walk(&errand, 1, None).await;
        assert_eq!((walked.result.unwrap().as_str(), walked.took), ("c/m", 7.0));
        assert_eq!(errand.asked(), [(0, 0.0, false), (1, 1.0, true), (2, 6.0, false)], "each once");
    }
}

#[tokio::test]
async fn a_breaker_opens_waits_its_minute_and_tries_once() {
    let bench = Bench::new().await;
    let dead = || Fake::new([(0.0, Bad), (0.0, Good), (0.0, Good)]);
    for n in 0..30 {
        let errand = dead();
        assert_eq!(bench.walk(&errand, 1, None).await.result.unwrap(), "b/m");
        assert_eq!(errand.asked().len(), if n < 5 { 2 } else { 1 }, "{n}");
    }
    assert_eq!(bench.breaker(0), BreakerState::Open(60 * SECOND));
    tokio::time::advance(60 * SECOND - SECOND / 10).await;
    let errand = dead();
    bench.walk(&errand, 1, None).await.result.unwrap();
    assert_eq!(errand.asked(), [(1, 0.0, false)]);

    // The minute is over: of two calls at once one tries, and its failure opens the breaker for another minute.
    tokio::time::advance(SECOND / 10).await;
    assert_eq!(bench.breaker(0), BreakerState::HalfOpen);
    let slow = || Fake::new([(3.0, Bad), (0.0, Good), (0.0, Good)]);
    let (one, two) = (slow(), slow());
    let _both = tokio::join!(bench.walk(&one, 1, None), bench.walk(&two, 1, None));
    assert_eq!(one.asked().len() + two.asked().len(), 3);
    assert_eq!(bench.breaker(0), BreakerState::Open(60 * SECOND));

    tokio::time::advance(60 * SECOND).await;
    let well = Fake::new([(0.0, Good); 3]);
    assert_eq!(bench.walk(&well, 1, None).await.result.unwrap(), "a/m");
    assert_eq!(bench.breaker(0), BreakerState::Closed);
}

#[tokio::test]
async fn rounds_wait_no_longer_than_their_backoff() {
    let bench = Bench::new().await;
    let errand = Fake::new([(0.0, Bad); 3]);
    let walked = bench.walk(&errand, 3, None).await;
    assert!(matches!(walked.result, Err(Error::AllFailed { .. })));
    let asked = errand.asked();
    assert_eq!(asked.iter().map(|(model, ..)| *model).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    assert!(asked[3].1 <= 1.0 && asked[6].1 - asked[3].1 <= 2.0, "{asked:?}");
}

#[tokio::test]
async fn a_provider_that_says_when_to_come_is_heeded_if_there_is_time() {
    for (limit, expected) in [(None, Some("a/m")), (Some(6 * SECOND), None)] {
        let bench = Bench::new().await;
        let mut errand = Fake::new([(0.0, Outcome::RateLimited); 3]);
        errand.script.iter_mut().for_each(|script| script[0].2 = Some(9 * SECOND));
        errand.script[0] =
            vec![(Duration::ZERO, Outcome::RateLimited, Some(7 * SECOND)), (SECOND, Good, None)];
        let walked = bench.walk(&errand, 3, limit).await;
        match expected {
            Some(model) => {
                assert_eq!((walked.result.unwrap().as_str(), walked.took), (model, 8.0));
                assert_eq!(errand.asked().last(), Some(&(0, 7.0, false)));
            }
            // Nobody waits for what comes too late.
            None => {
                let error = walked.result.unwrap_err();
                let Error::AllFailed { retry_after, .. } = error else { panic!("{error:?}") };
                assert_eq!((retry_after, walked.took), (Some(7 * SECOND), 0.0));
            }
        }
    }
}

#[tokio::test]
async fn when_the_time_is_over_nobody_else_is_asked() {
    let bench = Bench::new().await;
    let errand = Fake::new([(2.0, Outcome::Timeout), (0.0, Good), (0.0, Good)]);
    let walked = bench.walk(&errand, 3, Some(2 * SECOND)).await;
    assert!(matches!(walked.result, Err(Error::TooLate { .. })));
    assert_eq!(errand.asked(), [(0, 0.0, false)]);
    assert_eq!(bench.breaker(0), BreakerState::Closed);
}
