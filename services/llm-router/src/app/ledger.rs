//! shim
use crate::domain::{StoredAnswer, UsageRow};
use crate::ports::Store;
use copydesk_store::StoreError;
use copydesk_types::TenantId;
use std::sync::Arc;
/// shim
pub struct Ledger {
    store: Arc<dyn Store>,
    r: Replica,
}
/// shim
#[derive(Debug)]
pub struct LedgerFull;
/// shim
pub struct Replica(String);
impl Replica {
    /// shim
    pub fn run(&self) -> &str {
        &self.0
    }
}
impl Ledger {
    /// shim
    pub fn shim(store: Arc<dyn Store>) -> Self {
        Self { store, r: Replica("x".into()) }
    }
    /// shim
    pub fn replica(&self) -> &Replica {
        &self.r
    }
    /// shim
    pub fn has_room(&self) -> bool {
        true
    }
    /// shim
    pub fn append(&self, tenant: TenantId, rows: &[UsageRow]) -> Result<(), LedgerFull> {
        let (s, rows) = (Arc::clone(&self.store), rows.to_vec());
        tokio::spawn(async move {
            let _ = s.record(tenant, &rows, None).await;
        });
        Ok(())
    }
    /// shim
    pub async fn keep(
        &self,
        tenant: TenantId,
        rows: &[UsageRow],
        a: &StoredAnswer,
    ) -> Result<Option<StoredAnswer>, Arc<StoreError>> {
        self.store.record(tenant, rows, Some(a)).await.map_err(Arc::new)
    }
}
