//! The engine with doubles behind its ports: what no peer on the wire can do.
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use copydesk_rpc::{Delegation, ServiceError, testing};
use copydesk_types::{BrandId, TenantId};

use super::engine::Worker;
use super::*;
use crate::adapters::store::SqlStore;
use crate::domain::direction::Lesson;
use crate::domain::outcome::Outcome;
use crate::domain::passage::{Passage, WebNote};
use crate::domain::run::{Ending, NewRun, RunState};
use crate::domain::spec::Brand;
use crate::domain::step::StepKey;
use crate::ports::{
    ClaimOrder, Created, FiguresQuery, Found, LessonQuery, ModelCall, ModelReply, Place, SearchQuery, Web,
    WebQuery,
};

const START: i64 = 1_800_000_000_000;

struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What the next search does.
#[derive(Clone, Copy)]
enum Search {
    Panic,
    AskToWait,
    Answer,
}

struct ScriptedLibrary(Mutex<Vec<Search>>);

#[async_trait]
impl Library for ScriptedLibrary {
    async fn search(&self, _: &SearchQuery) -> Result<Found, ServiceError> {
        let next = self.0.lock().expect("lock").pop().unwrap_or(Search::Answer);
        match next {
            Search::Panic => panic!("a search that panics"),
            Search::AskToWait => Err(ServiceError::unavailable("AWAY", "away", Duration::from_secs(60))),
            Search::Answer => Ok(Found {
                passages: vec![Passage {
                    passage_id: "psg_1".into(),
                    text: "Tea.".into(),
                    ..Passage::default()
                }],
                mode: "lexical".into(),
            }),
        }
    }
}

/// An archive without anything in it, which takes outcomes unless it is told how to fail.
#[derive(Default)]
struct EmptyArchive {
    failure: Option<fn() -> ServiceError>,
}

#[async_trait]
impl Archive for EmptyArchive {
    async fn brand(&self, _: BrandId) -> Result<Brand, ServiceError> {
        Ok(Brand::default())
    }
    async fn figures(&self, _: &FiguresQuery) -> Result<Option<String>, ServiceError> {
        Ok(None)
    }
    async fn lessons(&self, _: &LessonQuery) -> Result<Vec<Lesson>, ServiceError> {
        Ok(Vec::new())
    }
    async fn record(&self, _: &Outcome) -> Result<(), ServiceError> {
        self.failure.map_or(Ok(()), |failure| Err(failure()))
    }
}

/// A web that nobody asks.
struct NoWeb;

#[async_trait]
impl Web for NoWeb {
    async fn search(&self, _: &WebQuery) -> Result<Vec<WebNote>, ServiceError> {
        panic!("no run here allows the web")
    }
}

struct OneAnswerModel;

#[async_trait]
impl LanguageModel for OneAnswerModel {
    async fn generate(&self, _: &Place, _: &ModelCall) -> Result<ModelReply, ServiceError> {
        let structured = Some(serde_json::json!({"findings": []}));
        Ok(ModelReply { structured, cost_nanos: 5, ..ModelReply::default() })
    }
    async fn stream(
        &self,
        _: &Place,
        _: &ModelCall,
        _: &(dyn for<'t> Fn(&'t str) + Send + Sync),
    ) -> Result<ModelReply, ServiceError> {
        Err(ServiceError::internal(std::io::Error::other("not asked for here")))
    }
}

struct Bench {
    app: Arc<App>,
    worker: Worker,
    clock: Arc<ManualClock>,
    run: Run,
}

/// A worker with one run whose only step is its research.
async fn bench(searches: &[Search]) -> Bench {
    bench_with(searches, EmptyArchive::default()).await
}

async fn bench_with(searches: &[Search], archive: EmptyArchive) -> Bench {
    let clock = Arc::new(ManualClock(AtomicI64::new(START)));
    let store = Arc::new(SqlStore::new(copydesk_store::testing::sqlite(&crate::MIGRATOR).await));
    let ports = Ports {
        store: store.clone(),
        guard: store.clone(),
        packs: store.clone(),
        model: Arc::new(OneAnswerModel),
        library: Arc::new(ScriptedLibrary(Mutex::new(searches.iter().rev().copied().collect()))),
        web: Arc::new(NoWeb),
        archive: Arc::new(archive),
        clock: clock.clone(),
        minter: testing::minter(),
    };
    let metrics = Metrics::new(&opentelemetry::global::meter("test"));
    let app = Arc::new(App::new(ports, Config { max_attempts: 2, ..Config::default() }, metrics));
    let (tenant, run_id) = (TenantId::from_u128(1), RunId::generate());
    let (principal, scopes) = ("test".to_owned(), Vec::new());
    let delegation = Delegation { tenant, principal, scopes, run: None, traceparent: None };
    let new = NewRun {
        run_id,
        tenant,
        request_id: "r".into(),
        input_hash: "h".into(),
        definition: "content@1".into(),
        spec: crate::domain::spec::tests::spec(),
        brand: Brand::default(),
        delegation: serde_json::to_string(&delegation).expect("json"),
        trace_id: String::new(),
        deadline_ms: START + 3_600_000,
    };
    let Created::New(run) = store.create(&new, &[StepKey::Research], START).await.expect("created") else {
        panic!("a new run");
    };
    Bench { worker: Worker::new(app.clone()), app, clock, run }
}

