//! What kinds of sources count for an intent.
//!
//! Where the configuration names the intent (`retrieval.intents`), that is used. Else the weights are learned from the
//! judgements of one half of the queries and used for the other half, so that no query is ranked by its own judgement:
//! a kind counts 0.5 and the share of the intent's relevant documents that are of it, 0.5 to 1.5.
use std::collections::BTreeMap;

use copydesk_proto::retrieval::v1::SourceWeight;
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::IntentWeights;

use super::dataset::{Dataset, Query};

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The configuration names all of the set's intents.
    Configured,
    /// From the other half's judgements, for the intents that are not configured.
    Learned,
}

impl Origin {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Configured => "from the configuration",
            Self::Learned => "from the judgements of the other half of the queries",
        }
    }
}

/// The weights for every query of a set with intents.
pub(super) struct Weights {
    pub origin: Origin,
    configured: Vec<String>,
    /// By half and intent.
    learned: [BTreeMap<String, Vec<SourceWeight>>; 2],
    half: BTreeMap<String, usize>,
}

impl Weights {
    /// `None` when the set has no intents or only one kind of source.
    pub(super) fn of(set: &Dataset, intents: &BTreeMap<String, IntentWeights>) -> Option<Self> {
        let kinds = set.kinds();
        let names = set.intents();
        let first = kinds.values().next();
        if names.is_empty() || kinds.values().all(|kind| Some(kind) == first) {
            return None;
        }
        let half: BTreeMap<String, usize> =
            set.queries.iter().enumerate().map(|(at, query)| (query.id.clone(), at % 2)).collect();
        let learned = [0, 1].map(|own| {
            let others =
                set.queries.iter().enumerate().filter(|(at, _)| at % 2 != own).map(|(_, query)| query);
            learned(set, &kinds, others)
        });
        let configured: Vec<String> =
            names.iter().filter(|name| intents.contains_key(**name)).map(|name| (*name).to_owned()).collect();
        let origin = if configured.len() == names.len() { Origin::Configured } else { Origin::Learned };
        Some(Self { origin, configured, learned, half })
    }

    /// What a query's request says: a configured intent's name, or weights.
    pub(super) fn for_query(&self, query: &Query) -> (String, Vec<SourceWeight>) {
        let Some(intent) = &query.intent else { return (String::new(), Vec::new()) };
        if self.configured.contains(intent) {
            return (intent.clone(), Vec::new());
        }
        let half = self.half.get(&query.id).copied().unwrap_or_default();
        (String::new(), self.learned[half].get(intent).cloned().unwrap_or_default())
    }
}

fn learned<'a>(
    set: &Dataset,
    kinds: &BTreeMap<&str, SourceKind>,
    queries: impl Iterator<Item = &'a Query>,
) -> BTreeMap<String, Vec<SourceWeight>> {
    let mut counts: BTreeMap<String, BTreeMap<SourceKind, f64>> = BTreeMap::new();
    for query in queries {
        let Some(intent) = &query.intent else { continue };
        let relevant = set.relevant.get(&query.id).into_iter().flatten();
        for kind in relevant.filter_map(|(document, _)| kinds.get(document.as_str())) {
            *counts.entry(intent.clone()).or_default().entry(*kind).or_default() += 1.0;
        }
    }
    let mut all: Vec<SourceKind> = kinds.values().copied().collect();
    all.sort_unstable();
    all.dedup();
    let weights = |counts: BTreeMap<SourceKind, f64>| {
        let sum: f64 = counts.values().sum();
        let weight = |kind: &SourceKind| SourceWeight {
            source_kind: (*kind).into(),
            weight: 0.5 + counts.get(kind).copied().unwrap_or_default() / sum,
        };
        all.iter().map(weight).collect()
    };
    counts.into_iter().map(|(intent, counts)| (intent, weights(counts))).collect()
}
