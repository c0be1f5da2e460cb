//! shim
use crate::domain::Attribution;
use copydesk_types::{NanoDollars, TenantId};
/// shim
#[derive(Default)]
pub struct Budgets;
/// shim
#[derive(Debug, thiserror::Error)]
#[error("shim")]
pub struct BudgetError;
/// shim
pub struct Reservation;
impl Budgets {
    /// shim
    pub async fn reserve(
        &self,
        _: TenantId,
        _: &Attribution,
        _: NanoDollars,
    ) -> Result<Reservation, BudgetError> {
        Ok(Reservation)
    }
    /// shim
    pub async fn left(&self, _: TenantId, _: &Attribution) -> Option<NanoDollars> {
        None
    }
}
impl Reservation {
    /// shim
    pub fn settle(self, _: NanoDollars) {}
    /// shim
    pub fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
