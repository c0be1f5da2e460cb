//! The cache in memory: of this process only, bounded in bytes.
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_types::TenantId;
use moka::Expiry;
use moka::policy::EvictionPolicy;

use super::watch::Watch;
use super::{Cache, Unreachable, kept};
use crate::domain::CacheKey;
use crate::metrics::Metrics;

/// What an entry costs beside its value: its key, twice, and the bookkeeping.
const OVERHEAD_BYTES: usize = 256;

/// Keeps values in memory. The least recently used go when it is full.
pub struct MemoryCache {
    entries: moka::sync::Cache<CacheKey, Entry>,
    watch: Watch,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    ttl: Duration,
}

impl MemoryCache {
    /// A cache of at most this many bytes.
    pub fn new(bytes: u64, metrics: Metrics) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, entry: &Entry| {
                u32::try_from(entry.value.len().saturating_add(OVERHEAD_BYTES)).unwrap_or(u32::MAX)
            })
            // Admission by frequency would refuse a new answer while the cache is full of older, more popular ones.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(OwnTime)
            .build();
        Self { entries, watch: Watch::new(metrics) }
    }
}

/// Every entry has its own time, counted from when it was last written.
struct OwnTime;

impl Expiry<CacheKey, Entry> for OwnTime {
    fn expire_after_create(&self, _key: &CacheKey, entry: &Entry, _at: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _key: &CacheKey,
        entry: &Entry,
        _at: Instant,
        _left: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get_many(&self, keys: &[CacheKey]) -> Vec<Option<Bytes>> {
        let found: Vec<_> = keys.iter().map(|key| self.entries.get(key).map(|entry| entry.value)).collect();
        self.watch.looked_up(keys, &found);
        found
    }

    async fn put_many(&self, entries: Vec<(CacheKey, Bytes)>, ttl: Duration) {
        for (key, value) in entries.into_iter().filter(|(_, value)| kept(value, ttl)) {
            self.entries.insert(key, Entry { value, ttl });
        }
    }

    async fn forget_tenant(&self, tenant: TenantId) -> Result<(), Unreachable> {
        // One by one: the crate's own removal by a condition misses entries that were written a moment ago.
        for (key, _) in self.entries.iter().filter(|(key, _)| key.tenant() == tenant) {
            self.entries.invalidate(&*key);
        }
        Ok(())
    }
}
