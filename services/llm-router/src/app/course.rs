//! One request on its way through the models: for whom it is, by when it must be there, what was tried and what that
//! cost. Whatever happens to it, every call that was made gets into the ledger.
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use copydesk_proto::llm_router::v1::{Operation, Task};
use copydesk_types::{NanoDollars, TenantId};
use tokio::time::Instant;

use super::flights::Deadline;
use super::{BudgetError, Desk, Target, micros_of};
use crate::domain::{Attempt, Attribution, Outcome, Tier, UsageRow};
use crate::error::Error;
use crate::providers::ProviderError;

mod open;

pub(super) use open::{Open, Size};

/// One request.
pub(super) struct Course {
    pub(super) desk: Arc<Desk>,
    pub(super) tenant: TenantId,
    attribution: Arc<Attribution>,
    task: Task,
    operation: Operation,
    /// When the request came.
    pub(super) arrived: Instant,
    ordered_ms: i64,
    /// By when the answer must be there.
    pub(super) deadline: Deadline,
    /// The most that all attempts may cost.
    most: Option<i64>,
    price_version: String,
    trail: Mutex<Trail>,
}

/// What has happened so far.
#[derive(Default)]
struct Trail {
    attempts: Vec<Attempt>,
    /// Those of the attempts that were calls, for the ledger.
    rows: Vec<UsageRow>,
    warnings: BTreeSet<String>,
    queued: Duration,
    /// How many attempts are under way, and since when there is at least one.
    under_way: u32,
    since: Option<Instant>,
    waited: Duration,
}

impl Trail {
    fn enter(&mut self, now: Instant) {
        self.under_way += 1;
        self.since.get_or_insert(now);
    }

    fn leave(&mut self, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        if self.under_way == 0
            && let Some(since) = self.since.take()
        {
            self.waited += now - since;
        }
    }
}

/// What a course has cost and taken.
pub(super) struct Account {
    pub(super) attempts: Vec<Attempt>,
    pub(super) cost: NanoDollars,
    pub(super) latency_us: u64,
    pub(super) overhead_us: u64,
    pub(super) queued_us: u64,
    pub(super) warnings: Vec<String>,
}

/// A model to be tried.
#[derive(Clone)]
pub(super) struct Stop {
    pub(super) target: Arc<Target>,
    pub(super) tier: Tier,
    /// True when it is tried because another one is slow.
    pub(super) hedge: bool,
    /// True when the caller asked for this model and no other.
    pub(super) pinned: bool,
    /// Set when another model was faster, before this one's call is dropped.
    pub(super) lost: Arc<AtomicBool>,
}

/// Why a model gave no answer.
#[derive(Debug)]
pub(super) enum Left {
    /// It was called, or refused before it could be.
    Failed(ProviderError),
    /// A budget does not allow the call.
    Budget(Error),
    /// Nothing to do with models: the call ends.
    Ended(Error),
}

impl From<ProviderError> for Left {
    fn from(error: ProviderError) -> Self {
        Self::Failed(error)
    }
}

/// What a course is begun with.
pub(super) struct Departure {
    pub(super) tenant: TenantId,
    pub(super) attribution: Arc<Attribution>,
    pub(super) task: Task,
    pub(super) operation: Operation,
    pub(super) arrived: Instant,
    pub(super) deadline: Deadline,
    pub(super) most: Option<i64>,
    pub(super) price_version: String,
}

impl Course {
    pub(super) fn begin(desk: Arc<Desk>, departure: Departure) -> Arc<Self> {
        let ordered_ms = desk.clock.now_ms();
        let Departure { tenant, attribution, task, operation, arrived, deadline, most, price_version } =
            departure;
        let trail = Mutex::default();
        Arc::new(Self {
            desk,
            tenant,
            attribution,
            task,
            operation,
            arrived,
            ordered_ms,
            deadline,
            most,
            price_version,
            trail,
        })
    }

    /// Leave to call a model: through its breaker, with a place at its provider and the worst case reserved.
    pub(super) async fn open(self: &Arc<Self>, stop: &Stop, size: Size) -> Result<Open, Left> {
        let target = &stop.target;
        let rules = &target.breaker_rules;
        let Some(ticket) = target.health.admit(rules, stop.pinned) else {
            return Err(self.skip(stop, Outcome::BreakerOpen, "its circuit breaker is open", None));
        };
        let mut open = Open::admitted(self, stop, ticket, size);
        let waiting = Instant::now();
        let entered = target.provider_health.gate.enter(size.tokens(), self.deadline.instant()).await;
        self.trail().queued += waiting.elapsed();
        match entered {
            Ok(pass) => open.enter(pass),
            Err(full) => {
                return Err(self.skip(
                    stop,
                    Outcome::QueueFull,
                    "no place came free in time",
                    full.retry_after,
                ));
            }
        }
        let worst = target.price.cost(size.input, 0, size.output);
        if self.most.is_some_and(|most| self.spent().0.saturating_add(worst.0) > most) {
            return Err(Left::Budget(Error::OverCost { most: self.most.unwrap_or(0) }));
        }
        if !target.is_free() {
            let reserved =
                self.desk.budgets.reserve(self.tenant, &self.attribution, self.ordered_ms, worst).await;
            open.reserve(reserved.map_err(|error| match error {
                BudgetError::Store(_) => Left::Ended(error.into()),
                BudgetError::Exhausted { .. } => Left::Budget(error.into()),
            })?);
        }
        open.begin();
        Ok(open)
    }

    /// A model that was not called.
    fn skip(&self, stop: &Stop, outcome: Outcome, why: &str, retry_after: Option<Duration>) -> Left {
        let started_us = micros_of(self.arrived.elapsed());
        self.trail().attempts.push(Attempt {
            model: stop.target.name.to_string(),
            outcome,
            tier: Some(stop.tier),
            started_us,
            hedge: stop.hedge,
            ..Attempt::default()
        });
        Left::Failed(ProviderError { retry_after, ..ProviderError::new(outcome, why) })
    }

    /// What all attempts have cost so far.
    fn spent(&self) -> NanoDollars {
        self.trail().attempts.iter().map(|attempt| attempt.cost).sum()
    }

    /// How it stands.
    pub(super) fn account(&self) -> Account {
        let trail = self.trail();
        let latency = self.arrived.elapsed();
        let busy = trail.waited + trail.since.map_or(Duration::ZERO, |since| since.elapsed());
        Account {
            attempts: trail.attempts.clone(),
            cost: trail.attempts.iter().map(|attempt| attempt.cost).sum(),
            latency_us: micros_of(latency),
            overhead_us: micros_of(latency.saturating_sub(busy + trail.queued)),
            queued_us: micros_of(trail.queued),
            warnings: trail.warnings.iter().cloned().collect(),
        }
    }

    /// Time in which the router waits on purpose, so that it does not count as its own.
    pub(super) fn paused(&self, pause: Duration) {
        self.trail().waited += pause;
    }

    /// The records for the ledger.
    pub(super) fn rows(&self) -> Vec<UsageRow> {
        self.trail().rows.clone()
    }

    /// The same; whoever takes them must write them.
    pub(super) fn take_rows(&self) -> Vec<UsageRow> {
        std::mem::take(&mut self.trail().rows)
    }

    fn trail(&self) -> MutexGuard<'_, Trail> {
        // The trail is whole after every step, so a panic elsewhere does not spoil it.
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        let rows = self.take_rows();
        if !rows.is_empty() && self.desk.ledger.append(self.tenant, &rows).is_err() {
            tracing::error!(records = rows.len(), "usage records of an abandoned call are lost");
        }
    }
}
