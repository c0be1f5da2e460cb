//! The engine: claims steps, performs them, keeps their leases, takes over what others lost.
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use copydesk_rpc::Delegation;
use copydesk_store::StoreError;
use copydesk_types::RunId;
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::App;
use super::desk::Desk;
use super::settle::DEADLINE_EXCEEDED;
use super::steps::perform;
use crate::config::millis;
use crate::domain::output::StepOutput;
use crate::domain::plan::of_version;
use crate::error::StepError;
use crate::ports::{Claim, ClaimOrder};

/// Steps taken over in one sweep.
const SWEEP: u32 = 64;

/// Works until `stop`, then lets running steps finish for a while and gives the others back.
pub(crate) async fn work(app: Arc<App>, expire_leases: bool, stop: CancellationToken) {
    let mut worker = Worker::new(app);
    if expire_leases {
        report("expire leases", worker.app.ports.store.expire_leases().await.map(|_| ()));
    }
    report("sweep", worker.sweep().await);
    worker.run(&stop).await;
    worker.stop().await;
}

/// One process's worker.
pub(super) struct Worker {
    app: Arc<App>,
    /// Unique per start: a worker of the same process after a restart is another one.
    owner: String,
    steps: JoinSet<()>,
}

impl Worker {
    pub(super) fn new(app: Arc<App>) -> Self {
        // Any id would do; that of a run is at hand and as unique as needed.
        let owner = format!("{:032x}", RunId::generate().as_u128());
        Self { app, owner, steps: JoinSet::new() }
    }

    async fn run(&mut self, stop: &CancellationToken) {
        let config = &self.app.config;
        let mut poll = every(millis(config.poll_ms));
        let mut beat = every(millis(config.lease_ms) / 3);
        let mut sweep = every(millis(config.lease_ms) / 2);
        let app = self.app.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = app.work.notified() => {}
                true = self.next_done() => {}
                _ = poll.tick() => report("look at held steps", self.look().await),
                _ = beat.tick() => report("heartbeat", self.beat().await),
                _ = sweep.tick() => report("sweep", self.sweep().await),
            }
            report("claim", self.claim().await);
        }
    }

    /// Takes as many steps as there are free slots.
    pub(super) async fn claim(&mut self) -> Result<(), StoreError> {
        let free = (self.app.config.slots as usize).saturating_sub(self.app.slots.len());
        if free == 0 {
            return Ok(());
        }
        let order = ClaimOrder {
            owner: self.owner.clone(),
            lease_ms: i64::from(self.app.config.lease_ms),
            per_tenant: self.app.config.max_running_per_tenant,
            wanted: u32::try_from(free).unwrap_or(u32::MAX),
        };
        for claim in self.app.ports.store.claim(&order, self.app.now()).await? {
            let token = self.app.slots.begin(&claim);
            self.app.board.changed(claim.run_id);
            self.steps.spawn(attempt(self.app.clone(), claim, token));
        }
        Ok(())
    }

    /// Waits for the next attempt to end; false when none is at work.
    pub(super) async fn next_done(&mut self) -> bool {
        self.steps.join_next().await.is_some()
    }

    /// Ends runs past their deadline, and drops steps that are no longer ours.
    async fn look(&self) -> Result<(), StoreError> {
        self.app.end_overdue().await?;
        let known = self.app.slots.claims();
        let held: HashSet<Claim> = self.app.ports.store.held(&self.owner).await?.into_iter().collect();
        self.app.slots.keep(&known, &held);
        // Ours by the rows, and nobody works on them: a claim whose answer was lost, an end that could not be stored.
        // The heartbeat would keep them for ever. One that ended just now is no longer running, and is left alone.
        let working: HashSet<Claim> = self.app.slots.claims().into_iter().collect();
        for stray in held.iter().filter(|claim| !working.contains(*claim)) {
            tracing::warn!(run = %stray.run_id, step = %stray.step, "a step has no worker any more");
            self.app.settle_lost(stray).await?;
        }
        Ok(())
    }

    async fn beat(&self) -> Result<(), StoreError> {
        if self.app.slots.len() == 0 {
            return Ok(());
        }
        let until = self.app.now().saturating_add(i64::from(self.app.config.lease_ms));
        self.app.ports.store.heartbeat(&self.owner, until).await
    }

    /// Takes over steps whose worker did not come back.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        for claim in self.app.ports.store.expired(self.app.now(), SWEEP).await? {
            self.app.settle_lost(&claim).await?;
        }
        self.app.board.prune(&self.app.slots.runs());
        self.app.metrics.depth(self.app.ports.store.depth().await?);
        Ok(())
    }

    /// Lets running steps finish within the grace, then drops the others and gives them back.
    async fn stop(&mut self) {
        let grace = tokio::time::Instant::now() + millis(self.app.config.stop_grace_ms);
        let mut beat = every(millis(self.app.config.lease_ms) / 3);
        while !self.steps.is_empty() {
            tokio::select! {
                _ = self.steps.join_next() => {}
                _ = beat.tick() => report("heartbeat", self.beat().await),
                () = tokio::time::sleep_until(grace) => break,
            }
        }
        let left = self.app.slots.claims();
        self.app.slots.cancel_all();
        while self.steps.join_next().await.is_some() {}
        if !left.is_empty() {
            tracing::info!(steps = left.len(), "unfinished steps are given back");
            report("release", self.app.ports.store.release(&left).await);
        }
    }
}