impl Bench {
    /// Lets the worker take what is due and waits until that is settled; how many steps it took.
    async fn turn(&mut self) -> usize {
        self.worker.claim().await.expect("claimed");
        let mut taken = 0;
        while self.worker.next_done().await {
            taken += 1;
        }
        taken
    }

    async fn research(&self) -> (u32, crate::domain::run::StepState) {
        let steps = self.app.ports.store.steps(self.run.tenant, self.run.run_id).await.expect("steps");
        let step = steps.iter().find(|s| s.key == StepKey::Research).expect("the step");
        (step.attempts, step.state)
    }

    fn advance(&self, by: Duration) {
        self.clock.0.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_step_that_panics_is_one_failed_attempt_and_nothing_more() {
    use crate::domain::run::StepState::{Done, Ready};
    let mut bench = bench(&[Search::Panic]).await;
    assert_eq!(bench.turn().await, 1);
    assert_eq!(bench.research().await, (1, Ready));
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.turn().await, 1);
    assert_eq!(bench.research().await, (2, Done));
    assert_eq!(bench.app.slots.len(), 0);
}

#[tokio::test]
async fn a_step_that_always_panics_ends_its_run() {
    let mut bench = bench(&[Search::Panic, Search::Panic]).await;
    bench.turn().await;
    bench.advance(Duration::from_secs(1));
    bench.turn().await;
    let run =
        bench.app.ports.store.get(bench.run.tenant, bench.run.run_id).await.expect("read").expect("run");
    assert_eq!((run.state, run.error.map(|e| e.reason)), (RunState::Failed, Some("STEP_FAILED".to_owned())));
}

#[tokio::test]
async fn a_peer_that_asks_for_a_minute_gets_it() {
    let mut bench = bench(&[Search::AskToWait]).await;
    assert_eq!(bench.turn().await, 1);
    bench.advance(Duration::from_secs(59));
    assert_eq!(bench.turn().await, 0, "not before the minute is over");
    bench.advance(Duration::from_secs(2));
    assert_eq!(bench.turn().await, 1);
    assert_eq!(bench.research().await.0, 2);
}

#[tokio::test]
async fn a_lost_lease_is_taken_over_by_the_sweep() {
    let mut bench = bench(&[]).await;
    let order = ClaimOrder { owner: "gone".into(), lease_ms: 15_000, per_tenant: 1, wanted: 1 };
    assert_eq!(bench.app.ports.store.claim(&order, START).await.expect("claimed").len(), 1);
    bench.advance(Duration::from_millis(14_999));
    bench.worker.sweep().await.expect("swept");
    assert_eq!(bench.turn().await, 0, "the lease still holds");
    bench.advance(Duration::from_millis(1));
    bench.worker.sweep().await.expect("swept");
    assert_eq!(bench.turn().await, 1);
    assert_eq!(bench.research().await.0, 2);
    let run =
        bench.app.ports.store.get(bench.run.tenant, bench.run.run_id).await.expect("read").expect("run");
    assert_eq!(run.spent_nanos, 5);
}

/// A run that has ended, and the waiting outcomes after each of so many rounds, a minute apart.
async fn outbox_over(rounds: usize, failure: fn() -> ServiceError) -> Vec<u64> {
    let bench = bench_with(&[], EmptyArchive { failure: Some(failure) }).await;
    let (tenant, run_id) = (bench.run.tenant, bench.run.run_id);
    let store = &bench.app.ports.store;
    store.end(tenant, run_id, Ending::cancelled(), START).await.expect("ended");
    let mut waiting = Vec::new();
    for _ in 0..rounds {
        bench.advance(Duration::from_secs(60));
        bench.app.deliver_due().await.expect("told");
        waiting.push(store.depth().await.expect("depth").outbox);
    }
    waiting
}

#[tokio::test]
async fn an_outcome_that_is_refused_for_good_is_given_up_after_ten_refusals() {
    let refusal = || ServiceError::new(copydesk_rpc::Kind::FailedPrecondition, "NO", "never");
    let waiting = outbox_over(12, refusal).await;
    assert_eq!(waiting, [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn an_archive_that_is_away_is_waited_for_without_end() {
    let away = || ServiceError::unavailable("AWAY", "away", Duration::from_secs(1));
    assert_eq!(outbox_over(40, away).await, [1; 40]);
}
