//! Runs in SQLite or PostgreSQL: one portable SQL text for both.
//!
//! Locks are always taken in the order lane, run, task, so that no two transactions wait for each other.
mod calls;
mod claims;
mod guard;
mod outbox;
mod packs;
mod rows;
mod runs;
mod settle;

use async_trait::async_trait;
use copydesk_store::{Database, StoreError};
use copydesk_types::{RunId, TenantId};

use crate::domain::output::Finished;
use crate::domain::run::{Ending, NewRun, Recorded, Run, Step, Usage};
use crate::domain::step::StepKey;
use crate::ports::{
    Call, Claim, ClaimOrder, Completion, Created, Decide, Depth, Failure, ListFilter, RunStore, Settled,
    Undelivered,
};

/// The store over a database that has this crate's migrations.
#[derive(Debug, Clone)]
pub struct SqlStore {
    db: Database,
}

impl SqlStore {
    /// Over an open database.
    pub fn new(db: Database) -> Self {
        Self { db }
    }
}

#[async_trait]
impl RunStore for SqlStore {
    async fn create(&self, run: &NewRun, steps: &[StepKey], now: i64) -> Result<Created, StoreError> {
        runs::create(&self.db, run, steps, now).await
    }

    async fn by_request(&self, tenant: TenantId, request_id: &str) -> Result<Option<Run>, StoreError> {
        runs::by_request(&self.db, tenant, request_id).await
    }

    async fn get(&self, tenant: TenantId, run_id: RunId) -> Result<Option<Run>, StoreError> {
        runs::get(&self.db, tenant, run_id).await
    }

    async fn steps(&self, tenant: TenantId, run_id: RunId) -> Result<Vec<Step>, StoreError> {
        runs::steps(&self.db, tenant, run_id).await
    }

    async fn list(&self, tenant: TenantId, filter: &ListFilter) -> Result<Vec<Run>, StoreError> {
        runs::list(&self.db, tenant, filter).await
    }

    async fn events(
        &self,
        tenant: TenantId,
        run_id: RunId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        runs::events(&self.db, tenant, run_id, after, limit).await
    }

    async fn claim(&self, order: &ClaimOrder, now: i64) -> Result<Vec<Claim>, StoreError> {
        claims::claim(&self.db, order, now).await
    }

    async fn finished(&self, tenant: TenantId, run_id: RunId) -> Result<Finished, StoreError> {
        runs::finished(&self.db, tenant, run_id).await
    }

    async fn complete(&self, done: &Completion, decide: Decide<'_>, now: i64) -> Result<Settled, StoreError> {
        settle::complete(&self.db, done, decide, now).await
    }

    async fn fail(&self, failure: &Failure, now: i64) -> Result<Settled, StoreError> {
        settle::fail(&self.db, failure, now).await
    }

    async fn end(
        &self,
        tenant: TenantId,
        run_id: RunId,
        ending: Ending,
        now: i64,
    ) -> Result<Option<(Run, bool)>, StoreError> {
        settle::end(&self.db, tenant, run_id, ending, now).await
    }

    async fn overdue(&self, now: i64, limit: u32) -> Result<Vec<(TenantId, RunId)>, StoreError> {
        runs::overdue(&self.db, now, limit).await
    }

    async fn heartbeat(&self, owner: &str, lease_until: i64) -> Result<(), StoreError> {
        claims::heartbeat(&self.db, owner, lease_until).await
    }

    async fn held(&self, owner: &str) -> Result<Vec<Claim>, StoreError> {
        claims::held(&self.db, owner).await
    }

    async fn expired(&self, now: i64, limit: u32) -> Result<Vec<Claim>, StoreError> {
        claims::expired(&self.db, now, limit).await
    }

    async fn expire_leases(&self) -> Result<u64, StoreError> {
        claims::expire_leases(&self.db).await
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), StoreError> {
        claims::release(&self.db, claims).await
    }

    async fn recall(&self, call: &Call<'_>) -> Result<Option<String>, StoreError> {
        calls::recall(&self.db, call).await
    }

    async fn remember(
        &self,
        call: &Call<'_>,
        output: &str,
        cost_nanos: i64,
        usage: Usage,
        now: i64,
    ) -> Result<(), StoreError> {
        calls::remember(&self.db, call, output, cost_nanos, usage, now).await
    }

    async fn undelivered(&self, now: i64, limit: u32) -> Result<Vec<Undelivered>, StoreError> {
        outbox::undelivered(&self.db, now, limit).await
    }

    async fn delivered(&self, tenant: TenantId, run_id: RunId) -> Result<(), StoreError> {
        outbox::delivered(&self.db, tenant, run_id).await
    }

    async fn postpone(
        &self,
        tenant: TenantId,
        run_id: RunId,
        next_at: i64,
        refused: bool,
    ) -> Result<(), StoreError> {
        outbox::postpone(&self.db, tenant, run_id, next_at, refused).await
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        outbox::depth(&self.db).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.db.ping().await
    }
}
