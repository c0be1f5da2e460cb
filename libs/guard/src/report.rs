//! What goes in and what comes out of a check.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::model::Weights;

/// Names the rules and weights that made a report; changes whenever a verdict could.
pub const GUARD_VERSION: &str = "deterministic-3";

/// One passage that a text may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Source<'a> {
    /// The caller's id of the passage; comes back in [`Evidence::source_id`].
    pub id: &'a str,
    /// The passage itself; evidence spans count its bytes.
    pub text: &'a str,
}

/// What the sources say about one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The evidence says so too.
    Supported,
    /// The evidence says otherwise.
    Contradicted,
    /// No source says so.
    Unsupported,
    /// Too close to call without a judge.
    Uncertain,
    /// Nothing in the sentence can be true or false.
    NotCheckable,
}

impl Verdict {
    /// Whether the sentence must not be published as it stands.
    pub fn is_flagged(self) -> bool {
        matches!(self, Self::Contradicted | Self::Unsupported)
    }
}

/// What kind of sentence it is.
///
/// Only claims are checked in full. A sentence that a source has word for word is supported whatever its kind. A number
/// in any other kind, and a name in a heading, an opinion or a remark about the text, makes a claim of it when no
/// source has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentenceClass {
    /// States something.
    Claim,
    /// Speaks about the text itself ("Here are three lessons:").
    Meta,
    /// Asks.
    Question,
    /// Invites the reader to act.
    CallToAction,
    /// Marked as the writer's view or feeling.
    Opinion,
    /// Greets or thanks.
    Greeting,
    /// Only hashtags.
    Hashtags,
    /// A title.
    Heading,
}

/// A place in a source that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// [`Source::id`] of the passage.
    pub source_id: String,
    /// Position of the passage in the list given to the check.
    pub source_index: usize,
    /// Bytes in that passage's text, on character boundaries.
    pub span: Range<usize>,
    /// The text at `span`.
    pub quote: String,
}

/// Why a verdict is what it is, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// The sentence is in a source word for word.
    VerbatimInSource,
    /// Its words are in the evidence.
    WellCovered,
    /// Too few of its words are in the evidence.
    LowCoverage,
    /// A number, date, version or amount that no source has.
    NumberMissing,
    /// The evidence has another number in this place.
    NumberMismatch,
    /// The number is in a source, but not about this.
    NumberUnaligned,
    /// A name that no source has.
    EntityMissing,
    /// The evidence has another name in this place.
    EntityMismatch,
    /// The sentence denies what the evidence states.
    NegationAdded,
    /// The evidence denies what the sentence states.
    NegationDropped,
    /// The evidence uses the opposite word.
    AntonymOf,
    /// A superlative or absolute that the evidence does not use.
    SuperlativeUnsupported,
    /// The judge finds it in the sources and shows the words.
    JudgeSupports,
    /// The judge finds the opposite in the sources and shows the words.
    JudgeContradicts,
    /// The judge finds nothing in the sources that says so.
    JudgeFindsNothing,
    /// The judge's answer does not count.
    JudgeOverruled,
}

