//! One place that answers.
use std::path::PathBuf;

use copydesk_types::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ModelConfig;
use super::validate::Faults;
use crate::providers;

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

impl ProviderConfig {
    /// True for the offline writer.
    pub(super) fn is_offline(&self) -> bool {
        providers::entry(&self.kind).is_some_and(|entry| entry.offline)
    }

    pub(super) fn validate(&self, key: &str, faults: &mut Faults) {
        let at = |name: &str| format!("{key}.{name}");
        let shaped = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(shaped) {
            faults.push(&at("name"), "must be 1 to 32 of a-z, 0-9, - and _");
        }
        match providers::entry(&self.kind) {
            None => faults.push(&at("kind"), format!("must be one of {}", providers::kinds().join(", "))),
            Some(entry) if !entry.offline && self.models.is_empty() => {
                faults.push(&at("models"), "must name at least one model");
            }
            Some(_) => {}
        }
        if let Some(url) = &self.base_url
            && !url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
        {
            faults.push(&at("base_url"), "must be an http:// or https:// address");
        }
        let keys = [self.api_key.is_some(), self.api_key_env.is_some(), self.api_key_file.is_some()];
        if keys.into_iter().filter(|set| *set).count() > 1 {
            faults.push(&at("api_key"), "only one of api_key, api_key_env and api_key_file can be set");
        }
        self.validate_limits(key, faults);
        for (i, model) in self.models.iter().enumerate() {
            let key = format!("{key}.models[{i}]");
            if self.models[..i].iter().any(|other| other.name == model.name) {
                faults.push(&format!("{key}.name"), "another model of this provider has this name");
            }
            model.validate(&key, faults);
        }
    }

    fn validate_limits(&self, key: &str, faults: &mut Faults) {
        let times = [
            ("timeout_s", self.timeout_s),
            ("first_token_timeout_s", self.first_token_timeout_s),
            ("idle_timeout_s", self.idle_timeout_s),
        ];
        for (name, seconds) in times {
            if !(seconds > 0.0 && seconds <= 3_600.0) {
                faults.push(&format!("{key}.{name}"), "must be above 0 and at most 3,600");
            }
        }
        faults.within(&format!("{key}.max_concurrency"), self.max_concurrency, 0.0, 100_000.0);
        faults.within(&format!("{key}.queue_ms"), self.queue_ms, 0.0, 600_000.0);
    }
}
