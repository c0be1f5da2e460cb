//! What the gateway's desk needs from the outside.
use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{KeyId, Scopes, TenantId};

/// A stored tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRecord {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// A stored key. Its secret is not in it: only the hash is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
}

/// Tenants and keys. Every method is one transaction.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Adds a tenant and its first key. `Conflict` when the name is taken: nothing is stored then.
    async fn add_tenant(
        &self,
        tenant: &TenantRecord,
        key: &KeyRecord,
        secret_hash: &[u8],
    ) -> Result<(), StoreError>;
    /// The tenant with this id.
    async fn tenant(&self, id: TenantId) -> Result<Option<TenantRecord>, StoreError>;
    /// The tenant with this name.
    async fn tenant_by_name(&self, name: &str) -> Result<Option<TenantRecord>, StoreError>;
    /// Up to `limit` tenants with ids below `before`, newest first.
    async fn tenants(&self, before: Option<&str>, limit: u32) -> Result<Vec<TenantRecord>, StoreError>;
    /// Adds a key.
    async fn add_key(&self, key: &KeyRecord, secret_hash: &[u8]) -> Result<(), StoreError>;
    /// The key with this secret, revoked or not.
    async fn key_by_secret(&self, secret_hash: &[u8]) -> Result<Option<KeyRecord>, StoreError>;
    /// Up to `limit` keys of the tenant with ids below `before`, newest first.
    async fn keys(
        &self,
        tenant: TenantId,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<KeyRecord>, StoreError>;
    /// Revokes a key of the tenant, once; returns it as it is after. `None` when there is no such key.
    async fn revoke_key(
        &self,
        tenant: TenantId,
        id: KeyId,
        now_ms: i64,
    ) -> Result<Option<KeyRecord>, StoreError>;
    /// Is the database there?
    async fn ping(&self) -> Result<(), StoreError>;
}
