//! What the desk needs from outside: a place to keep things, the time, and somebody to hand a stream to.
use std::time::Duration;

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{NanoDollars, TenantId};

use crate::domain::{
    Budget, BudgetKey, CostBreakdown, Dimension, Entry, Limits, Outcome, Standing, StoredAnswer, ToolCall,
    UsageCursor, UsageFilter, UsageRow, Window,
};

/// Keeps answers and the ledger. Every call sees the rows of one tenant only, but for [`Store::forget`] and what is
/// written for several at once.
#[async_trait]
pub trait Store: Send + Sync {
    /// The answer kept under this key that has not expired by `now_ms`, if there is one.
    async fn answer(
        &self,
        tenant: TenantId,
        request_id: &str,
        now_ms: i64,
    ) -> Result<Option<StoredAnswer>, StoreError>;

    /// Writes records and answers, each answer with the index of its entry, in one transaction. Records that are
    /// already there are left as they are. Where an unexpired answer with the same key is there, it stays, and is
    /// returned in its place; the records are written all the same, because the money is spent. A claim gives way to
    /// an answer, whoever made it. No two answers may have the same tenant and id.
    async fn keep(
        &self,
        entries: &[Entry],
        answers: &[(usize, StoredAnswer)],
    ) -> Result<Vec<Option<StoredAnswer>>, StoreError>;

    /// At most `limit` records that match and are older than `before`, newest first.
    async fn usage(
        &self,
        tenant: TenantId,
        filter: &UsageFilter,
        before: UsageCursor,
        limit: u32,
    ) -> Result<Vec<UsageRow>, StoreError>;

    /// The cost of all records that match.
    async fn total(&self, tenant: TenantId, filter: &UsageFilter) -> Result<NanoDollars, StoreError>;

    /// The records that ended from `from_ms` on and before `to_ms`, summed by these dimensions; `limit` groups at most.
    async fn breakdown(
        &self,
        tenant: TenantId,
        by: &[Dimension],
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<CostBreakdown, StoreError>;

    /// Deletes the answers of all tenants that have expired by `now_ms`; how many they were.
    async fn forget(&self, now_ms: i64) -> Result<u64, StoreError>;

    /// True when other processes may answer the same id, so that it must be claimed first.
    fn claims_needed(&self) -> bool;

    /// Claims an id for `owner` until `ttl` from now, by the database's clock. An expired claim, and one of the same
    /// owner, is taken over.
    async fn claim(
        &self,
        tenant: TenantId,
        request_id: &str,
        fingerprint: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Claim, StoreError>;

    /// Holds a claim until `ttl` from now; false when it is another's by now, or answered.
    async fn renew_claim(
        &self,
        tenant: TenantId,
        request_id: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<bool, StoreError>;

    /// Gives a claim up. One that is another's, or answered, is left alone.
    async fn release_claim(&self, tenant: TenantId, request_id: &str, owner: &str) -> Result<(), StoreError>;
}

/// How a claim of an id ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// The claimer makes the call.
    Mine,
    /// Somebody else makes it, for a request with this fingerprint.
    Taken {
        /// What "the same body" means.
        fingerprint: String,
    },
    /// It was made.
    Answered(Box<StoredAnswer>),
}

/// Keeps budgets and what replicas hold of them.
#[async_trait]
pub trait BudgetStore: Send + Sync {
    /// All budgets of a tenant, and the number of changes made to them so far.
    async fn budgets(&self, tenant: TenantId) -> Result<(i64, Vec<Budget>), StoreError>;

    /// The number of changes made to the budgets of these tenants so far; those without any are left out.
    async fn budget_changes(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>, StoreError>;

    /// Makes, changes or (without limits) removes a budget. `etag` is empty or that of the budget that must be there;
    /// `id` names the budget if it is made.
    async fn set_budget(
        &self,
        tenant: TenantId,
        key: &BudgetKey,
        limits: Option<Limits>,
        etag: &str,
        id: &str,
    ) -> Result<SetBudget, StoreError>;

    /// How a budget stands at a time.
    async fn standing(
        &self,
        tenant: TenantId,
        key: &BudgetKey,
        at_ms: i64,
    ) -> Result<Option<Standing>, StoreError>;

    /// How at most `limit` budgets after `after` stand at a time, by subject kind, subject and period.
    async fn standings(
        &self,
        tenant: TenantId,
        after: Option<&BudgetKey>,
        at_ms: i64,
        limit: u32,
    ) -> Result<Vec<Standing>, StoreError>;

    /// Renews a lease, gives back what it no longer wants, and asks for more, in one transaction. `None`: the budget is
    /// gone.
    async fn lease(&self, ask: &LeaseAsk<'_>) -> Result<Option<Leased>, StoreError>;

    /// Notes that the soft limit of a window was passed; true for the first who says so.
    async fn pass_soft(&self, budget: &str, window: Window) -> Result<bool, StoreError>;

    /// Takes back what replicas hold that have not renewed for `after`: their leases shrink to what they said or the
    /// ledger says was spent. How many there were.
    async fn reclaim_lost(&self, after: Duration) -> Result<u64, StoreError>;

    /// Ends the leases that earlier runs of the replica `id` left behind, all but those of `run`: what the ledger says
    /// they spent stays spent. To be called when all their records are in the ledger. How many there were.
    async fn reclaim_own(&self, id: &str, run: &str) -> Result<u64, StoreError>;
}

/// What a change of a budget came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetBudget {
    /// The budget as it now is.
    Set(Budget),
    /// There is none now.
    Removed,
    /// Another `etag` is there, or none.
    Changed,
}

/// What a replica says to the store about its lease on a window.
#[derive(Debug, Clone, Copy)]
pub struct LeaseAsk<'a> {
    /// The budget.
    pub budget: &'a str,
    /// The window.
    pub window: Window,
    /// The run of the router that holds the lease.
    pub replica: &'a str,
    /// What it wants to hold of what it has.
    pub target: i64,
    /// What it spent so far.
    pub spent: i64,
    /// What it spent and what its running calls may cost.
    pub committed: i64,
    /// What it lacks; 0: nothing.
    pub need: i64,
    /// The part of the limit that it would rather have, 0 to 1.
    pub ratio: f64,
}

/// A lease after the store has heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    /// What the replica holds now.
    pub granted: i64,
    /// True when it got what it lacked.
    pub enough: bool,
    /// What all replicas hold of the window together, and what was spent in it before anybody held any.
    pub granted_to_all: i64,
    /// What was spent in the window outside this lease, as far as it is known.
    pub spent_elsewhere: i64,
    /// The numbers of the budget at this moment.
    pub limits: Limits,
}

/// The time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

/// Takes the events of a stream, in order.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Hands over the next event; waits while the reader is behind.
    ///
    /// # Errors
    /// The reader has gone.
    async fn event(&self, event: StreamEvent) -> Result<(), Gone>;
}

/// What comes before the end of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent {
    /// More text, never empty.
    Text(String),
    /// More of what the model thinks aloud, never empty.
    Reasoning(String),
    /// A whole tool call.
    ToolCall(ToolCall),
    /// The answer broke off, and another model begins anew.
    Restarted {
        /// Whose answer broke off, `<provider>/<model>`.
        model: String,
        /// How.
        outcome: Outcome,
    },
}

/// Nobody reads any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader has gone")]
pub struct Gone;
