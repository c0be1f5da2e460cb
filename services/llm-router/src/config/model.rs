//! One model, its prices and its limits.
use copydesk_types::Price;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::Faults;
use crate::domain::Capabilities;

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

impl ModelConfig {
    pub(super) fn validate(&self, key: &str, faults: &mut Faults) {
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if self.name.is_empty() || self.name.len() > 128 || self.name.contains(blank) {
            faults.push(&format!("{key}.name"), "must have 1 to 128 characters and no blanks");
        }
        let prices = [
            ("input_nanos_per_million", self.input_nanos_per_million),
            ("cached_input_nanos_per_million", self.cached_input_nanos_per_million),
            ("output_nanos_per_million", self.output_nanos_per_million),
        ];
        for (name, _) in prices.iter().filter(|(_, price)| *price < 0) {
            faults.push(&format!("{key}.{name}"), "must be 0 or more");
        }
        for (i, name) in self.capabilities.iter().enumerate() {
            if Capabilities::named(name).is_none() {
                let known = Capabilities::known().join(", ");
                faults.push(&format!("{key}.capabilities[{i}]"), format!("`{name}` is none of {known}"));
            }
        }
        faults.within(&format!("{key}.weight"), self.weight, 0.0, 1_000_000.0);
        faults.within(&format!("{key}.embedding_batch"), self.embedding_batch, 0.0, 2_048.0);
    }
}
