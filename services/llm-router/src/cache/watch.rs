//! What the cache did: counted always.
use crate::domain::CacheKey;
use crate::metrics::{CacheResult, Metrics};

pub(super) struct Watch {
    metrics: Metrics,
}

impl Watch {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Counts what was found, key by key.
    pub(super) fn looked_up<T>(&self, keys: &[CacheKey], found: &[Option<T>]) {
        for (key, value) in keys.iter().zip(found) {
            let result = if value.is_some() { CacheResult::Hit } else { CacheResult::Miss };
            self.metrics.cache(key.kind(), result);
        }
    }

    /// Counts keys that could not be looked up or written.
    pub(super) fn failed<'a>(&self, keys: impl IntoIterator<Item = &'a CacheKey>) {
        for key in keys {
            self.metrics.cache(key.kind(), CacheResult::Error);
        }
    }
}
