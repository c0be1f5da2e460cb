//! Budgets as their owners see and set them.
use copydesk_store::StoreError;
use copydesk_types::{TenantId, UsageId};

use super::Budgets;
use crate::domain::{BudgetKey, Limits, Standing};
use crate::ports::SetBudget;

impl Budgets {
    /// How a budget stands now. `None`: there is none.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(&self, tenant: TenantId, key: &BudgetKey) -> Result<Option<Standing>, StoreError> {
        self.store.standing(tenant, key, self.clock.now_ms()).await
    }

    /// How at most `size` budgets after `after` stand now, by subject kind, subject and period.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(
        &self,
        tenant: TenantId,
        after: Option<&BudgetKey>,
        size: u32,
    ) -> Result<Vec<Standing>, StoreError> {
        self.store.standings(tenant, after, self.clock.now_ms(), size).await
    }

    /// Makes, changes or (without limits) removes a budget. It is in force here when this returns, and at the other
    /// replicas seconds later.
    ///
    /// # Errors
    /// The store failed; the change may have been made all the same.
    pub async fn set(
        &self,
        tenant: TenantId,
        key: &BudgetKey,
        limits: Option<Limits>,
        etag: &str,
    ) -> Result<SetBudget, StoreError> {
        let id = format!("{:032x}", UsageId::generate().as_u128());
        let done = self.store.set_budget(tenant, key, limits, etag, &id).await?;
        let lines = self.load(tenant).await?;
        let line = lines.all().find(|line| line.terms().key == *key);
        if let Some(line) = line {
            // What was spent in the window so far counts from now on, and what is held beyond a lower limit goes back.
            let held = line.held(self.clock.now_ms());
            let keep = held.wanted();
            self.renew(&held, keep).await?;
        }
        Ok(done)
    }
}
