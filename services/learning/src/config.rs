//! Settings of the archive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the archive. The defaults need no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The most published texts that a brand's voice is measured on, newest first, 1 to 5,000.
    pub metrics_max_texts: u32,
    /// How many brands' figures are kept in memory, 0 to 100,000; 0 measures anew each time.
    pub metrics_cache_entries: u32,
    /// The most tokens that the lessons found for one text take together, 50 to 10,000.
    pub lesson_tokens: u32,
    /// The most lessons of a brand that are ranked for one text, most recently supported first, 20 to 10,000.
    pub lesson_candidates: u32,
    /// Over how many decided drafts the reviewer's accuracy is measured, 1 to 10,000.
    pub accuracy_window: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            metrics_max_texts: 200,
            metrics_cache_entries: 1_000,
            lesson_tokens: 400,
            lesson_candidates: 1_000,
            accuracy_window: 200,
        }
    }
}

impl Config {
    /// Every fault, as `key: what is wrong`; empty when the settings can be used.
    pub fn validate(&self) -> Vec<String> {
        let ranges = [
            ("metrics_max_texts", self.metrics_max_texts, 1, 5_000),
            ("metrics_cache_entries", self.metrics_cache_entries, 0, 100_000),
            ("lesson_tokens", self.lesson_tokens, 50, 10_000),
            ("lesson_candidates", self.lesson_candidates, 20, 10_000),
            ("accuracy_window", self.accuracy_window, 1, 10_000),
        ];
        let faulty = ranges.into_iter().filter(|(_, value, min, max)| !(min..=max).contains(&value));
        faulty.map(|(key, value, min, max)| format!("{key}: must be {min} to {max}, is {value}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_at_once() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let config = Config { metrics_max_texts: 0, lesson_tokens: 1, ..Config::default() };
        let faults = config.validate();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("metrics_max_texts: "), "{faults:?}");
    }

    #[test]
    fn missing_keys_take_their_defaults() {
        let config: Config = serde_json::from_str(r#"{"lesson_tokens": 300}"#).expect("valid settings");
        assert_eq!(config, Config { lesson_tokens: 300, ..Config::default() });
    }
}