impl ReasonKind {
    /// The reason's stable word for programs, as it is serialised.
    pub fn name(self) -> &'static str {
        match self {
            Self::VerbatimInSource => "verbatim_in_source",
            Self::WellCovered => "well_covered",
            Self::LowCoverage => "low_coverage",
            Self::NumberMissing => "number_missing",
            Self::NumberMismatch => "number_mismatch",
            Self::NumberUnaligned => "number_unaligned",
            Self::EntityMissing => "entity_missing",
            Self::EntityMismatch => "entity_mismatch",
            Self::NegationAdded => "negation_added",
            Self::NegationDropped => "negation_dropped",
            Self::AntonymOf => "antonym_of",
            Self::SuperlativeUnsupported => "superlative_unsupported",
            Self::JudgeSupports => "judge_supports",
            Self::JudgeContradicts => "judge_contradicts",
            Self::JudgeFindsNothing => "judge_finds_nothing",
            Self::JudgeOverruled => "judge_overruled",
        }
    }

    /// The reason in a few words, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::VerbatimInSource => "in a source word for word",
            Self::WellCovered => "covered by the evidence",
            Self::LowCoverage => "hardly covered by the evidence",
            Self::NumberMissing => "number not in the sources",
            Self::NumberMismatch => "number differs from the evidence",
            Self::NumberUnaligned => "number is about something else",
            Self::EntityMissing => "name not in the sources",
            Self::EntityMismatch => "name differs from the evidence",
            Self::NegationAdded => "denies what the evidence states",
            Self::NegationDropped => "states what the evidence denies",
            Self::AntonymOf => "says the opposite of the evidence",
            Self::SuperlativeUnsupported => "superlative without evidence",
            Self::JudgeSupports => "the judge finds it in the sources",
            Self::JudgeContradicts => "the judge finds the opposite in the sources",
            Self::JudgeFindsNothing => "the judge finds nothing that says so",
            Self::JudgeOverruled => "the judge's answer does not count",
        }
    }
}

/// One reason with the words it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For programs.
    pub kind: ReasonKind,
    /// The words concerned, for people.
    pub detail: String,
}

/// One sentence of the checked text with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Bytes in the checked text, on character boundaries.
    pub span: Range<usize>,
    /// The text at `span`.
    pub text: String,
    /// What kind of sentence it is.
    pub class: SentenceClass,
    /// What the sources say.
    pub verdict: Verdict,
    /// How likely the sentence is not grounded, 0 to 1, hard signs included; 0 when not checkable.
    pub risk: f64,
    /// What the statistical model alone says of it, 0 to 1, whatever its class.
    pub model_risk: f64,
    /// Why; empty when not checkable.
    pub reasons: Vec<Reason>,
    /// Where; never empty for a supported claim.
    pub evidence: Vec<Evidence>,
}

/// Where the lines are drawn. The defaults of `t_low` and `t_high` come with the weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// A text is safe only above this confidence, 0 to 1.
    pub safe_confidence: f64,
    /// Risk from which a claim is uncertain, 0 to 1.
    pub t_low: f64,
    /// Risk from which a claim is unsupported, 0 to 1, not below `t_low`.
    pub t_high: f64,
    /// Sentences that [`correct`](crate::correct) may mend by replacing words; all others it drops.
    pub max_corrections: usize,
}

impl Default for Thresholds {
    fn default() -> Self {
        let Weights { t_low, t_high, .. } = *Weights::built_in();
        Self { safe_confidence: 0.7, t_low, t_high, max_corrections: 2 }
    }
}

/// The verdict on a whole text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whether every checked claim holds with enough confidence, and at least one was checked.
    pub is_safe: bool,
    /// 1 less the highest risk of a claim, 0 to 1; 0 when nothing was checked.
    pub confidence: f64,
    /// What the statistical model says of the text as a whole, 0 to 1: how likely it says something that the sources do
    /// not. From all sentences, claims or not; for ranking texts. [`Thresholds::t_high`] separates best.
    pub risk: f64,
    /// Claims that the sources support.
    pub supported: usize,
    /// Claims that were checked.
    pub checked: usize,
    /// Sentences of the text, checkable or not.
    pub sentences: usize,
    /// All sentences in reading order.
    pub claims: Vec<Claim>,
    /// Why the text is not safe; present exactly when it is not.
    pub not_safe_reason: Option<String>,
    /// [`GUARD_VERSION`] of the guard that wrote this.
    pub guard_version: String,
}

/// One change made to a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Bytes of the sentence in the text as it was given.
    pub span: Range<usize>,
    /// The sentence as it was given.
    pub before: String,
    /// The sentence as it is now, empty when it was dropped.
    pub after: String,
    /// Why it was changed.
    pub reason: String,
}

/// A text after correction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    /// What is left; holds no flagged sentence.
    pub text: String,
    /// The changes, in reading order, at most one a sentence.
    pub corrections: Vec<Correction>,
    /// The check of `text`.
    pub report: Report,
}
