//! What the operator may set.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use copydesk_proto::llm_router::v1::Task;
use copydesk_types::{Price, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Capabilities, Strategy, Weights};
use crate::providers;

/// Settings of the llm-router.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The providers in the order in which they are tried, and in each its models in theirs. Empty: the offline
    /// writer answers alone.
    pub providers: Vec<ProviderConfig>,
    /// When no provider is configured, take those whose keys are in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY,
    /// GROQ_API_KEY), else a local Ollama. The program looks for them before it builds the service.
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
    /// Named chains of models, `<provider>/<model>`, in the order in which they are tried. A task or a request names one.
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

/// Settings of one task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskConfig {
    /// The models to prefer, `<provider>/<model>`, best first. The others come after them.
    pub prefer: Vec<String>,
    /// The only models to use: the name of a chain. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// How to choose. Absent: as the router does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Whether a second model is asked when the first is slower than the 95th percentile of its latency.
    pub hedge: bool,
}

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
    /// `redis://…`: kept there instead, shared by all replicas. When it does not answer, calls go on without a cache.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_url: Option<Secret>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { ttl_s: 3_600, embedding_ttl_s: 86_400, memory_mib: 64, redis_url: None }
    }
}

/// The queue in front of the ledger.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LedgerConfig {
    /// The most that may wait for the database, in MiB, 1 to 65,536. When it is full, calls are refused rather than
    /// forgotten.
    pub queue_mib: u32,
    /// How long records wait so that many are written at once, in milliseconds, 1 to 60,000.
    pub flush_ms: u32,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { queue_mib: 64, flush_ms: 100 }
    }
}

/// How budgets are shared between replicas.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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

/// One place that answers, with its models.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProviderConfig {
    /// The name that models carry before the slash: 1 to 32 of `a-z`, `0-9`, `-` and `_`; unique.
    pub name: String,
    /// The protocol it speaks, or a well-known place that speaks one: `copydesk config check` names them all.
    pub kind: String,
    /// Where it listens, `http://…` or `https://…`. Absent: the kind's public address.
    pub base_url: Option<String>,
    /// The key, where one is needed.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<Secret>,
    /// The environment variable that holds the key, instead of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file that holds the key, instead of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Its models in the order in which they are tried; for `offline` none are needed.
    pub models: Vec<ModelConfig>,
    /// The longest a whole answer may take, in seconds, above 0 to 3,600.
    pub timeout_s: f64,
    /// The longest wait for the first token of a stream, in seconds, above 0 to 3,600.
    pub first_token_timeout_s: f64,
    /// The longest silence between two tokens of a stream, in seconds, above 0 to 3,600.
    pub idle_timeout_s: f64,
    /// The most calls under way at once, 0 to 100,000; 0: no limit.
    pub max_concurrency: u32,
    /// The most calls in any minute; 0: no limit.
    pub requests_per_minute: u32,
    /// The most tokens in any minute, prompt and answer together; 0: no limit.
    pub tokens_per_minute: u32,
    /// How long a call may wait for a place, in milliseconds, 0 to 600,000; then the next model is tried.
    pub queue_ms: u32,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: String::new(),
            base_url: None,
            api_key: None,
            api_key_env: None,
            api_key_file: None,
            models: Vec::new(),
            timeout_s: 120.0,
            first_token_timeout_s: 30.0,
            idle_timeout_s: 30.0,
            max_concurrency: 0,
            requests_per_minute: 0,
            tokens_per_minute: 0,
            queue_ms: 5_000,
        }
    }
}

/// One model and its prices.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelConfig {
    /// The provider's own name for it, 1 to 128 characters without blanks; unique within the provider.
    pub name: String,
    /// Price of a million input tokens, in nano-dollars, 0 or more.
    pub input_nanos_per_million: i64,
    /// Price of a million input tokens taken from the provider's cache, in nano-dollars, 0 or more.
    pub cached_input_nanos_per_million: i64,
    /// Price of a million output tokens, in nano-dollars, 0 or more.
    pub output_nanos_per_million: i64,
    /// The size of its context window in tokens; 0 when unknown.
    pub context_tokens: u32,
    /// The most tokens that it writes; 0 when unknown.
    pub max_output_tokens: u32,
    /// What it can do: of `chat`, `tools`, `images`, `json_schema`, `embed`, `rerank`. Empty: what its provider's kind
    /// usually can.
    pub capabilities: Vec<String>,
    /// Its share of calls under the strategy `weighted`, 0 to 1,000,000; 0 counts as 1.
    pub weight: f64,
    /// The dimensions of its vectors; 0: not checked.
    pub embedding_dimensions: u32,
    /// The most texts in one call for vectors, 0 to 2,048; 0: 96.
    pub embedding_batch: u32,
}

impl ModelConfig {
    /// What it can do; unknown names are faults of [`Config::validate`].
    pub fn capabilities(&self, of_kind: Capabilities) -> Capabilities {
        if self.capabilities.is_empty() {
            return of_kind;
        }
        let named = self.capabilities.iter().filter_map(|name| Capabilities::named(name));
        named.fold(Capabilities::NONE, |set, one| set | one)
    }

    /// The prices as one value.
    pub fn price(&self) -> Price {
        Price {
            input: self.input_nanos_per_million,
            cached_input: self.cached_input_nanos_per_million,
            output: self.output_nanos_per_million,
        }
    }
}

