//! What an operator may set for searches.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::source::SourceKind;
use crate::domain::weights::{LEAST, MOST};

/// What kinds of sources count for questions of one intent: a kind's word (`readme`, `issue`, `commit`, …) and its
/// weight, 0.25 to 4. Kinds that are not named count 1.0.
pub type IntentWeights = BTreeMap<String, f64>;

/// Answers that are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueryCache {
    /// How long an answer may be given again while nothing has changed, in seconds, to a day. 0: none is kept.
    pub ttl_seconds: u64,
    /// Memory for answers, in bytes. When it is full, those that were not asked for longest go first.
    pub max_bytes: u64,
}

/// A second look at the best passages, when a search asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rerank {
    /// How long a reranker may take, in milliseconds, 1 to 60,000, and never more than half of the time that the
    /// search has left. After that the answer comes without it and is marked as degraded.
    pub timeout_ms: u64,
}

impl Default for QueryCache {
    fn default() -> Self {
        Self { ttl_seconds: 3_600, max_bytes: 64 * 1024 * 1024 }
    }
}

impl Default for Rerank {
    fn default() -> Self {
        Self { timeout_ms: 3_000 }
    }
}

/// The weights of an intent by kind. Words that are no kinds are left out: [`faults`] has told them.
pub(crate) fn weights(intent: &IntentWeights) -> Vec<(SourceKind, f64)> {
    let kinds = intent.iter().filter_map(|(word, weight)| Some((SourceKind::from_word(word)?, *weight)));
    kinds.collect()
}

/// Every fault as `key: what is wrong`.
pub(crate) fn faults(
    intents: &BTreeMap<String, IntentWeights>,
    cache: &QueryCache,
    rerank: &Rerank,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (intent, weights) in intents {
        if intent.is_empty() || intent.len() > 64 {
            faults.push(format!("intents.{intent}: a name has 1 to 64 bytes"));
        }
        for (word, weight) in weights {
            if SourceKind::from_word(word).is_none() {
                let words: Vec<&str> = SourceKind::ALL.iter().map(|kind| kind.word()).collect();
                faults.push(format!("intents.{intent}.{word}: is none of {}", words.join(", ")));
            }
            if !(LEAST..=MOST).contains(weight) {
                faults.push(format!("intents.{intent}.{word}: must be {LEAST} to {MOST}"));
            }
        }
    }
    if cache.ttl_seconds > 86_400 {
        faults.push("query_cache.ttl_seconds: must be 0 to 86,400".into());
    }
    if !(1..=60_000).contains(&rerank.timeout_ms) {
        faults.push("rerank.timeout_ms: must be 1 to 60,000".into());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_their_keys() {
        let list = |pairs: &[(&str, f64)]| pairs.iter().map(|(word, w)| ((*word).to_owned(), *w)).collect();
        let good = BTreeMap::from([("howto".to_owned(), list(&[("readme", 4.0), ("web_page", 0.25)]))]);
        let cache = QueryCache::default();
        assert_eq!(faults(&good, &cache, &Rerank::default()), Vec::<String>::new());
        assert_eq!(weights(&good["howto"]), [(SourceKind::Readme, 4.0), (SourceKind::WebPage, 0.25)]);
        let bad = BTreeMap::from([("x".to_owned(), list(&[("poem", 1.0), ("issue", 0.2)]))]);
        let cache = QueryCache { ttl_seconds: 86_401, ..cache };
        let found = faults(&bad, &cache, &Rerank { timeout_ms: 0 });
        let keys: Vec<&str> = found.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(
            keys,
            ["intents.x.issue", "intents.x.poem", "query_cache.ttl_seconds", "rerank.timeout_ms"]
        );
    }
}
