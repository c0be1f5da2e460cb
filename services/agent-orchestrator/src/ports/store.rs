//! The store of runs.
use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{BrandId, RunId, TenantId};

use crate::domain::output::{Finished, StepOutput};
use crate::domain::run::{Ending, NewRun, Recorded, Run, RunError, RunState, Step, Usage};
use crate::domain::step::StepKey;

/// What came of storing a new run.
#[derive(Debug)]
pub enum Created {
    /// It is stored.
    New(Run),
    /// The tenant has used this request id before; the run that it made.
    Existing(Run),
}

/// A claimed step. `fence` proves that it is still ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Whose run it is.
    pub tenant: TenantId,
    /// The run.
    pub run_id: RunId,
    /// The step.
    pub step: StepKey,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Grows with every claim of the step.
    pub fence: i64,
}

/// How claims are made.
#[derive(Debug, Clone)]
pub struct ClaimOrder {
    /// Name of the claiming worker, unique per process start.
    pub owner: String,
    /// How long a claim holds without a heartbeat, in milliseconds.
    pub lease_ms: i64,
    /// Steps of one tenant that may run at once, in all workers together.
    pub per_tenant: u32,
    /// Steps wanted.
    pub wanted: u32,
}

/// A finished step.
#[derive(Debug)]
pub struct Completion {
    /// The step.
    pub claim: Claim,
    /// What it made.
    pub output: StepOutput,
    /// One line on what came of it.
    pub summary: String,
}

/// How the run goes on after a step.
#[derive(Debug, PartialEq)]
pub enum Onward {
    /// With these steps; those that exist are left alone.
    Steps(Vec<StepKey>),
    /// It ends.
    End(Box<Ending>),
}

/// Decides how a run goes on; pure, called inside the transaction with every finished output of the run.
pub type Decide<'a> = &'a (dyn Fn(&Run, &Finished) -> Onward + Send + Sync);

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub claim: Claim,
    /// What went wrong in this attempt, as a stable word.
    pub reason: String,
    /// What the run ends with when it is given up.
    pub error: RunError,
    /// When to try again, in milliseconds since 1970; `None` gives the run up.
    pub retry_at_ms: Option<i64>,
    /// True for a sweep: only a step whose lease has run out is taken from its worker.
    pub lease_lost: bool,
}

/// What a change did.
#[derive(Debug)]
pub enum Settled {
    /// The step is no longer ours: nothing was changed.
    Fenced,
    /// The run goes on.
    Onward,
    /// The run has ended; as it is now.
    Ended(Box<Run>),
}

/// A remembered call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Whose run it is.
    pub tenant: TenantId,
    /// The run.
    pub run_id: RunId,
    /// The step.
    pub step: StepKey,
    /// Which call of the step.
    pub call_key: &'a str,
    /// Digest of what was asked.
    pub input_hash: &'a str,
}

/// Which runs are listed.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Only this brand.
    pub brand_id: Option<BrandId>,
    /// Only this state.
    pub state: Option<RunState>,
    /// Only runs made before this one.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: u32,
}

/// An ended run whose outcome has not reached the archive.
#[derive(Debug, Clone)]
pub struct Undelivered {
    /// The run.
    pub run: Run,
    /// Attempts so far.
    pub attempts: u32,
    /// Those of them that the archive refused for good.
    pub refusals: u32,
}

/// How much work there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Steps that wait for a worker or for their next attempt.
    pub ready: u64,
    /// Steps at work.
    pub running: u64,
    /// Outcomes not yet delivered.
    pub outbox: u64,
}