/// The names by which tasks are configured, and the tasks that they mean.
pub const TASKS: [(&str, Task); 9] = [
    ("default", Task::Unspecified),
    ("qualification", Task::Qualification),
    ("research", Task::Research),
    ("strategy", Task::Strategy),
    ("draft", Task::Draft),
    ("review", Task::Review),
    ("revise", Task::Revise),
    ("finish", Task::Finish),
    ("simple_parsing", Task::SimpleParsing),
];

impl Config {
    /// Every fault at once, each as `key: what is wrong`. Empty: the settings are good.
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut names = BTreeSet::new();
        for (i, provider) in self.providers.iter().enumerate() {
            let key = format!("providers[{i}]");
            if !names.insert(provider.name.as_str()) {
                faults.push(format!("{key}.name: another provider has this name"));
            }
            provider.validate(&key, &mut faults);
        }
        if self.providers.is_empty() && !self.offline_fallback {
            faults.push(
                "providers: nobody can answer without a provider and without offline_fallback".to_owned(),
            );
        }
        if self.price_version.is_empty() || self.price_version.len() > 64 {
            faults.push("price_version: must have 1 to 64 characters".to_owned());
        }
        if !(1..=8_760).contains(&self.answer_retention_h) {
            faults.push("answer_retention_h: must be 1 to 8,760".to_owned());
        }
        faults.extend(crate::cache::faults(&self.cache));
        faults
    }

    /// How long answers are kept.
    pub fn answer_retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.answer_retention_h) * 3_600)
    }
}

impl ProviderConfig {
    fn validate(&self, key: &str, faults: &mut Vec<String>) {
        let shaped = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(shaped) {
            faults.push(format!("{key}.name: must be 1 to 32 of a-z, 0-9, - and _"));
        }
        match providers::entry(&self.kind) {
            None => faults.push(format!("{key}.kind: must be one of {}", providers::kinds().join(", "))),
            Some(entry) if !entry.offline && self.models.is_empty() => {
                faults.push(format!("{key}.models: must name at least one model"));
            }
            Some(_) => {}
        }
        if let Some(url) = &self.base_url
            && !reqwest::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
        {
            faults.push(format!("{key}.base_url: must be an http:// or https:// address"));
        }
        let limits = [
            ("timeout_s", self.timeout_s),
            ("first_token_timeout_s", self.first_token_timeout_s),
            ("idle_timeout_s", self.idle_timeout_s),
        ];
        for (name, seconds) in limits {
            if !(seconds > 0.0 && seconds <= 3_600.0) {
                faults.push(format!("{key}.{name}: must be above 0 and at most 3,600"));
            }
        }
        let mut names = BTreeSet::new();
        for (i, model) in self.models.iter().enumerate() {
            let key = format!("{key}.models[{i}]");
            if !names.insert(model.name.as_str()) {
                faults.push(format!("{key}.name: another model of this provider has this name"));
            }
            model.validate(&key, faults);
        }
    }
}

impl ModelConfig {
    fn validate(&self, key: &str, faults: &mut Vec<String>) {
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if self.name.is_empty() || self.name.len() > 128 || self.name.contains(blank) {
            faults.push(format!("{key}.name: must have 1 to 128 characters and no blanks"));
        }
        let prices = [
            ("input_nanos_per_million", self.input_nanos_per_million),
            ("cached_input_nanos_per_million", self.cached_input_nanos_per_million),
            ("output_nanos_per_million", self.output_nanos_per_million),
        ];
        for (name, price) in prices {
            if price < 0 {
                faults.push(format!("{key}.{name}: must be 0 or more"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_good_and_faults_come_together() {
        assert!(Config::default().validate().is_empty());
        let model =
            ModelConfig { name: "a b".into(), output_nanos_per_million: -1, ..ModelConfig::default() };
        let bad = ProviderConfig {
            name: "Open AI".into(),
            kind: "telepathy".into(),
            base_url: Some("ftp://x".into()),
            models: vec![model],
            timeout_s: 0.0,
            idle_timeout_s: f64::NAN,
            ..ProviderConfig::default()
        };
        let config = Config {
            providers: vec![bad.clone(), bad],
            price_version: String::new(),
            answer_retention_h: 0,
            ..Config::default()
        };
        let faults = config.validate();
        for key in [
            "providers[0].name:",
            "providers[0].kind:",
            "providers[0].base_url:",
            "providers[0].timeout_s:",
            "providers[0].idle_timeout_s:",
            "providers[0].models[0].name:",
            "providers[0].models[0].output_nanos_per_million:",
            "providers[1].name: another",
            "price_version:",
            "answer_retention_h:",
        ] {
            assert!(faults.iter().any(|f| f.starts_with(key)), "{key} is missing in {faults:?}");
        }
    }

    #[test]
    fn somebody_must_be_able_to_answer() {
        let config = Config { offline_fallback: false, ..Config::default() };
        assert_eq!(config.validate().len(), 1);
    }

    #[test]
    fn keys_never_show() {
        let provider = ProviderConfig { api_key: Some(Secret::new("s3cret")), ..ProviderConfig::default() };
        let shown = format!("{provider:?} {}", serde_json::to_string(&provider).unwrap());
        assert!(!shown.contains("s3cret") && shown.contains("***"));
    }
}
