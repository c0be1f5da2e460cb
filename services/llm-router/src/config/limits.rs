//! Limits and times: breaker, retries, cache, ledger, budgets.
use copydesk_types::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::Faults;

/// When a model is left out for a while.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BreakerConfig {
    /// Failures in the window that open it, 1 to 1,000.
    pub failures: u32,
    /// The share of calls in the window that must have failed too, 0 to 1.
    pub failure_ratio: f64,
    /// The window in seconds, 1 to 3,600.
    pub window_s: u32,
    /// How long it stays open before one call may try, in seconds, 1 to 3,600.
    pub open_s: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, failure_ratio: 0.6, window_s: 60, open_s: 60 }
    }
}

/// When a failed call is repeated.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetryConfig {
    /// How often the whole chain is gone through at most, 1 to 10; 1: no call is repeated.
    pub rounds: u32,
    /// The longest wait before the second round, in milliseconds, 1 to 60,000; it doubles with each round. The wait is
    /// drawn at random between 0 and this.
    pub base_ms: u32,
    /// The longest wait before any round, in milliseconds, 1 to 600,000. A provider that asks for more is not waited for.
    pub longest_ms: u32,
    /// Repeated calls per first call, shared by all calls to a provider, 0 to 1.
    pub budget_ratio: f64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { rounds: 3, base_ms: 200, longest_ms: 10_000, budget_ratio: 0.2 }
    }
}

/// The cache of answers and vectors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CacheConfig {
    /// How long an answer given at temperature 0 may be given again, in seconds, 0 to 604,800; 0: never.
    pub ttl_s: u32,
    /// How long vectors are kept, in seconds, 0 to 31,536,000; 0: never.
    pub embedding_ttl_s: u32,
    /// The most that is kept in memory, in MiB, 1 to 65,536.
    pub memory_mib: u32,
    /// `redis://…`: kept there instead, shared by all replicas, and with it the limits of providers. When it does not
    /// answer, calls go on without a cache, and each replica keeps to the limits by itself.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_url: Option<Secret>,
    /// How long a call waits for the shared limits' answer, in milliseconds, 10 to 60,000. Without one, the limits are
    /// those of each replica: a call to a model is worth more patience than a look into the cache.
    pub limits_wait_ms: u32,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { ttl_s: 3_600, embedding_ttl_s: 86_400, memory_mib: 64, redis_url: None, limits_wait_ms: 250 }
    }
}

/// The queue in front of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LedgerConfig {
    /// The most that may wait for the database, in MiB, 1 to 65,536. When it is full, calls are refused rather than
    /// forgotten.
    pub queue_mib: u32,
    /// How long records wait so that many are brought to the disk at once, in milliseconds, 1 to 60,000. For the database
    /// they wait ten times as long, at most five seconds, unless somebody reads the ledger or the queue fills up.
    pub flush_ms: u32,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { queue_mib: 64, flush_ms: 100 }
    }
}

/// How budgets are shared between replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BudgetConfig {
    /// The part of a budget that a replica takes at once, 0.001 to 1. What a call needs is taken even if it is more.
    pub slice_ratio: f64,
    /// How long a replica may spend what it took without renewing it, in seconds, 60 to 86,400. What a lost replica held
    /// is given back after this.
    pub lease_s: u32,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { slice_ratio: 0.05, lease_s: 900 }
    }
}

impl BreakerConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.within("breaker.failures", self.failures, 1.0, 1_000.0);
        faults.within("breaker.failure_ratio", self.failure_ratio, 0.0, 1.0);
        faults.within("breaker.window_s", self.window_s, 1.0, 3_600.0);
        faults.within("breaker.open_s", self.open_s, 1.0, 3_600.0);
    }
}

impl RetryConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.within("retry.rounds", self.rounds, 1.0, 10.0);
        faults.within("retry.base_ms", self.base_ms, 1.0, 60_000.0);
        faults.within("retry.longest_ms", self.longest_ms, 1.0, 600_000.0);
        faults.within("retry.budget_ratio", self.budget_ratio, 0.0, 1.0);
    }
}

impl CacheConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.within("cache.ttl_s", self.ttl_s, 0.0, 604_800.0);
        faults.within("cache.embedding_ttl_s", self.embedding_ttl_s, 0.0, 31_536_000.0);
        faults.within("cache.memory_mib", self.memory_mib, 1.0, 65_536.0);
        faults.within("cache.limits_wait_ms", self.limits_wait_ms, 10.0, 60_000.0);
        // The URL may hold a password: it is never shown.
        if let Some(url) = &self.redis_url
            && !url::Url::parse(url.expose()).is_ok_and(|url| url.scheme() == "redis" && url.has_host())
        {
            faults.push("cache.redis_url", "must be a redis:// address");
        }
    }
}

impl LedgerConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.within("ledger.queue_mib", self.queue_mib, 1.0, 65_536.0);
        faults.within("ledger.flush_ms", self.flush_ms, 1.0, 60_000.0);
    }
}

impl BudgetConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.within("budget.slice_ratio", self.slice_ratio, 0.001, 1.0);
        faults.within("budget.lease_s", self.lease_s, 60.0, 86_400.0);
    }
}
