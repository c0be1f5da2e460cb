use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use copydesk_store::StoreError;
use futures_util::future::join_all;

use super::*;
use crate::adapters::SystemClock;
use crate::domain::{Budget, BudgetKey, Limits, Standing, Window};
use crate::ports::{Leased, SetBudget};

/// Counts how often a tenant's budgets are read; nothing else is asked here.
#[derive(Default)]
struct Counting(AtomicU32);

#[async_trait]
impl BudgetStore for Counting {
    async fn budgets(&self, _: TenantId) -> Result<(i64, Vec<Budget>), StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok((0, Vec::new()))
    }

    async fn budget_changes(&self, _: &[TenantId]) -> Result<Vec<(TenantId, i64)>, StoreError> {
        unreachable!()
    }

    async fn set_budget(
        &self,
        _: TenantId,
        _: &BudgetKey,
        _: Option<Limits>,
        _: &str,
        _: &str,
    ) -> Result<SetBudget, StoreError> {
        unreachable!()
    }

    async fn standing(&self, _: TenantId, _: &BudgetKey, _: i64) -> Result<Option<Standing>, StoreError> {
        unreachable!()
    }

    async fn standings(
        &self,
        _: TenantId,
        _: Option<&BudgetKey>,
        _: i64,
        _: u32,
    ) -> Result<Vec<Standing>, StoreError> {
        unreachable!()
    }

    async fn lease(&self, _: &LeaseAsk<'_>) -> Result<Option<Leased>, StoreError> {
        unreachable!()
    }

    async fn pass_soft(&self, _: &str, _: Window) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn reclaim_lost(&self, _: Duration) -> Result<u64, StoreError> {
        unreachable!()
    }

    async fn reclaim_own(&self, _: &str, _: &str) -> Result<u64, StoreError> {
        unreachable!()
    }
}

#[tokio::test]
async fn a_thousand_calls_right_after_a_start_read_a_tenants_budgets_once() {
    let dir = tempfile::tempdir().unwrap();
    let replica = Replica::open(dir.path()).unwrap();
    let (store, clock) = (Arc::new(Counting::default()), Arc::new(SystemClock));
    let metrics = Metrics::new(&opentelemetry::global::meter("test"));
    let budgets = Budgets::new(store.clone(), clock, &replica, &BudgetConfig::default(), metrics);
    let whose = Attribution::default();
    let call = |n: u128| budgets.reserve(TenantId::from_u128(n % 2), &whose, 0, NanoDollars(1));
    assert!(join_all((0..1_000).map(call)).await.iter().all(Result::is_ok));
    assert_eq!(store.0.load(Ordering::SeqCst), 2);
}