/// One attempt: performs a step and stores what came of it, unless the step is dropped in between.
async fn attempt(app: Arc<App>, claim: Claim, dropped: CancellationToken) {
    let began = Instant::now();
    // Whatever happens below, a panic in storing the end included, the slot is free after it.
    let _slot = OnDrop(|| {
        app.slots.end(&claim);
        app.work.notify_one();
    });
    let came_of_it = tokio::select! {
        () = dropped.cancelled() => None,
        result = AssertUnwindSafe(perform_claim(&app, &claim)).catch_unwind() => Some(result),
    };
    if let Some(result) = came_of_it {
        let result = result.unwrap_or_else(|_| {
            tracing::error!(run = %claim.run_id, step = %claim.step, "a step panicked");
            Err(StepError::retryable("PANICKED", "the step broke off"))
        });
        app.settle(&claim, result, began).await;
    }
}

/// Does its work when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

async fn perform_claim(app: &App, claim: &Claim) -> Result<(StepOutput, String), StepError> {
    let store = &app.ports.store;
    let run = store.get(claim.tenant, claim.run_id).await?;
    let run = run.ok_or_else(|| StepError::fatal("INTERNAL", "the run is gone"))?;
    if of_version(&run.definition).is_none() {
        return Err(StepError::fatal("INTERNAL", "this build does not know the run's definition"));
    }
    let finished = store.finished(claim.tenant, claim.run_id).await?;
    let delegation: Delegation = serde_json::from_str(&run.delegation)
        .map_err(|_| StepError::fatal("INTERNAL", "the run's delegation cannot be read"))?;
    let left = Duration::from_millis(u64::try_from(run.deadline_ms - app.now()).unwrap_or(0));
    let longest = Duration::from_secs(u64::from(app.config.step_timeout_s));
    let deadline = tokio::time::Instant::now() + left.min(longest);

    // Made inside the delegation's span: outside it would be the root of another trace.
    let work = async {
        let name = format!("step {}", claim.step);
        let span =
            tracing::info_span!("run.step", otel.name = name, run = %claim.run_id, attempt = claim.attempt);
        perform(Desk::new(app, &run, &finished, claim)).instrument(span).await
    };
    let work = timeout_at(deadline, work);
    let result = app.ports.minter.act(&delegation, Some(deadline), "run.attempt", work).await;
    let overdue = left <= longest && app.now() >= run.deadline_ms;
    match result {
        Err(_) | Ok(Err(_)) if overdue => {
            Err(StepError::fatal(DEADLINE_EXCEEDED, "the run reached its deadline"))
        }
        Err(_) => Err(StepError::retryable("STEP_TIMEOUT", "the attempt took too long")),
        Ok(result) => result,
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The engine outlives a database that is away: it says so and tries again at its next tick.
fn report(what: &'static str, result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::warn!(what, error = %error, "the run store did not answer");
    }
}
