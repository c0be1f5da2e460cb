//! Where the money went.
use copydesk_types::TenantId;

use super::Desk;
use crate::domain::{CostBreakdown, Dimension};
use crate::error::Error;

/// The most groups of one answer.
const MOST: u32 = 1_000;

/// What is looked at when no beginning is given: 30 days.
const USUAL_MS: i64 = 30 * 86_400_000;

impl Desk {
    /// The ledger from a time to before another, summed by some dimensions. Without an end it is now; without a
    /// beginning it is 30 days before the end. A caller finds all calls that it has made.
    ///
    /// # Errors
    /// The store failed, or the ledger is behind.
    #[tracing::instrument(name = "llm_router.cost_breakdown", skip_all)]
    pub async fn cost_breakdown(
        &self,
        tenant: TenantId,
        by: &[Dimension],
        from_ms: Option<i64>,
        to_ms: Option<i64>,
    ) -> Result<CostBreakdown, Error> {
        self.ledger.flushed().await?;
        // A call that ends in this millisecond is one that the caller has made.
        let to = to_ms.unwrap_or_else(|| self.clock.now_ms().saturating_add(1));
        let from = from_ms.unwrap_or_else(|| to.saturating_sub(USUAL_MS));
        Ok(self.store.breakdown(tenant, by, from, to, MOST).await?)
    }
}
