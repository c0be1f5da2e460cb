//! What is known of models and providers while the process lives: breakers, pace, places. It outlives the catalogue: a
//! new configuration finds the state of every model and provider that it names again.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Gate;
use crate::domain::{Breaker, BreakerRules, BreakerState, Outcome, Pace, Rates, RetryBudget, Signal, Ticket};
use crate::limits::SharedLimits;

/// The state of all models and providers.
pub struct Board {
    began: Instant,
    shared: Option<Arc<dyn SharedLimits>>,
    models: Mutex<HashMap<String, Arc<ModelHealth>>>,
    providers: Mutex<HashMap<String, Arc<ProviderHealth>>>,
}

impl Default for Board {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Board {
    /// Knows nothing yet. The limits of providers are these, or each replica's own.
    pub fn new(shared: Option<Arc<dyn SharedLimits>>) -> Self {
        Self { began: Instant::now(), shared, models: Mutex::default(), providers: Mutex::default() }
    }

    /// The state of a model, `<provider>/<model>`.
    pub fn model(&self, name: &str) -> Arc<ModelHealth> {
        let fresh = || Arc::new(ModelHealth { began: self.began, inner: Mutex::default() });
        Arc::clone(lock(&self.models).entry(name.to_owned()).or_insert_with(fresh))
    }

    /// The state of a provider; its limits become these.
    pub fn provider(
        &self,
        name: &str,
        concurrency: u32,
        rates: Rates,
        queue: Duration,
    ) -> Arc<ProviderHealth> {
        let gate = || match &self.shared {
            Some(limits) => Gate::sharing(self.began, name, Arc::clone(limits)),
            None => Gate::new(self.began),
        };
        let fresh = || {
            Arc::new(ProviderHealth {
                gate: Arc::new(gate()),
                retries: Mutex::default(),
                check: Mutex::default(),
            })
        };
        let state = Arc::clone(lock(&self.providers).entry(name.to_owned()).or_insert_with(fresh));
        state.gate.set(concurrency, rates, queue);
        state
    }
}

/// The state of one model.
pub struct ModelHealth {
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    breaker: Breaker,
    pace: Pace,
    /// Until when its provider asked us to wait.
    limited: Option<Duration>,
}

/// What is known of a model at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// What its breaker lets through.
    pub breaker: BreakerState,
    /// True when a call would get through its breaker.
    pub admits: bool,
    /// How long its provider asked us to wait.
    pub limited: Option<Duration>,
    /// Moving average of the latency of whole answers in microseconds; 0 before the first.
    pub latency_us: u64,
    /// Moving average of failures, 0 to 1.
    pub error_rate: f64,
}

/// How a call ended, for the state of its model.
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// Whether that says anything about the model.
    pub signal: Signal,
    /// From the call to its end; only of answers.
    pub whole: Option<Duration>,
    /// From the call to its first token.
    pub first_token: Option<Duration>,
    /// When its provider said to come again.
    pub retry_after: Option<Duration>,
}

impl ModelHealth {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What is known now.
    pub fn standing(&self, rules: &BreakerRules) -> Standing {
        let now = self.now();
        let inner = lock(&self.inner);
        Standing {
            breaker: inner.breaker.state(rules, now),
            admits: inner.breaker.would_admit(rules, now),
            limited: inner.limited.and_then(|until| until.checked_sub(now)).filter(|left| !left.is_zero()),
            latency_us: inner.pace.whole.average_us(),
            error_rate: inner.pace.error_rate,
        }
    }

    /// Reads the pace.
    pub fn read<T>(&self, read: impl FnOnce(&Pace) -> T) -> T {
        read(&lock(&self.inner).pace)
    }

    /// Leave to make a call, whatever the state when `insist`.
    pub fn admit(&self, rules: &BreakerRules, insist: bool) -> Option<Ticket> {
        let now = self.now();
        let breaker = &mut lock(&self.inner).breaker;
        breaker.admit(rules, now).or_else(|| insist.then(|| breaker.insist()))
    }

    /// A call has ended. True when this opened the breaker.
    pub fn settle(&self, ticket: Ticket, end: &End, rules: &BreakerRules) -> bool {
        let now = self.now();
        let mut inner = lock(&self.inner);
        let good = match end.signal {
            Signal::Good => Some(true),
            Signal::Bad => Some(false),
            Signal::Neutral => None,
        };
        inner.pace.add(end.outcome, good);
        end.whole.into_iter().for_each(|latency| inner.pace.whole.add(latency));
        end.first_token.into_iter().for_each(|latency| inner.pace.first_token.add(latency));
        if end.outcome == Outcome::RateLimited {
            inner.limited = end.retry_after.map(|wait| now + wait);
        } else if good == Some(true) {
            inner.limited = None;
        }
        inner.breaker.settle(ticket, end.signal, rules, now)
    }

    /// A call was not made after all.
    pub fn give_back(&self, ticket: Ticket, rules: &BreakerRules) {
        let now = self.now();
        let _ = lock(&self.inner).breaker.settle(ticket, Signal::Neutral, rules, now);
    }
}

/// The state of one provider.
pub struct ProviderHealth {
    /// Its places.
    pub gate: Arc<Gate>,
    retries: Mutex<RetryBudget>,
    check: Mutex<Option<Check>>,
}

/// What an active check found.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// `Ok`, or what was wrong.
    pub outcome: Outcome,
    /// When, in milliseconds since 1970.
    pub time_ms: i64,
}

impl ProviderHealth {
    /// A first call was made.
    pub fn deposit(&self, ratio: f64) {
        lock(&self.retries).deposit(ratio);
    }

    /// Takes one repeat; false when there is none.
    pub fn take_retry(&self) -> bool {
        lock(&self.retries).take()
    }

    /// How full its retry budget is, 0 to 1.
    pub fn retries_left(&self) -> f64 {
        lock(&self.retries).left()
    }

    /// Keeps what an active check found.
    pub fn checked(&self, check: Check) {
        *lock(&self.check) = Some(check);
    }

    /// What the latest active check found.
    pub fn check(&self) -> Option<Check> {
        *lock(&self.check)
    }
}

/// Every state is whole after every operation, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
