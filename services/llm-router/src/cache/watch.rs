//! What the cache did: counted always, and told the operator once a minute when it fails.
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::CacheKey;
use crate::metrics::{CacheResult, Metrics};

/// The least time between two warnings.
const QUIET: Duration = Duration::from_secs(60);

pub(super) struct Watch {
    metrics: Metrics,
    warned: Mutex<Option<Instant>>,
}

impl Watch {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, warned: Mutex::new(None) }
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

    /// Tells the operator, unless that was done within the last minute.
    pub(super) fn warn(&self, why: &str) {
        if self.may_warn(Instant::now()) {
            tracing::warn!(why, "the cache does not answer; calls go on without it");
        }
    }

    fn may_warn(&self, now: Instant) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = warned.is_some_and(|at| now.duration_since(at) < QUIET);
        if !quiet {
            *warned = Some(now);
        }
        !quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_once_a_minute() {
        let watch = Watch::new(Metrics::new(&opentelemetry::global::meter("test")));
        let start = Instant::now();
        let at = |seconds| watch.may_warn(start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(1), at(59), at(60), at(61), at(200)], [true, false, false, true, false, true]);
    }
}
