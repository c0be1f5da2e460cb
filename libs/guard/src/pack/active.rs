//! Packs that have proven themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::check::check;
use super::document::{Pack, Vector};
use super::matcher::{Fill, Rule};
use crate::report::Source;

/// A pack that may be applied.
#[derive(Debug)]
pub struct ActivePack {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) title: String,
    pub(super) hash: String,
    pub(super) rules: Vec<Rule>,
}

impl ActivePack {
    /// The pack's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pack's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The pack's title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// [`Pack::content_hash`] of what it was made from.
    pub fn content_hash(&self) -> &str {
        &self.hash
    }

    fn new(pack: &Pack, fill: Fill) -> Self {
        Self {
            id: pack.id.clone(),
            version: pack.version.clone(),
            title: pack.title.clone(),
            hash: pack.content_hash(),
            rules: pack.rules.iter().map(|rule| Rule::new(rule, &pack.lists, fill)).collect(),
        }
    }
}

/// A vector that came out otherwise than it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedVector {
    /// Its place in the pack, from 0.
    pub index: usize,
    /// Rules that should have fired and did not.
    pub missing: Vec<String>,
    /// Rules that fired and should not have.
    pub unexpected: Vec<String>,
}

/// Why a pack may not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedVectors {
    /// Vectors that came out otherwise.
    pub failed: Vec<FailedVector>,
    /// Rules that no vector makes fire.
    pub unproven: Vec<String>,
}

impl std::fmt::Display for FailedVectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        for vector in &self.failed {
            let mut part = format!("vectors[{}]:", vector.index);
            for (word, rules) in [("not fired", &vector.missing), ("fired", &vector.unexpected)] {
                if !rules.is_empty() {
                    part.push_str(&format!(" {word}: {}", rules.join(", ")));
                }
            }
            parts.push(part);
        }
        if !self.unproven.is_empty() {
            parts.push(format!("no vector makes these rules fire: {}", self.unproven.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

impl std::error::Error for FailedVectors {}

impl Pack {
    /// Proves the pack by its vectors and makes it ready.
    pub fn activate(&self) -> Result<ActivePack, FailedVectors> {
        let trial = ActivePack::new(self, Fill::WithSample);
        let mut fired: BTreeSet<String> = BTreeSet::new();
        let mut failed = Vec::new();
        for (index, vector) in self.vectors.iter().enumerate() {
            let got = outcome(&trial, &self.with_samples(vector));
            let expected: BTreeSet<String> = vector.expect.iter().cloned().collect();
            let missing: Vec<String> = expected.difference(&got).cloned().collect();
            let unexpected: Vec<String> = got.difference(&expected).cloned().collect();
            if !missing.is_empty() || !unexpected.is_empty() {
                failed.push(FailedVector { index, missing, unexpected });
            }
            fired.extend(got);
        }
        let unproven: Vec<String> =
            self.rules.iter().map(|rule| rule.id.clone()).filter(|id| !fired.contains(id)).collect();
        if failed.is_empty() && unproven.is_empty() {
            Ok(ActivePack::new(self, Fill::Items))
        } else {
            Err(FailedVectors { failed, unproven })
        }
    }

    fn with_samples(&self, vector: &Vector) -> Vector {
        let samples: BTreeMap<String, &str> =
            self.lists.iter().map(|(name, list)| (format!("{{{name}}}"), list.sample.as_str())).collect();
        let fill = |text: &String| {
            samples.iter().fold(text.clone(), |text, (name, sample)| text.replace(name, sample))
        };
        Vector {
            text: fill(&vector.text),
            scope: vector.scope,
            expect: vector.expect.clone(),
            sources: vector.sources.iter().map(fill).collect(),
        }
    }
}

/// Ids of the rules that fire or ask.
fn outcome(pack: &ActivePack, vector: &Vector) -> BTreeSet<String> {
    let sources: Vec<Source<'_>> = vector.sources.iter().map(|text| Source { id: "", text }).collect();
    let found = check(&[pack], vector.scope, &vector.text, &sources);
    found.hits.into_iter().map(|hit| hit.rule).chain(found.questions.into_iter().map(|q| q.rule)).collect()
}
