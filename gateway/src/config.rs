//! The gateway's settings.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `gateway` in the configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Calls a minute for one key, by class of method.
    pub rate_limits: RateLimits,
    /// Continue the trace that a client names in `traceparent`. Off, a trace begins at the gateway.
    pub trust_client_trace: bool,
    /// Calls in flight for all tenants together, watches apart.
    pub max_calls: usize,
    /// Calls in flight for one tenant, watches apart.
    pub max_calls_per_tenant: usize,
}

/// Calls a minute for one key; a burst of the same size is let through at once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RateLimits {
    /// Reads and watches.
    pub read: u32,
    /// Small writes.
    pub write: u32,
    /// Calls that start model work.
    pub generate: u32,
    /// Uploads.
    pub ingest: u32,
    /// Tenants and keys.
    pub admin: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rate_limits: RateLimits::default(),
            trust_client_trace: false,
            max_calls: 1_024,
            max_calls_per_tenant: 256,
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { read: 6_000, write: 600, generate: 10, ingest: 60, admin: 60 }
    }
}

impl Config {
    /// Every fault, as `key: what is wrong`.
    pub fn validate(&self) -> Vec<String> {
        let rates = &self.rate_limits;
        let positive = [
            ("rate_limits.read", rates.read as usize),
            ("rate_limits.write", rates.write as usize),
            ("rate_limits.generate", rates.generate as usize),
            ("rate_limits.ingest", rates.ingest as usize),
            ("rate_limits.admin", rates.admin as usize),
            ("max_calls", self.max_calls),
            ("max_calls_per_tenant", self.max_calls_per_tenant),
        ];
        positive
            .iter()
            .filter(|(_, value)| *value == 0)
            .map(|(key, _)| format!("{key}: must be at least 1"))
            .collect()
    }
}
