//! What the tests of shared limits share.
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use copydesk_llm_router::limits::{Patience, RedisLimits};
use copydesk_llm_router::ports::Clock;
use copydesk_types::Secret;

/// A loaded machine may take its time.
pub const PATIENT: Patience = Patience { limit: Duration::from_secs(3_600), rest: Duration::ZERO };

pub fn redis(url: &str, patience: Patience) -> RedisLimits {
    RedisLimits::new(&Secret::new(url), patience).unwrap()
}

/// Tests share the server, so each has a provider of its own.
pub fn provider() -> String {
    format!("p-{:016x}", RandomState::new().hash_one(0))
}

/// A clock that the test moves.
pub struct Hands(AtomicI64);

impl Default for Hands {
    fn default() -> Self {
        Self(AtomicI64::new(1_700_000_000_000))
    }
}

impl Hands {
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(i64::try_from(ms).unwrap(), Ordering::AcqRel);
    }
}

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }
}
