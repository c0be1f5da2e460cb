//! A choice of models and its explanation. How it is made: [`super::decide`].
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Capabilities;

/// By what the suitable models are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The task's preferred models first, then the order of the configuration.
    #[default]
    Task,
    /// The cheapest for this request first.
    Cost,
    /// The fastest first.
    Latency,
    /// Drawn at random by weight.
    Weighted,
    /// One score of task preference, cost, latency and error rate.
    Unified,
}

/// What the strategy [`Strategy::Unified`] weighs; each is 0 to 1,000.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Weights {
    /// The place in the task's preference.
    pub preference: f64,
    /// The expected cost.
    pub cost: f64,
    /// The moving average of the latency.
    pub latency: f64,
    /// The moving average of failures.
    pub errors: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { preference: 1.0, cost: 1.0, latency: 0.5, errors: 2.0 }
    }
}

/// How far down the chain a model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The first choice.
    Primary,
    /// Another model of the first choice's provider.
    Alternate,
    /// A model of another provider.
    Fallback,
    /// The offline writer.
    Offline,
}

/// Why a model is or is not in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// In.
    Suitable,
    /// Not named by the chain or the model asked for.
    NotInChain,
    /// Cannot do what the call needs.
    LacksCapability,
    /// Prompt and answer do not fit.
    TooSmall,
    /// The worst case costs more than is left.
    OverBudget,
    /// Its breaker is open.
    BreakerOpen,
    /// It asked us to wait, or its window is full for too long.
    RateLimited,
    /// The request forbids the offline writer.
    OfflineForbidden,
}

/// A choice; [`super::decide`] makes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// By what it was ordered.
    pub strategy: Strategy,
    /// The configured chain; empty: all models.
    pub chain: String,
    /// The chain in its order, then what was left out, in the order of the catalogue.
    pub candidates: Vec<Candidate>,
    /// The version of the price table.
    pub price_version: String,
    /// Counts the accepted configurations, from 1.
    pub catalogue_version: u64,
    /// Estimated tokens of the prompt.
    pub estimated_input_tokens: u64,
}

impl Decision {
    /// The chain: what is to be tried, in this order.
    pub fn chain(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().take_while(|candidate| candidate.verdict == Verdict::Suitable)
    }
}

/// One model in a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its place in the catalogue.
    #[serde(skip)]
    pub index: usize,
    /// `<provider>/<model>`.
    pub model: Arc<str>,
    /// In or out, and why.
    pub verdict: Verdict,
    /// Its tier, when it is in.
    pub tier: Option<Tier>,
    /// What the call costs at most, in nano-dollars.
    pub worst_cost_nanos: i64,
    /// The moving average of its latency; 0 before the first call.
    pub latency_us: u64,
    /// The moving average of its failures, 0 to 1.
    pub error_rate: f64,
    /// What the strategy ordered by, lower first.
    pub score: f64,
    /// What it lacks, where it lacks something.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub lacks: Capabilities,
}

/// How to choose, for one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// By what to order; `None`: the task's configured strategy.
    pub strategy: Option<Strategy>,
    /// A configured chain; `None`: the task's, or all models.
    pub chain: Option<String>,
    /// The most that all attempts together may cost, in nano-dollars; `None`: no limit of its own.
    pub max_cost: Option<i64>,
    /// True: after a broken stream the next model begins anew.
    pub restart: bool,
    /// Whether to hedge; `None`: the task's configured choice.
    pub hedging: Option<bool>,
    /// True: neither take an answer from the cache nor keep one there.
    pub bypass_cache: bool,
    /// True: the offline writer must not answer.
    pub no_offline: bool,
}
