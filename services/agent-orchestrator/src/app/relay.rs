//! The relay: tells the archive how runs ended, until it has heard.
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

/// Outcomes told in one round.
const BATCH: u32 = 32;
/// How long the archive has for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits between attempts. They never end: an outcome is not given up.
const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };

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
    async fn deliver_due(&self) -> Result<u32, StoreError> {
        let due = self.ports.store.undelivered(self.now(), BATCH).await?;
        for (run, attempts) in &due {
            if self.tell(run).await {
                self.ports.store.delivered(run.tenant, run.run_id).await?;
            } else {
                let wait = self.wait(run, attempts.saturating_add(1));
                self.ports.store.postpone(run.tenant, run.run_id, self.now().saturating_add(wait)).await?;
            }
        }
        Ok(u32::try_from(due.len()).unwrap_or(u32::MAX))
    }

    async fn tell(&self, run: &Run) -> bool {
        let outcome = Outcome::of(run);
        let delegation = serde_json::from_str::<Delegation>(&run.delegation);
        let (Some(outcome), Ok(delegation)) = (outcome, delegation) else {
            tracing::error!(run = %run.run_id, "an outcome cannot be put together");
            return false;
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let told = self.ports.archive.record(&outcome);
        match self.ports.minter.act(&delegation, Some(deadline), "run.outcome", told).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(run = %run.run_id, reason = error.reason(), "the archive did not take an outcome");
                false
            }
        }
    }

    fn wait(&self, run: &Run, attempt: u32) -> i64 {
        let wait = BACKOFF.wait(attempt, draw(&run.run_id.to_string(), "outcome", attempt), None);
        i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
    }
}
