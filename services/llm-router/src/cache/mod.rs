//! The cache of answers and vectors: a port, and what keeps it.
//!
//! A cache never fails a call: what goes wrong is a miss, counted and logged at most once a minute.
mod memory;
mod redis;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_types::TenantId;

use crate::config::CacheConfig;
use crate::domain::CacheKey;
use crate::error::Error;
use crate::metrics::Metrics;

pub use memory::MemoryCache;
pub use redis::RedisCache;

pub use crate::adapters::{BadUrl, Patience};

/// The largest value that is kept, in bytes; larger ones are passed over.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// Keeps values for a while. Everything may be gone at any time.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The values that are there, in the order of the keys; each key is counted as a hit, a miss or an error.
    async fn get_many(&self, keys: &[CacheKey]) -> Vec<Option<Bytes>>;

    /// Keeps values for this long, in place of what is there. Those above [`MAX_VALUE_BYTES`], and all of them when the
    /// time is below a millisecond, are passed over.
    async fn put_many(&self, entries: Vec<(CacheKey, Bytes)>, ttl: Duration);

    /// Removes everything of a tenant that was there when the call began.
    ///
    /// # Errors
    /// The cache could not be reached, so something may still be there.
    async fn forget_tenant(&self, tenant: TenantId) -> Result<(), Unreachable>;

    /// One value, if it is there.
    async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        self.get_many(std::slice::from_ref(key)).await.pop().flatten()
    }

    /// Keeps one value, as [`Cache::put_many`] does.
    async fn put(&self, key: CacheKey, value: Bytes, ttl: Duration) {
        self.put_many(vec![(key, value)], ttl).await;
    }
}

/// The cache did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cache cannot be reached")]
pub struct Unreachable;

/// The cache that the settings ask for. Nothing is connected yet.
///
/// # Errors
/// The address of Redis is wrong.
pub fn build(config: &CacheConfig, metrics: Metrics) -> Result<Arc<dyn Cache>, Error> {
    Ok(match &config.redis_url {
        None => Arc::new(MemoryCache::new(u64::from(config.memory_mib) << 20, metrics)),
        Some(url) => {
            let cache = RedisCache::new(url, Patience::default(), metrics);
            Arc::new(cache.map_err(|error| Error::Config(vec![format!("cache.redis_url: {error}")]))?)
        }
    })
}

/// Whether a value is kept at all.
fn kept(value: &Bytes, ttl: Duration) -> bool {
    value.len() <= MAX_VALUE_BYTES && ttl.as_millis() > 0
}
