//! What the operator may set.
use std::collections::BTreeSet;
use std::time::Duration;

use copydesk_types::{Price, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            discovery: true,
            price_version: "2026-11".to_owned(),
            offline_fallback: true,
            answer_retention_h: 24,
        }
    }
}

/// One place that answers, with its models.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProviderConfig {
    /// The name that models carry before the slash: 1 to 32 of `a-z`, `0-9`, `-` and `_`; unique.
    pub name: String,
    /// The protocol it speaks: `openai`, `anthropic`, `ollama`, or `offline`.
    pub kind: String,
    /// Where it listens, `http://…` or `https://…`. Absent: the kind's public address.
    pub base_url: Option<String>,
    /// The key, where one is needed.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<Secret>,
    /// Its models in the order in which they are tried; for `offline` none are needed.
    pub models: Vec<ModelConfig>,
    /// The longest a whole answer may take, in seconds, above 0 to 3,600.
    pub timeout_s: f64,
    /// The longest wait for the first token of a stream, in seconds, above 0 to 3,600.
    pub first_token_timeout_s: f64,
    /// The longest silence between two tokens of a stream, in seconds, above 0 to 3,600.
    pub idle_timeout_s: f64,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: String::new(),
            base_url: None,
            api_key: None,
            models: Vec::new(),
            timeout_s: 120.0,
            first_token_timeout_s: 30.0,
            idle_timeout_s: 30.0,
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
}

impl ModelConfig {
    /// The prices as one value.
    pub fn price(&self) -> Price {
        Price {
            input: self.input_nanos_per_million,
            cached_input: self.cached_input_nanos_per_million,
            output: self.output_nanos_per_million,
        }
    }
}

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
