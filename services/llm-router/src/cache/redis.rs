//! The cache in Redis, shared by all replicas.
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_types::{Secret, TenantId};
use redis::pipe;

use super::watch::Watch;
use super::{Cache, Unreachable, kept};
use crate::adapters::{BadUrl, Patience, Redis};
use crate::domain::CacheKey;
use crate::metrics::Metrics;

/// The most keys in one question.
const BATCH_KEYS: usize = 128;
/// From here on a batch of writes is sent, in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// The keys that Redis looks at in one step of a scan.
const SCAN_KEYS: u32 = 1_000;

/// Keeps values in Redis.
pub struct RedisCache {
    server: Redis,
    watch: Watch,
}

impl RedisCache {
    /// A cache at this address. It connects when it is first asked.
    ///
    /// # Errors
    /// The address is wrong.
    pub fn new(url: &Secret, patience: Patience, metrics: Metrics) -> Result<Self, BadUrl> {
        let server = Redis::new(url, patience, "the cache does not answer; calls go on without it")?;
        Ok(Self { server, watch: Watch::new(metrics) })
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get_many(&self, keys: &[CacheKey]) -> Vec<Option<Bytes>> {
        let mut all = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH_KEYS) {
            let names: Vec<String> = batch.iter().map(CacheKey::to_string).collect();
            match self.server.ask::<(Vec<Option<Bytes>>,)>(pipe().cmd("MGET").arg(names)).await {
                Ok((found,)) if found.len() == batch.len() => {
                    self.watch.looked_up(batch, &found);
                    all.extend(found);
                }
                Ok(_) | Err(_) => {
                    self.watch.failed(batch);
                    all.resize(all.len() + batch.len(), None);
                }
            }
        }
        all
    }

    async fn put_many(&self, entries: Vec<(CacheKey, Bytes)>, ttl: Duration) {
        let mut rest = entries.into_iter().filter(|(_, value)| kept(value, ttl)).peekable();
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        while rest.peek().is_some() {
            let (mut question, mut keys, mut bytes) = (pipe(), Vec::new(), 0);
            while bytes < BATCH_BYTES && keys.len() < BATCH_KEYS {
                let Some((key, value)) = rest.next() else { break };
                question.cmd("SET").arg(key.to_string()).arg(&value[..]).arg("PX").arg(ttl_ms).ignore();
                bytes += value.len();
                keys.push(key);
            }
            if self.server.ask::<()>(&question).await.is_err() {
                self.watch.failed(&keys);
            }
        }
    }

    async fn forget_tenant(&self, tenant: TenantId) -> Result<(), Unreachable> {
        let pattern = format!("{}*", CacheKey::prefix(tenant));
        let mut cursor = 0_u64;
        loop {
            let mut step = pipe();
            step.cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_KEYS);
            let ((next, names),): ((u64, Vec<String>),) =
                self.server.ask(&step).await.map_err(|_| Unreachable)?;
            if !names.is_empty() {
                self.server
                    .ask::<()>(pipe().cmd("UNLINK").arg(names).ignore())
                    .await
                    .map_err(|_| Unreachable)?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}
