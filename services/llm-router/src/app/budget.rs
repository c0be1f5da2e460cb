//! Budgets: what may be spent.
use copydesk_types::TenantId;

use super::Desk;
use crate::domain::{BudgetKey, Limits, Standing};
use crate::error::Error;
use crate::ports::SetBudget;

/// A page of budgets.
pub struct BudgetPage {
    /// By subject kind, subject and period.
    pub standings: Vec<Standing>,
    /// Where the next page begins, if there is one.
    pub next: Option<BudgetKey>,
}

impl Desk {
    /// How a budget stands. A caller finds all calls that it has made in it.
    ///
    /// # Errors
    /// There is none, the store failed, or the ledger is behind.
    #[tracing::instrument(name = "llm_router.get_budget", skip_all)]
    pub async fn budget(&self, tenant: TenantId, key: &BudgetKey) -> Result<Standing, Error> {
        self.ledger.flushed().await?;
        let standing = self.budgets.get(tenant, key).await?;
        standing.ok_or_else(|| Error::NoBudget { key: key.to_string() })
    }

    /// How at most `size` budgets after `after` stand.
    ///
    /// # Errors
    /// The store failed, or the ledger is behind.
    #[tracing::instrument(name = "llm_router.list_budgets", skip_all, fields(copydesk.page_size = size))]
    pub async fn list_budgets(
        &self,
        tenant: TenantId,
        after: Option<&BudgetKey>,
        size: u32,
    ) -> Result<BudgetPage, Error> {
        self.ledger.flushed().await?;
        let mut standings = self.budgets.list(tenant, after, size.saturating_add(1)).await?;
        let more = standings.len() > size as usize;
        standings.truncate(size as usize);
        let next = standings.last().filter(|_| more).map(|last| last.budget.key.clone());
        Ok(BudgetPage { standings, next })
    }

    /// Makes, changes or (without limits) removes a budget; how it stands then, `None` when it was removed.
    ///
    /// # Errors
    /// Another budget than `etag` says is there, the store failed, or the ledger is behind.
    #[tracing::instrument(name = "llm_router.set_budget", skip_all)]
    pub async fn set_budget(
        &self,
        tenant: TenantId,
        key: &BudgetKey,
        limits: Option<Limits>,
        etag: &str,
    ) -> Result<Option<Standing>, Error> {
        // A new budget begins with what was spent: all of it must be in the ledger.
        self.ledger.flushed().await?;
        match self.budgets.set(tenant, key, limits, etag).await? {
            SetBudget::Set(_) => Ok(self.budgets.get(tenant, key).await?),
            SetBudget::Removed => Ok(None),
            SetBudget::Changed => Err(Error::BudgetChanged),
        }
    }
}
