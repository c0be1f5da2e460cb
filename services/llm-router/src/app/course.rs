//! One request on its way through the models: for whom it is, by when it must be there, what was tried and what that
//! cost. Whatever happens to it, every call that was made gets into the ledger.
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use copydesk_proto::llm_router::v1::{Operation, Task};
use copydesk_types::{NanoDollars, TenantId, UsageId};
use tokio::time::Instant;

use super::board::End;
use super::flights::Deadline;
use super::{BudgetError, Desk, Pass, Reservation, Target, micros_of};
use crate::domain::{Attempt, Attribution, Outcome, Signal, Ticket, Tier, Usage, UsageRow, estimate_tokens};
use crate::error::Error;
use crate::providers::ProviderError;

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
        let mut open = Open {
            course: Arc::clone(self),
            stop: stop.clone(),
            ticket: Some(ticket),
            pass: None,
            reservation: None,
            size,
            begun: None,
            first_token: None,
            written_bytes: 0,
            alive: false,
        };
        let waiting = Instant::now();
        let entered = target.provider_health.gate.enter(size.tokens(), self.deadline.instant()).await;
        self.trail().queued += waiting.elapsed();
        match entered {
            Ok(pass) => open.pass = Some(pass),
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
            open.reservation = Some(reserved.map_err(|error| match error {
                BudgetError::Store(_) => Left::Ended(error.into()),
                BudgetError::Exhausted { .. } => Left::Budget(error.into()),
            })?);
        }
        let now = Instant::now();
        open.begun = Some(now);
        self.trail().enter(now);
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

/// How large a call may become, in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Of the prompt, estimated.
    pub(super) input: u64,
    /// Of the answer, at most.
    pub(super) output: u64,
}

