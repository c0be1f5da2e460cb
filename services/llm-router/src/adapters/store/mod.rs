//! The store over SQLite or PostgreSQL.
mod answers;
mod breakdown;
mod budgets;
mod claims;
mod leases;
mod reclaim;
mod usage;

use std::time::Duration;

use async_trait::async_trait;
use copydesk_store::{Database, Dialect, StoreError};
use copydesk_types::{NanoDollars, TenantId};

use crate::domain::{
    Budget, BudgetKey, CostBreakdown, Dimension, Entry, Limits, Standing, StoredAnswer, UsageCursor,
    UsageFilter, UsageRow, Window,
};
use crate::ports::{BudgetStore, Claim, LeaseAsk, Leased, SetBudget, Store};

/// This service's tables.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Answers, ledger and budgets in a database.
#[derive(Clone)]
pub struct DatabaseStore {
    database: Database,
}

impl DatabaseStore {
    /// Over an open, migrated database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Store for DatabaseStore {
    async fn answer(
        &self,
        tenant: TenantId,
        request_id: &str,
        now_ms: i64,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        answers::find(&self.database, tenant, request_id, now_ms).await
    }

    async fn keep(
        &self,
        entries: &[Entry],
        answers: &[(usize, StoredAnswer)],
    ) -> Result<Vec<Option<StoredAnswer>>, StoreError> {
        let mut tx = self.database.begin().await?;
        usage::add(&mut tx, entries).await?;
        let earlier = answers::keep(&mut tx, entries, answers).await?;
        tx.commit().await?;
        Ok(earlier)
    }

    async fn usage(
        &self,
        tenant: TenantId,
        filter: &UsageFilter,
        before: UsageCursor,
        limit: u32,
    ) -> Result<Vec<UsageRow>, StoreError> {
        usage::page(&self.database, tenant, filter, before, limit).await
    }

    async fn total(&self, tenant: TenantId, filter: &UsageFilter) -> Result<NanoDollars, StoreError> {
        usage::total(&self.database, tenant, filter).await
    }

    async fn breakdown(
        &self,
        tenant: TenantId,
        by: &[Dimension],
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<CostBreakdown, StoreError> {
        breakdown::breakdown(&self.database, tenant, by, from_ms, to_ms, limit).await
    }

    async fn forget(&self, now_ms: i64) -> Result<u64, StoreError> {
        answers::forget(&self.database, now_ms).await
    }

    fn claims_needed(&self) -> bool {
        // A SQLite file belongs to one process, and calls within it join each other.
        self.database.dialect() == Dialect::Postgres
    }

    async fn claim(
        &self,
        tenant: TenantId,
        request_id: &str,
        fingerprint: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Claim, StoreError> {
        claims::claim(&self.database, tenant, request_id, fingerprint, owner, ttl).await
    }

    async fn renew_claim(
        &self,
        tenant: TenantId,
        request_id: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        claims::renew(&self.database, tenant, request_id, owner, ttl).await
    }

    async fn release_claim(&self, tenant: TenantId, request_id: &str, owner: &str) -> Result<(), StoreError> {
        claims::release(&self.database, tenant, request_id, owner).await
    }
}

#[async_trait]
impl BudgetStore for DatabaseStore {
    async fn budgets(&self, tenant: TenantId) -> Result<(i64, Vec<Budget>), StoreError> {
        budgets::of_tenant(&self.database, tenant).await
    }

    async fn budget_changes(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>, StoreError> {
        budgets::changes(&self.database, tenants).await
    }

    async fn set_budget(
        &self,
        tenant: TenantId,
        key: &BudgetKey,
        limits: Option<Limits>,
        etag: &str,
        id: &str,
    ) -> Result<SetBudget, StoreError> {
        budgets::set(&self.database, tenant, key, limits, etag, id).await
    }

    async fn standing(
        &self,
        tenant: TenantId,
        key: &BudgetKey,
        at_ms: i64,
    ) -> Result<Option<Standing>, StoreError> {
        budgets::standing(&self.database, tenant, key, at_ms).await
    }

    async fn standings(
        &self,
        tenant: TenantId,
        after: Option<&BudgetKey>,
        at_ms: i64,
        limit: u32,
    ) -> Result<Vec<Standing>, StoreError> {
        budgets::standings(&self.database, tenant, after, at_ms, limit).await
    }

    async fn lease(&self, ask: &LeaseAsk<'_>) -> Result<Option<Leased>, StoreError> {
        leases::lease(&self.database, ask).await
    }

    async fn pass_soft(&self, budget: &str, window: Window) -> Result<bool, StoreError> {
        leases::pass_soft(&self.database, budget, window).await
    }

    async fn reclaim_lost(&self, after: Duration) -> Result<u64, StoreError> {
        reclaim::lost(&self.database, after).await
    }

    async fn reclaim_own(&self, id: &str, run: &str) -> Result<u64, StoreError> {
        reclaim::own(&self.database, id, run).await
    }
}

fn unreadable(column: &str) -> StoreError {
    StoreError::Decode {
        column: column.to_owned(),
        reason: "does not hold what this service wrote".to_owned(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2)
}
