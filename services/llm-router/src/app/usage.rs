//! A page of the ledger.
use copydesk_types::{NanoDollars, TenantId};

use super::Desk;
use crate::domain::{UsageCursor, UsageFilter, UsageRow};
use crate::error::Error;

/// A page of the ledger.
pub struct UsagePage {
    /// Newest first.
    pub rows: Vec<UsageRow>,
    /// Where the next page begins, if there is one.
    pub next: Option<UsageCursor>,
    /// The cost of all records that match, not of this page only.
    pub total: NanoDollars,
}

impl Desk {
    /// At most `size` records that match and are older than `before`. A caller finds all calls that it has made.
    ///
    /// # Errors
    /// The store failed, or the ledger is behind.
    #[tracing::instrument(name = "llm_router.list_usage", skip_all, fields(copydesk.page_size = size))]
    pub async fn list_usage(
        &self,
        tenant: TenantId,
        filter: &UsageFilter,
        before: UsageCursor,
        size: u32,
    ) -> Result<UsagePage, Error> {
        self.ledger.flushed().await?;
        let mut rows = self.store.usage(tenant, filter, before, size.saturating_add(1)).await?;
        let total = self.store.total(tenant, filter).await?;
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = rows.last().filter(|_| more).map(|row| UsageCursor { time_ms: row.time_ms, id: row.id });
        Ok(UsagePage { rows, next, total })
    }
}
