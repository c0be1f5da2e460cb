//! What the operator may set. [`Config::validate`] finds every fault at once; keys that stand elsewhere are fetched by
//! [`resolve_keys`]. Not here: where settings come from (the program's), and what they are turned into (`app`).
use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Strategy, Weights};

mod keys;
mod limits;
mod model;
mod provider;
mod task;
#[cfg(test)]
mod tests;
mod validate;

pub use keys::resolve_keys;
pub use limits::{BreakerConfig, BudgetConfig, CacheConfig, LedgerConfig, RetryConfig};
pub use model::ModelConfig;
pub use provider::ProviderConfig;
pub use task::{TASKS, TaskConfig};

/// Settings of the llm-router.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The providers in the order in which they are tried, and in each its models in theirs. Empty: the offline
    /// writer answers alone.
    pub providers: Vec<ProviderConfig>,
    /// When no provider is configured, take those whose keys are in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY,
    /// GROQ_API_KEY, CEREBRAS_API_KEY, DEEPSEEK_API_KEY, GEMINI_API_KEY or GOOGLE_API_KEY), else a local Ollama. The
    /// program looks for them before it builds the service.
    pub discovery: bool,
    /// The version of the price table, written beside every cost.
    pub price_version: String,
    /// Whether the offline writer answers, as the last resort, when every provider has failed.
    pub offline_fallback: bool,
    /// How long answers are kept for calls repeated with the same `request_id`, in hours, 1 to 8,760.
    pub answer_retention_h: u32,
    /// How models are chosen where the task says nothing.
    pub strategy: Strategy,
    /// What the strategy `unified` weighs, each 0 to 1,000.
    pub weights: Weights,
    /// Settings by task: `qualification`, `research`, `strategy`, `draft`, `review`, `revise`, `finish`,
    /// `simple_parsing`, or `default` for calls without a task.
    pub tasks: BTreeMap<String, TaskConfig>,
    /// Named chains of models, `<provider>/<model>`, in the order in which they are tried; each has at least one, and none
    /// twice. A task or a request names one; only its models are tried then, so one that shall end with the offline
    /// writer names it too: `offline/extractive`.
    pub chains: BTreeMap<String, Vec<String>>,
    /// When a model is left out for a while.
    pub breaker: BreakerConfig,
    /// When a failed call is repeated.
    pub retry: RetryConfig,
    /// The cache of answers and vectors.
    pub cache: CacheConfig,
    /// The queue in front of the ledger.
    pub ledger: LedgerConfig,
    /// How budgets are shared between replicas.
    pub budget: BudgetConfig,
    /// Seconds between active checks of providers, 0 to 3,600; 0: only when asked by ListProviders.
    pub health_interval_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            discovery: true,
            price_version: "2026-11".to_owned(),
            offline_fallback: true,
            answer_retention_h: 24,
            strategy: Strategy::default(),
            weights: Weights::default(),
            tasks: BTreeMap::new(),
            chains: BTreeMap::new(),
            breaker: BreakerConfig::default(),
            retry: RetryConfig::default(),
            cache: CacheConfig::default(),
            ledger: LedgerConfig::default(),
            budget: BudgetConfig::default(),
            health_interval_s: 0,
        }
    }
}

impl Config {
    /// How long answers are kept.
    pub fn answer_retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.answer_retention_h) * 3_600)
    }

    /// The name of the provider that is added for the offline writer; `None` when it is switched off, or configured
    /// like any other.
    pub fn writer(&self) -> Option<&'static str> {
        let placed = self.providers.iter().any(ProviderConfig::is_offline);
        let taken = self.providers.iter().any(|provider| provider.name == "offline");
        let name = if taken { "offline-writer" } else { "offline" };
        Some(name).filter(|_| self.offline_fallback && !placed)
    }
}