/// Runs, steps and events. Every method is one transaction; times are milliseconds since 1970, given by the caller.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Stores a run with its first steps, its first event and nothing else; or finds the one with its request id.
    async fn create(&self, run: &NewRun, steps: &[StepKey], now: i64) -> Result<Created, StoreError>;

    /// The run that this request id made.
    async fn by_request(&self, tenant: TenantId, request_id: &str) -> Result<Option<Run>, StoreError>;

    /// A run of the tenant.
    async fn get(&self, tenant: TenantId, run_id: RunId) -> Result<Option<Run>, StoreError>;

    /// The steps of a run in the order in which they were planned.
    async fn steps(&self, tenant: TenantId, run_id: RunId) -> Result<Vec<Step>, StoreError>;

    /// Runs, newest first, without their results.
    async fn list(&self, tenant: TenantId, filter: &ListFilter) -> Result<Vec<Run>, StoreError>;

    /// Up to `limit` events with a higher number than `after`, in order.
    async fn events(
        &self,
        tenant: TenantId,
        run_id: RunId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError>;

    /// Takes steps that are due, turn by turn over the tenants. A claim counts as an attempt at once, so that a step
    /// that kills its worker is not tried for ever.
    async fn claim(&self, order: &ClaimOrder, now: i64) -> Result<Vec<Claim>, StoreError>;

    /// The outputs of the finished steps of a run.
    async fn finished(&self, tenant: TenantId, run_id: RunId) -> Result<Finished, StoreError>;

    /// Finishes a step: output, events, next steps or the end of the run, outbox.
    async fn complete(&self, done: &Completion, decide: Decide<'_>, now: i64) -> Result<Settled, StoreError>;

    /// Ends an attempt without output.
    async fn fail(&self, failure: &Failure, now: i64) -> Result<Settled, StoreError>;

    /// Ends a run that has not ended: its open steps are cancelled, its end goes to the outbox. `None` when there is
    /// no such run; the run as it is now otherwise, with true when this call ended it.
    async fn end(
        &self,
        tenant: TenantId,
        run_id: RunId,
        ending: Ending,
        now: i64,
    ) -> Result<Option<(Run, bool)>, StoreError>;

    /// Runs past their deadline that have not ended.
    async fn overdue(&self, now: i64, limit: u32) -> Result<Vec<(TenantId, RunId)>, StoreError>;

    /// Prolongs the claims of a worker. One that is being settled at this moment may be left out; the next beat has it.
    async fn heartbeat(&self, owner: &str, lease_until: i64) -> Result<(), StoreError>;

    /// The claims that are still this worker's.
    async fn held(&self, owner: &str) -> Result<Vec<Claim>, StoreError>;

    /// Steps whose lease has run out. Each is then settled by [`fail`](Self::fail), which fences the old worker out.
    async fn expired(&self, now: i64, limit: u32) -> Result<Vec<Claim>, StoreError>;

    /// Ends all leases. For a start at which no other worker can be alive.
    async fn expire_leases(&self) -> Result<u64, StoreError>;

    /// Gives claims back untouched: their attempt does not count.
    async fn release(&self, claims: &[Claim]) -> Result<(), StoreError>;

    /// What a finished call returned, if it is remembered.
    async fn recall(&self, call: &Call<'_>) -> Result<Option<String>, StoreError>;

    /// Remembers what a finished call returned and adds its cost to the run; a second time changes nothing.
    async fn remember(
        &self,
        call: &Call<'_>,
        output: &str,
        cost_nanos: i64,
        usage: Usage,
        now: i64,
    ) -> Result<(), StoreError>;

    /// Ended runs whose outcome is due for delivery.
    async fn undelivered(&self, now: i64, limit: u32) -> Result<Vec<Undelivered>, StoreError>;

    /// The outcome has been delivered, or is given up.
    async fn delivered(&self, tenant: TenantId, run_id: RunId) -> Result<(), StoreError>;

    /// The outcome could not be delivered: try again then. `refused`: the archive was there and said no.
    async fn postpone(
        &self,
        tenant: TenantId,
        run_id: RunId,
        next_at: i64,
        refused: bool,
    ) -> Result<(), StoreError>;

    /// How much work there is, in all tenants together.
    async fn depth(&self) -> Result<Depth, StoreError>;

    /// Answers when the database does.
    async fn ping(&self) -> Result<(), StoreError>;
}
