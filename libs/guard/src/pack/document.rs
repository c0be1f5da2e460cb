//! What a pack says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fold::Fold;

/// Whose text a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// What a user asks or comments.
    Input,
    /// A document or a passage that is read as evidence.
    Source,
    /// What is to be published.
    Output,
}

/// What a hit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A person should look.
    Warn,
    /// The words are replaced before the text goes on.
    Redact,
    /// The text must not go on.
    Block,
}

/// A pack as it was written: read, but not proven yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pack {
    /// Lower-case letters, digits and hyphens, at most 64.
    pub id: String,
    /// Free text such as `3` or `2026-11`, at most 64 characters.
    pub version: String,
    /// For people.
    pub title: String,
    /// Lists that rules name as `{list}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<String, List>,
    /// In the order of the document.
    pub rules: Vec<RuleDoc>,
    /// The texts that prove the rules.
    pub vectors: Vec<Vector>,
}

impl Pack {
    /// SHA-256 over the pack in canonical form (JSON, fields in fixed order, defaults filled in), in hexadecimal: the same
    /// for TOML and JSON, whatever the blanks and comments.
    pub fn content_hash(&self) -> String {
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same pack with other items in its lists; names that it does not have are returned.
    pub fn with_lists(mut self, items: BTreeMap<String, Vec<String>>) -> Result<Self, Vec<String>> {
        let mut unknown = Vec::new();
        for (name, items) in items {
            match self.lists.get_mut(&name) {
                Some(list) => list.items = items,
                None => unknown.push(name),
            }
        }
        if unknown.is_empty() { Ok(self) } else { Err(unknown) }
    }
}

/// A list that a tenant may fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What it holds; a rule whose list is empty never fires.
    #[serde(default)]
    pub items: Vec<String>,
    /// Stands for an item in the pack's own vectors.
    pub sample: String,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleDoc {
    /// Lower-case letters, digits and hyphens, unique in the pack.
    pub id: String,
    /// What it means for the text.
    pub severity: Severity,
    /// Where it applies; at least one.
    pub scope: Vec<Scope>,
    /// What is wrong, for people; never repeats the text.
    pub message: String,
    /// What stands in for redacted words; `{entity}` is the kind of personal data.
    pub replacement: String,
    /// How spelling is evened out before the rule looks.
    pub fold: Fold,
    /// A hit is none when a source has the same words, number or address.
    pub unless_in_sources: bool,
    /// Patterns one of which, anywhere in the text, excuses all of it.
    pub unless: Vec<String>,
    /// How it finds.
    #[serde(flatten)]
    pub kind: Kind,
}

/// How a rule finds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Patterns of the `regex` crate over the folded (so lower-cased) text; group 1, if there is one, is the hit.
    Regex {
        /// At least one.
        patterns: Vec<String>,
    },
    /// Words and rows of words.
    Words {
        /// Literal words or rows of words, found between word boundaries.
        terms: Vec<String>,
        /// Rows in the notation `one|other`, `begin*`, `#` (a word with a digit), `..` (up to three words).
        phrases: Vec<String>,
        /// Whether terms stand for all their English forms.
        stems: bool,
    },
    /// Numbers with a value.
    Number {
        /// What is counted.
        of: NumberOf,
        /// Only this currency, for money.
        #[serde(skip_serializing_if = "Option::is_none")]
        currency: Option<Money>,
        /// Only above this.
        #[serde(skip_serializing_if = "Option::is_none")]
        above: Option<f64>,
        /// Only below this.
        #[serde(skip_serializing_if = "Option::is_none")]
        below: Option<f64>,
        /// Only in a sentence with one of these words.
        near: Vec<String>,
    },
    /// Something that the crate knows how to find.
    Classifier {
        /// What.
        classifier: Classifier,
        /// Only these kinds of personal data; all when empty.
        entities: Vec<String>,
        /// Most that is fine, for those that count.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// Least probability, 0 to 1, for those that weigh.
        #[serde(skip_serializing_if = "Option::is_none")]
        threshold: Option<f64>,
    },
    /// A question that only a judge can answer; it is reported, not answered.
    Judge {
        /// Answered with yes when the rule is broken.
        question: String,
        /// Asked only when one of these patterns is in the text; always when empty.
        when: Vec<String>,
    },
}

/// What a number rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberOf {
    /// `45 %`, `45 percent`.
    Percent,
    /// `$5`, `1.2 million euros`.
    Money,
    /// `3x`, `three times`.
    Times,
    /// Durations up to weeks, in seconds.
    Seconds,
    /// Numbers without a unit.
    Plain,
}

/// Currencies that numbers are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Money {
    Usd,
    Eur,
    Gbp,
    Jpy,
    Inr,
}

impl Money {
    pub(super) fn sign(self) -> char {
        match self {
            Self::Usd => '$',
            Self::Eur => '€',
            Self::Gbp => '£',
            Self::Jpy => '¥',
            Self::Inr => '₹',
        }
    }
}

/// What the crate knows how to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Classifier {
    /// A text that wants a model to leave its task ([`crate::inject`]); the hit is the whole text.
    Injection,
    /// Lines that speak to a model instead of a reader ([`crate::contain::suspicious_lines`]).
    ImperativeLine,
    /// Personal data with a form ([`crate::pii`]).
    Pii,
    /// Keys, tokens, passwords ([`crate::secrets`]).
    Secret,
    /// Links that no source has.
    UnknownLink,
    /// Words that claim to be first or best.
    Superlative,
    /// More hashtags than the limit.
    Hashtags,
    /// A row of at least `limit` words in capitals.
    Capitals,
    /// More emoji than the limit.
    Emoji,
}

/// A text and the rules that must fire on it, no more and no less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// The text; `{list}` stands for the sample of a list.
    pub text: String,
    /// Which rules look.
    pub scope: Scope,
    /// Ids of the rules that fire or ask; none for a text that is fine.
    #[serde(default)]
    pub expect: Vec<String>,
    /// What the sources say.
    #[serde(default)]
    pub sources: Vec<String>,
}
