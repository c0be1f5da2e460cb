//! Gates that share limits, and limits that fail as they are told.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use copydesk_llm_router::app::{Full, Gate, Pass};
use copydesk_llm_router::domain::Rates;
use copydesk_llm_router::limits::{Ask, MemoryLimits, News, PlaceId, SharedLimits, Taken, Unreachable};
use copydesk_llm_router::ports::Clock;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Longer than any test runs.
pub const AGES: Duration = Duration::from_secs(3_600);

/// No limit of either kind.
pub const ANY: Rates = Rates { requests: 0, tokens: 0 };

pub fn requests(requests: u32) -> Rates {
    Rates { requests, tokens: 0 }
}

pub fn tokens(tokens: u32) -> Rates {
    Rates { requests: 0, tokens }
}

/// The runtime's own time, which a test may pause.
pub struct Paused(Instant);

impl Clock for Paused {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

/// Limits in memory that go by the runtime's time.
pub fn memory() -> Arc<dyn SharedLimits> {
    Arc::new(MemoryLimits::new(Arc::new(Paused(Instant::now()))))
}

/// A gate of a replica of its own.
pub fn gate(
    limits: &Arc<dyn SharedLimits>,
    provider: &str,
    concurrency: u32,
    rates: Rates,
    queue: Duration,
) -> Arc<Gate> {
    let gate = Arc::new(Gate::sharing(Instant::now(), provider, Arc::clone(limits)));
    gate.set(concurrency, rates, queue);
    gate
}

/// A caller who waits for a place in a task of its own.
pub fn caller(gate: &Arc<Gate>, tokens: u64) -> JoinHandle<Result<Pass, Full>> {
    let gate = Arc::clone(gate);
    tokio::spawn(async move { gate.enter(tokens, None).await })
}

/// Waits until so many wait at the gate.
pub async fn waiting(gate: &Gate, number: u32) {
    while gate.waiting() != number {
        tokio::task::yield_now().await;
    }
}

/// Waits for something that must come true, and fails when it does not.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(in_time(wait).await.is_some(), "{what}");
}

/// What a piece of work makes; `None` when it hangs. Well below the minute after which windows have room anyway.
pub async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(40), work).await.ok()
}

/// Counts who is inside, and the most who ever were.
#[derive(Default)]
pub struct Inside {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Inside {
    pub fn come(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    pub fn go(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    /// The most are those who are inside now.
    pub fn count_anew(&self) {
        self.most.store(self.now(), Ordering::SeqCst);
    }

    pub fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// Limits as one replica reaches them: it may be cut off, and answers may be held back.
pub struct Wire {
    limits: Arc<dyn SharedLimits>,
    cut: AtomicBool,
    /// Answers to [`SharedLimits::take`] that may come.
    answers: Semaphore,
    /// Places that were asked for.
    pub asked: AtomicUsize,
}

impl Wire {
    pub fn to(limits: &Arc<dyn SharedLimits>) -> Arc<Self> {
        let answers = Semaphore::new(1 << 20);
        let (cut, asked) = (AtomicBool::default(), AtomicUsize::default());
        Arc::new(Self { limits: Arc::clone(limits), cut, answers, asked })
    }

    /// From now on nothing comes through, or everything does.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// From now on places are taken, and nobody is told.
    pub fn hold_answers(&self) {
        self.answers.forget_permits(1 << 20);
    }

    fn reached(&self) -> Result<(), Unreachable> {
        if self.cut.load(Ordering::SeqCst) { Err(Unreachable) } else { Ok(()) }
    }
}

#[async_trait]
impl SharedLimits for Wire {
    async fn take(&self, provider: &str, place: PlaceId, ask: &Ask) -> Result<Taken, Unreachable> {
        self.reached()?;
        let taken = self.limits.take(provider, place, ask).await;
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        taken
    }

    async fn settle(&self, provider: &str, news: &[News]) -> Result<(), Unreachable> {
        self.reached()?;
        self.limits.settle(provider, news).await
    }

    async fn renew(&self, provider: &str, places: &[PlaceId], lease: Duration) -> Result<(), Unreachable> {
        self.reached()?;
        self.limits.renew(provider, places, lease).await
    }
}