impl Size {
    fn tokens(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// A call to a model under way. However it goes, it gives back ticket, place and reservation, and leaves its record.
pub(super) struct Open {
    course: Arc<Course>,
    stop: Stop,
    ticket: Option<Ticket>,
    pass: Option<Pass>,
    reservation: Option<Reservation>,
    size: Size,
    begun: Option<Instant>,
    first_token: Option<Duration>,
    written_bytes: usize,
    alive: bool,
}

impl Open {
    /// The first token has come.
    pub(super) fn first_token(&mut self) {
        if self.first_token.is_none() {
            self.first_token = self.begun.map(|begun| begun.elapsed());
        }
    }

    /// When the first token came, in microseconds after the request.
    pub(super) fn first_token_us(&self) -> u64 {
        let offset = self.begun.map_or(Duration::ZERO, |begun| begun - self.course.arrived);
        self.first_token.map_or(0, |after| micros_of(offset + after))
    }

    /// The model wrote so many bytes more.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written_bytes += bytes;
    }

    /// It answered; its tokens, ours where the provider did not count.
    pub(super) fn done(mut self, counted: Option<Usage>) -> Usage {
        self.end(Outcome::Ok, counted, None, 0)
    }

    /// It failed.
    pub(super) fn failed(mut self, error: &ProviderError) {
        self.end(error.outcome, None, error.retry_after, error.status.unwrap_or(0));
    }

    /// It answered nothing; the tokens that it counted are paid all the same.
    pub(super) fn empty(mut self, counted: Option<Usage>) -> ProviderError {
        self.end(Outcome::BadReply, counted, None, 0);
        ProviderError::new(Outcome::BadReply, "the answer is empty")
    }

    /// It answered what does not have the form asked for; its tokens are paid all the same, and it counts as alive.
    pub(super) fn useless(mut self, counted: Option<Usage>) {
        self.alive = true;
        self.end(Outcome::BadReply, counted, None, 0);
    }

    /// The longest wait for the whole of it.
    pub(super) fn limit(&self, own: Duration) -> Duration {
        self.course.deadline.left().map_or(own, |left| left.min(own))
    }

    fn end(
        &mut self,
        outcome: Outcome,
        counted: Option<Usage>,
        retry_after: Option<Duration>,
        status: u16,
    ) -> Usage {
        let Some(begun) = self.begun.take() else { return Usage::default() };
        let (now, target) = (Instant::now(), &self.stop.target);
        // A count that no call can reach would make every sum of the ledger overflow.
        let usage = counted.filter(Usage::is_plausible).unwrap_or_else(|| self.estimate(outcome));
        let cost = target.price.cost(usage.input, usage.cached_input, usage.output);
        if let Some(pass) = &self.pass {
            pass.correct(usage.input.saturating_add(usage.output));
        }
        if let Some(reservation) = self.reservation.take() {
            let warnings = reservation.settle(cost);
            self.course.trail().warnings.extend(warnings);
        }
        let attempt = Attempt {
            model: target.name.to_string(),
            outcome,
            usage,
            cost,
            latency_us: micros_of(now - begun),
            first_token_us: self.first_token.map_or(0, micros_of),
            upstream_status: status,
            tier: Some(self.stop.tier),
            started_us: micros_of(begun - self.course.arrived),
            hedge: self.stop.hedge,
        };
        self.tell_the_model(&attempt, now - begun, retry_after);
        self.record(attempt, now);
        usage
    }

    fn tell_the_model(&mut self, attempt: &Attempt, took: Duration, retry_after: Option<Duration>) {
        let Some(ticket) = self.ticket.take() else { return };
        let target = &self.stop.target;
        let outcome = attempt.outcome;
        // A caller in a hurry must not make a model look dead for everybody else.
        let hurried = outcome == Outcome::Timeout && took < self.patience();
        let signal = match outcome.signal() {
            Signal::Bad if hurried => Signal::Neutral,
            Signal::Bad if self.alive => Signal::Good,
            signal => signal,
        };
        let whole = (outcome == Outcome::Ok).then_some(took);
        let end = End { outcome, signal, whole, first_token: self.first_token, retry_after };
        if target.health.settle(ticket, &end, &target.breaker_rules) {
            tracing::warn!(model = %target.name, "circuit breaker opened");
            self.course.desk.metrics.breaker_opened(&target.name);
        }
    }

    /// The shortest of the target's own limits: a timeout before it was the caller's.
    fn patience(&self) -> Duration {
        let target = &self.stop.target;
        target.total.min(target.first_token).min(target.idle)
    }

    fn record(&self, attempt: Attempt, now: Instant) {
        let course = &self.course;
        course.desk.metrics.count(&attempt);
        let row = UsageRow {
            id: UsageId::generate(),
            time_ms: course.desk.clock.now_ms(),
            attribution: Attribution::clone(&course.attribution),
            task: course.task.into(),
            operation: course.operation,
            ordered_ms: course.ordered_ms,
            attempt: attempt.clone(),
            price_version: course.price_version.clone(),
        };
        let mut trail = course.trail();
        trail.leave(now);
        trail.attempts.push(attempt);
        trail.rows.push(row);
    }

    /// What a call without counts has used: nothing if it failed at once, else what was sent and what came back.
    fn estimate(&self, outcome: Outcome) -> Usage {
        let output = estimate_tokens(self.written_bytes);
        let sent = matches!(
            outcome,
            Outcome::Ok | Outcome::Timeout | Outcome::StreamBroken | Outcome::Cancelled | Outcome::Outhedged
        );
        if sent || output > 0 {
            Usage { input: self.size.input, cached_input: 0, output, estimated: true }
        } else {
            Usage::default()
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let lost = self.stop.lost.load(Ordering::Acquire);
        self.end(if lost { Outcome::Outhedged } else { Outcome::Cancelled }, None, None, 0);
        // What never began gives everything back as it was.
        if let Some(ticket) = self.ticket.take() {
            let target = &self.stop.target;
            target.health.give_back(ticket, &target.breaker_rules);
            if let Some(pass) = self.pass.take() {
                pass.give_back();
            }
        }
    }
}
