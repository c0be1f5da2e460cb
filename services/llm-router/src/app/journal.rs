//! The attempts of one call, on their way to the ledger. Whatever happens to the call, they get there: a call that is
//! dropped half-way leaves its records in the ledger's queue.
use std::time::Instant;

use copydesk_proto::llm_router::v1::Operation;
use copydesk_types::{TenantId, UsageId};

use super::{Desk, Target, micros};
use crate::domain::{Attempt, Order, Outcome, StoredAnswer, Turn, Usage, UsageRow, estimate_tokens};
use crate::error::Error;

/// The attempts of one call.
pub(super) struct Journal<'a> {
    desk: &'a Desk,
    tenant: TenantId,
    order: &'a Order,
    rows: Vec<UsageRow>,
    running: Option<Running<'a>>,
}

struct Running<'a> {
    target: &'a Target,
    started: Instant,
    input: u64,
    written_bytes: usize,
}

impl<'a> Journal<'a> {
    pub(super) fn open(desk: &'a Desk, tenant: TenantId, order: &'a Order) -> Self {
        Self { desk, tenant, order, rows: Vec::new(), running: None }
    }

    /// A call to a model begins; `more` are turns beyond the prompt's own.
    pub(super) fn begin(&mut self, target: &'a Target, more: &[Turn]) {
        let extra: u64 = more.iter().map(Turn::estimated_tokens).sum();
        let input = self.order.prompt.estimated_tokens() + extra;
        self.running = Some(Running { target, started: Instant::now(), input, written_bytes: 0 });
    }

    /// The model wrote so many bytes more.
    pub(super) fn wrote(&mut self, bytes: usize) {
        if let Some(running) = &mut self.running {
            running.written_bytes += bytes;
        }
    }

    /// The running call ended; its tokens, ours where the provider did not count.
    pub(super) fn end(&mut self, outcome: Outcome, counted: Option<Usage>) -> Usage {
        let Some(running) = self.running.take() else { return Usage::default() };
        // A count that no call can reach would make every sum of the ledger overflow.
        let usage = counted.filter(Usage::is_plausible).unwrap_or_else(|| running.estimate(outcome));
        let attempt = Attempt {
            model: running.target.name.clone(),
            outcome,
            usage,
            cost: running.target.price.cost(usage.input, usage.cached_input, usage.output),
            latency_us: micros(running.started),
            first_token_us: 0,
            upstream_status: 0,
            tier: None,
            started_us: 0,
            hedge: false,
        };
        self.desk.metrics.count(&attempt);
        self.rows.push(UsageRow {
            id: UsageId::generate(),
            time_ms: self.desk.clock.now_ms(),
            attribution: self.order.attribution.clone(),
            task: self.order.prompt.task.into(),
            operation: Operation::Chat,
            ordered_ms: self.desk.clock.now_ms(),
            attempt,
            price_version: self.desk.price_version.clone(),
        });
        usage
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.rows.iter().map(|row| row.attempt.clone()).collect()
    }

    /// Leaves the records in the queue, or, where there is an answer to keep, stores both. An answer that was there
    /// before is returned.
    pub(super) async fn close(
        &mut self,
        answer: Option<&StoredAnswer>,
    ) -> Result<Option<StoredAnswer>, Error> {
        let earlier = match answer {
            Some(answer) => self.desk.ledger.keep(self.tenant, &self.rows, answer).await?,
            None => {
                self.desk.ledger.append(self.tenant, &self.rows)?;
                None
            }
        };
        self.rows.clear();
        Ok(earlier)
    }
}

impl Running<'_> {
    /// What a call without counts has used: nothing if it failed at once, else what was sent and what came back.
    fn estimate(&self, outcome: Outcome) -> Usage {
        let output = estimate_tokens(self.written_bytes);
        match outcome {
            Outcome::Ok | Outcome::Timeout | Outcome::StreamBroken | Outcome::Cancelled => {
                Usage { input: self.input, cached_input: 0, output, estimated: true }
            }
            _ if output > 0 => Usage { input: self.input, cached_input: 0, output, estimated: true },
            _ => Usage::default(),
        }
    }
}

impl Drop for Journal<'_> {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled, None);
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return;
        }
        if self.desk.ledger.append(self.tenant, &rows).is_err() {
            tracing::error!(records = rows.len(), "usage records of an abandoned call are lost");
        }
    }
}
