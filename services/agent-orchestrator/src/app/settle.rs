//! What comes of an attempt: its output or its failure is stored, and whoever waits for it is told.
use std::time::{Duration, Instant};

use copydesk_store::StoreError;

use super::App;
use super::desk::BUDGET_EXHAUSTED;
use crate::domain::backoff::draw;
use crate::domain::output::{Finished, StepOutput};
use crate::domain::plan::{Next, of_version, plan};
use crate::domain::result::assemble;
use crate::domain::run::{Ending, Run, RunError, RunState};
use crate::error::{Retry, StepError};
use crate::ports::{Claim, Completion, Failure, Onward, Settled};

/// The reason of a run that reached its deadline.
pub(super) const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
/// Waits for a store that is busy: 50 ms, doubled up to 1.6 s, then the lease decides.
const FIRST_STORE_WAIT: Duration = Duration::from_millis(50);
const LAST_STORE_WAIT: Duration = Duration::from_millis(1_600);

impl App {
    /// Stores what came of an attempt that took since `began`.
    pub(super) async fn settle(
        &self,
        claim: &Claim,
        came_of_it: Result<(StepOutput, String), StepError>,
        began: Instant,
    ) {
        let came_of_it = match came_of_it {
            Ok((output, summary)) => Ok(Completion { claim: claim.clone(), output, summary }),
            Err(error) => Err(self.failure(claim, &error)),
        };
        match self.store_patiently(&came_of_it).await {
            Ok(settled) => {
                let outcome = match (&settled, &came_of_it) {
                    (Settled::Fenced, _) => "fenced",
                    (_, Ok(_)) => "done",
                    (_, Err(failure)) if failure.retry_at_ms.is_some() => "retry",
                    (_, Err(_)) => "failed",
                };
                self.metrics.step(claim.step.agent(), outcome, began.elapsed().as_secs_f64());
                self.announce(claim, settled);
            }
            // The lease runs out, and another attempt finds every finished call remembered.
            Err(error) => {
                tracing::warn!(run = %claim.run_id, step = %claim.step, error = %error, "a step could not be settled");
            }
        }
    }

    /// A store that is busy for a moment must not cost a whole lease.
    async fn store_patiently(&self, came_of_it: &Result<Completion, Failure>) -> Result<Settled, StoreError> {
        let mut wait = FIRST_STORE_WAIT;
        loop {
            let stored = match came_of_it {
                Ok(done) => self.ports.store.complete(done, &onward, self.now()).await,
                Err(failure) => self.ports.store.fail(failure, self.now()).await,
            };
            match stored {
                Err(error) if error.is_retryable() && wait <= LAST_STORE_WAIT => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                settled => return settled,
            }
        }
    }

    fn failure(&self, claim: &Claim, error: &StepError) -> Failure {
        let retry_at_ms = self.retry_at(claim, error);
        tracing::info!(
            run = %claim.run_id, step = %claim.step, attempt = claim.attempt, reason = error.reason,
            retry = retry_at_ms.is_some(), "an attempt failed"
        );
        Failure {
            claim: claim.clone(),
            reason: error.reason.clone(),
            error: given_up(claim, error),
            retry_at_ms,
            lease_lost: false,
        }
    }

    fn retry_at(&self, claim: &Claim, error: &StepError) -> Option<i64> {
        let last = claim.attempt >= self.config.max_attempts;
        let asked = match error.retry {
            Retry::Never => return None,
            Retry::Backoff | Retry::After(_) if last => return None,
            Retry::Backoff => None,
            Retry::After(wait) | Retry::Away(wait) => Some(wait),
        };
        let draw = draw(&claim.run_id.to_string(), &claim.step.to_string(), claim.attempt);
        let wait = self.config.backoff().wait(claim.attempt, draw, asked);
        Some(self.now().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// A step whose worker is gone: another attempt at once, or the end of a run whose step keeps killing its worker.
    pub(super) async fn settle_lost(&self, claim: &Claim) -> Result<(), StoreError> {
        let error = StepError::retryable("LEASE_EXPIRED", "the worker did not come back");
        let last = claim.attempt >= self.config.max_attempts;
        let failure = Failure {
            claim: claim.clone(),
            reason: error.reason.clone(),
            error: given_up(claim, &error),
            // In front of the queue: it has waited its turn before.
            retry_at_ms: (!last).then_some(0),
            lease_lost: true,
        };
        let settled = self.ports.store.fail(&failure, self.now()).await?;
        self.announce(claim, settled);
        Ok(())
    }

    /// Ends runs that reached their deadline.
    pub(super) async fn end_overdue(&self) -> Result<(), StoreError> {
        for (tenant, run_id) in self.ports.store.overdue(self.now(), 64).await? {
            let message = "the run reached its deadline".to_owned();
            let error = RunError { reason: DEADLINE_EXCEEDED.to_owned(), message, step: String::new() };
            let ended = self.ports.store.end(tenant, run_id, Ending::failed(error), self.now()).await?;
            if let Some((run, true)) = ended {
                self.ended(&run);
            }
        }
        Ok(())
    }

    fn announce(&self, claim: &Claim, settled: Settled) {
        match settled {
            Settled::Fenced => {
                tracing::info!(run = %claim.run_id, step = %claim.step, fence = claim.fence, "a result came too late");
            }
            Settled::Onward => {
                self.board.changed(claim.run_id);
                self.work.notify_one();
            }
            Settled::Ended(run) => self.ended(&run),
        }
    }
}

/// The run's error when a step is given up.
fn given_up(claim: &Claim, error: &StepError) -> RunError {
    let step = claim.step.to_string();
    let own_word =
        [BUDGET_EXHAUSTED, DEADLINE_EXCEEDED].contains(&error.reason.as_str()) && !error.is_retryable();
    if own_word {
        return RunError { reason: error.reason.clone(), message: error.message.clone(), step };
    }
    let attempts =
        if claim.attempt == 1 { "1 attempt".to_owned() } else { format!("{} attempts", claim.attempt) };
    let message = format!("{step} failed after {attempts}: {} ({})", error.message, error.reason);
    RunError { reason: "STEP_FAILED".to_owned(), message, step }
}

/// How a run goes on, by its definition's planner.
fn onward(run: &Run, finished: &Finished) -> Onward {
    let Some(definition) = of_version(&run.definition) else {
        return internal("the run's definition is unknown");
    };
    match plan(definition, finished) {
        Next::Steps(steps) => Onward::Steps(steps),
        Next::Fail(error) => Onward::End(Box::new(Ending::failed(error))),
        Next::Succeed => match assemble(&run.spec, finished) {
            Some(result) => {
                let ending = Ending { state: RunState::Succeeded, error: None, result: Some(result) };
                Onward::End(Box::new(ending))
            }
            None => internal("the result cannot be put together"),
        },
    }
}

fn internal(message: &str) -> Onward {
    let error =
        RunError { reason: "STEP_FAILED".to_owned(), message: message.to_owned(), step: String::new() };
    Onward::End(Box::new(Ending::failed(error)))
}
