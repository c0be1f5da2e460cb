//! Where rule packs are kept.
use std::collections::BTreeMap;

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::TenantId;

/// Items by the name of the list that they fill.
pub type Lists = BTreeMap<String, Vec<String>>;

/// A stored version of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPack {
    /// The pack's id.
    pub id: String,
    /// Its version, never empty.
    pub version: String,
    /// For people.
    pub title: String,
    /// SHA-256, in hexadecimal digits.
    pub hash: String,
    /// TOML or JSON.
    pub document: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
}

/// What a tenant chose for a pack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The version that holds; empty for the built-in one.
    pub version: String,
    /// True when none holds.
    pub is_off: bool,
    /// What its lists hold.
    pub lists: Lists,
}

/// The rows of rule packs.
#[async_trait]
pub trait PackStore: Send + Sync {
    /// Stores a version; the one that stands under this id and version, which is another one when it was there before.
    async fn add_pack(&self, tenant: TenantId, pack: &StoredPack) -> Result<StoredPack, StoreError>;

    /// A version.
    async fn pack(&self, tenant: TenantId, id: &str, version: &str)
    -> Result<Option<StoredPack>, StoreError>;

    /// All versions, by id and time.
    async fn packs(&self, tenant: TenantId) -> Result<Vec<StoredPack>, StoreError>;

    /// What the tenant chose, by id.
    async fn choices(&self, tenant: TenantId) -> Result<BTreeMap<String, Choice>, StoreError>;

    /// Chooses.
    async fn choose(&self, tenant: TenantId, id: &str, choice: &Choice, now: i64) -> Result<(), StoreError>;

    /// How many versions the tenant has.
    async fn count_packs(&self, tenant: TenantId) -> Result<u64, StoreError>;
}
