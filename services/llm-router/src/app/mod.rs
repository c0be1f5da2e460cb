//! The desk: one use case per file, and what they share.
mod breakdown;
mod budget;
mod budgets;
mod catalog;
mod flights;
mod forget;
mod generate;
mod journal;
mod ledger;
mod stream_generate;
mod usage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::{Answer, Attempt, Completion, Order, StopReason, StoredAnswer, Usage};
use crate::error::{Error, list};
use crate::metrics::Metrics;
use crate::ports::{Clock, Store};

pub use budget::BudgetPage;
pub use budgets::{BudgetError, Budgets, Reservation};
pub use catalog::{Catalog, Target};
pub use ledger::{Ledger, LedgerBehind, LedgerFull, LedgerTask};
pub use usage::UsagePage;

use flights::{Flights, Lead, Place};
use journal::Journal;

use copydesk_types::TenantId;

/// Everything that a use case needs.
pub struct Desk {
    catalog: Catalog,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    flights: Flights,
    ledger: Arc<Ledger>,
    budgets: Arc<Budgets>,
    price_version: String,
    retention: Duration,
}

impl Desk {
    /// A desk.
    pub fn new(
        catalog: Catalog,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        ledger: Arc<Ledger>,
        budgets: Arc<Budgets>,
        config: &crate::Config,
    ) -> Self {
        let (price_version, retention) = (config.price_version.clone(), config.answer_retention());
        let flights = Flights::default();
        Self { catalog, store, clock, metrics, flights, ledger, budgets, price_version, retention }
    }

    /// The configured models.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// A place for this call: with an answer that is there or on its way, or at the head of a new one.
    async fn seat(&self, tenant: TenantId, order: &Order) -> Result<Seat, Error> {
        let Some(request_id) = &order.request_id else { return Ok(Seat::Lead(Lead::alone())) };
        loop {
            let place = match self.flights.enter(tenant, request_id, &order.fingerprint)? {
                Place::Join(running) => running.outcome().await,
                // The one before may have finished between a look at the store and this; so look now.
                Place::Lead(lead) => match self.kept(tenant, order, request_id).await? {
                    Some(answer) => Some(Ok(answer)),
                    None => return Ok(Seat::Lead(lead)),
                },
            };
            // `None`: the one at the head was cancelled; somebody else takes its place.
            if let Some(outcome) = place {
                return outcome.map(|answer| Seat::Answered(Box::new(answer.replayed())));
            }
        }
    }

    async fn kept(&self, tenant: TenantId, order: &Order, request_id: &str) -> Result<Option<Answer>, Error> {
        match self.store.answer(tenant, request_id, self.clock.now_ms()).await? {
            Some(kept) => same_body(kept, order).map(Some),
            None => Ok(None),
        }
    }

    /// Writes the journal, and the answer if the call has an id, in one transaction; then the answer may be given.
    async fn keep(&self, mut journal: Journal<'_>, order: &Order, answer: Answer) -> Result<Answer, Error> {
        let now = self.clock.now_ms();
        let stored = order.request_id.clone().map(|request_id| StoredAnswer {
            request_id,
            fingerprint: order.fingerprint.clone(),
            answer: answer.clone(),
            created_ms: now,
            expires_ms: now.saturating_add(i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX)),
        });
        match journal.close(stored.as_ref()).await? {
            // Another replica was faster: its answer is the one that counts.
            Some(earlier) => same_body(earlier, order).map(Answer::replayed),
            None => Ok(answer),
        }
    }

    fn completion(&self, end: Ending<'_>, order: &Order, attempts: Vec<Attempt>) -> Completion {
        Completion {
            model: end.target.name.clone(),
            provider: end.target.provider_name.clone(),
            stop_reason: end.stop_reason,
            usage: end.usage,
            cost: attempts.iter().map(|attempt| attempt.cost).sum(),
            price_version: self.price_version.clone(),
            degraded_reason: degraded_reason(&self.catalog, end.target, order.model.is_some(), &attempts),
            attempts,
            latency_us: micros(end.started),
            replayed: false,
            tier: None,
            decision: None,
            cached: false,
            overhead_us: 0,
            queued_us: 0,
            first_token_us: 0,
            budget_warnings: Vec::new(),
        }
    }
}

/// Where a call begins.
enum Seat {
    /// With an answer given before.
    Answered(Box<Answer>),
    /// With nothing: it must be made.
    Lead(Lead),
}

/// How the answering call ended.
struct Ending<'a> {
    target: &'a Target,
    stop_reason: StopReason,
    usage: Usage,
    started: Instant,
}

fn same_body(kept: StoredAnswer, order: &Order) -> Result<Answer, Error> {
    if kept.fingerprint == order.fingerprint {
        Ok(kept.answer)
    } else {
        Err(Error::RequestIdTaken { request_id: kept.request_id })
    }
}

fn degraded_reason(catalog: &Catalog, target: &Target, pinned: bool, attempts: &[Attempt]) -> Option<String> {
    const COMPOSED: &str = "the offline writer composed this from the evidence";
    let failed: Vec<_> = attempts
        .iter()
        .filter(|attempt| attempt.model != target.name)
        .map(|attempt| (attempt.model.clone(), attempt.outcome))
        .collect();
    match (target.offline, failed.is_empty()) {
        (false, true) => None,
        (false, false) => Some(format!("a fallback answered: {}", list(&failed))),
        (true, false) => Some(format!("all providers failed: {}; {COMPOSED}", list(&failed))),
        (true, true) if pinned => Some(format!("it was asked for: {COMPOSED}")),
        (true, true) if catalog.only_offline() => Some(format!("no model is configured; {COMPOSED}")),
        (true, true) => Some(COMPOSED.to_owned()),
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
