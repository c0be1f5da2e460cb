//! A call to one model, from leave to record.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use copydesk_types::UsageId;
use tokio::time::Instant;

use super::{Course, Stop};
use crate::app::board::End;
use crate::app::{Pass, Reservation, micros_of};
use crate::domain::{Attempt, Attribution, Outcome, Signal, Ticket, Usage, UsageRow, estimate_tokens};
use crate::providers::ProviderError;

/// How large a call may become, in tokens.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Size {
    /// Of the prompt, estimated.
    pub(in crate::app) input: u64,
    /// Of the answer, at most.
    pub(in crate::app) output: u64,
}

impl Size {
    pub(super) fn tokens(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// A call to a model under way. However it goes, it gives back ticket, place and reservation, and leaves its record.
pub(in crate::app) struct Open {
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
    /// Admitted by the model's breaker; nothing else yet.
    pub(super) fn admitted(course: &Arc<Course>, stop: &Stop, ticket: Ticket, size: Size) -> Self {
        Self {
            course: Arc::clone(course),
            stop: stop.clone(),
            ticket: Some(ticket),
            pass: None,
            reservation: None,
            size,
            begun: None,
            first_token: None,
            written_bytes: 0,
            alive: false,
        }
    }

    /// It has a place at the provider.
    pub(super) fn enter(&mut self, pass: Pass) {
        self.pass = Some(pass);
    }

    /// Its worst case is reserved.
    pub(super) fn reserve(&mut self, reservation: Reservation) {
        self.reservation = Some(reservation);
    }

    /// It is on its way.
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        self.begun = Some(now);
        self.course.trail().enter(now);
    }

    /// The first token has come.
    pub(in crate::app) fn first_token(&mut self) {
        if self.first_token.is_none() {
            self.first_token = self.begun.map(|begun| begun.elapsed());
        }
    }

    /// When the first token came, in microseconds after the request.
    pub(in crate::app) fn first_token_us(&self) -> u64 {
        let offset = self.begun.map_or(Duration::ZERO, |begun| begun - self.course.arrived);
        self.first_token.map_or(0, |after| micros_of(offset + after))
    }

    /// The model wrote so many bytes more.
    pub(in crate::app) fn wrote(&mut self, bytes: usize) {
        self.written_bytes += bytes;
    }

    /// It answered; its tokens, ours where the provider did not count.
    pub(in crate::app) fn done(mut self, counted: Option<Usage>) -> Usage {
        self.end(Outcome::Ok, counted, None, 0)
    }

    /// It failed.
    pub(in crate::app) fn failed(mut self, error: &ProviderError) {
        self.end(error.outcome, None, error.retry_after, error.status.unwrap_or(0));
    }

    /// It answered nothing; the tokens that it counted are paid all the same.
    pub(in crate::app) fn empty(mut self, counted: Option<Usage>) -> ProviderError {
        self.end(Outcome::BadReply, counted, None, 0);
        ProviderError::new(Outcome::BadReply, "the answer is empty")
    }

    /// It answered what does not have the form asked for; its tokens are paid all the same, and it counts as alive.
    pub(in crate::app) fn useless(mut self, counted: Option<Usage>) {
        self.alive = true;
        self.end(Outcome::BadReply, counted, None, 0);
    }

    /// The longest wait for the whole of it.
    pub(in crate::app) fn limit(&self, own: Duration) -> Duration {
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
