//! The relay: tells the archive how runs ended, until it has heard or refused for good.
use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::Delegation;
use copydesk_store::StoreError;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::config::millis;
use crate::domain::backoff::{Backoff, draw};
use crate::domain::outcome::Outcome;
use crate::domain::run::Run;
use crate::ports::Undelivered;

/// Outcomes told in one round.
const BATCH: u32 = 32;
/// How long the archive has for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits between attempts. An archive that is away is waited for without end.
const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
/// After so many refusals that no further attempt can mend, an outcome is given up: more than one, since what refuses
/// may be a fault that the archive's next version no longer has.
const MOST_REFUSALS: u32 = 10;

/// What came of telling an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Heard,
    /// The archive is away: another attempt may help.
    Away,
    /// For good: the same words will be refused again.
    Refused,
}

/// Delivers outcomes until `stop`.
pub(crate) async fn deliver(app: Arc<App>, stop: CancellationToken) {
    loop {
        match app.deliver_due().await {
            // A full batch: there may be more.
            Ok(BATCH) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error, "the outbox could not be read"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.outcomes.notified() => {}
            () = tokio::time::sleep(millis(app.config.poll_ms)) => {}
        }
    }
}

impl App {
    /// Tells what is due; how many outcomes that was.
    pub(super) async fn deliver_due(&self) -> Result<u32, StoreError> {
        let due = self.ports.store.undelivered(self.now(), BATCH).await?;
        for outcome in &due {
            let told = self.tell(&outcome.run).await;
            self.settle_outcome(outcome, told).await?;
        }
        Ok(u32::try_from(due.len()).unwrap_or(u32::MAX))
    }

    async fn settle_outcome(&self, outcome: &Undelivered, told: Told) -> Result<(), StoreError> {
        let (run, store) = (&outcome.run, &self.ports.store);
        let refusals = outcome.refusals.saturating_add(u32::from(told == Told::Refused));
        let given_up = told == Told::Refused && refusals >= MOST_REFUSALS;
        if told == Told::Heard || given_up {
            store.delivered(run.tenant, run.run_id).await?;
        } else {
            let at = self.now().saturating_add(self.wait(run, outcome.attempts.saturating_add(1)));
            store.postpone(run.tenant, run.run_id, at, told == Told::Refused).await?;
        }
        if given_up {
            tracing::error!(run = %run.run_id, refusals, "an outcome was refused for good and is given up");
        }
        self.metrics.outcome(match told {
            Told::Heard => "told",
            _ if given_up => "given_up",
            Told::Away | Told::Refused => "postponed",
        });
        Ok(())
    }

    async fn tell(&self, run: &Run) -> Told {
        let outcome = Outcome::of(run);
        let delegation = serde_json::from_str::<Delegation>(&run.delegation);
        let (Some(outcome), Ok(delegation)) = (outcome, delegation) else {
            tracing::error!(run = %run.run_id, "an outcome cannot be put together");
            return Told::Refused;
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let told = self.ports.archive.record(&outcome);
        match self.ports.minter.act(&delegation, Some(deadline), "run.outcome", told).await {
            Ok(()) => Told::Heard,
            Err(error) => {
                let told = if error.is_retryable() { Told::Away } else { Told::Refused };
                tracing::warn!(run = %run.run_id, reason = error.reason(), "the archive did not take an outcome");
                told
            }
        }
    }

    fn wait(&self, run: &Run, attempt: u32) -> i64 {
        let wait = BACKOFF.wait(attempt, draw(&run.run_id.to_string(), "outcome", attempt), None);
        i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
    }
}
