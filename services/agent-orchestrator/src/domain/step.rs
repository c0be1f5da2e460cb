//! The steps of a run and their keys.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which piece of work a step is. Its text form, for example `review.2`, is unique in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKey {
    /// Search the knowledge bases and note what they say.
    Research,
    /// Look at how the brand writes.
    BrandAnalysis,
    /// Fetch what was learned from earlier texts.
    Lessons,
    /// Two angles, one chosen.
    Strategy,
    /// The first draft.
    Draft,
    /// The review of the n-th draft, from 1.
    Review(u32),
    /// The n-th rewrite after a review, from 1.
    Revise(u32),
    /// Hook, hashtags, caption.
    Finish,
    /// The n-th check against the evidence, from 1.
    Guard(u32),
    /// The one rewrite that the guard may ask for.
    Regenerate,
    /// The rules for published text.
    Rules,
}

/// A text that names no step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not the key of a step")]
pub struct StepKeyError;

impl StepKey {
    /// Who does it: the name of an agent, or `guard` for the steps that need no model.
    pub fn agent(self) -> &'static str {
        match self {
            Self::Research => "researcher",
            Self::BrandAnalysis | Self::Lessons => "analyst",
            Self::Strategy => "strategist",
            Self::Draft | Self::Revise(_) | Self::Regenerate | Self::Finish => "writer",
            Self::Review(_) => "reviewer",
            Self::Guard(_) | Self::Rules => "guard",
        }
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Research => f.write_str("research"),
            Self::BrandAnalysis => f.write_str("brand_analysis"),
            Self::Lessons => f.write_str("lessons"),
            Self::Strategy => f.write_str("strategy"),
            Self::Draft => f.write_str("draft.1"),
            Self::Review(n) => write!(f, "review.{n}"),
            Self::Revise(n) => write!(f, "revise.{n}"),
            Self::Finish => f.write_str("finish"),
            Self::Guard(n) => write!(f, "guard.{n}"),
            Self::Regenerate => f.write_str("regenerate.1"),
            Self::Rules => f.write_str("rules"),
        }
    }
}

impl FromStr for StepKey {
    type Err = StepKeyError;

    fn from_str(text: &str) -> Result<Self, StepKeyError> {
        let (name, number) = match text.split_once('.') {
            Some((name, number)) => (name, Some(number.parse::<u32>().map_err(|_| StepKeyError)?)),
            None => (text, None),
        };
        let key = match (name, number) {
            ("research", None) => Self::Research,
            ("brand_analysis", None) => Self::BrandAnalysis,
            ("lessons", None) => Self::Lessons,
            ("strategy", None) => Self::Strategy,
            ("draft", Some(1)) => Self::Draft,
            ("review", Some(n @ 1..)) => Self::Review(n),
            ("revise", Some(n @ 1..)) => Self::Revise(n),
            ("finish", None) => Self::Finish,
            ("guard", Some(n @ 1..)) => Self::Guard(n),
            ("regenerate", Some(1)) => Self::Regenerate,
            ("rules", None) => Self::Rules,
            _ => return Err(StepKeyError),
        };
        // `review.01` would be a second name for the same step.
        if key.to_string() == text { Ok(key) } else { Err(StepKeyError) }
    }
}

impl Serialize for StepKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_round_trip() {
        use StepKey::*;
        for key in [
            Research,
            BrandAnalysis,
            Lessons,
            Strategy,
            Draft,
            Review(1),
            Review(12),
            Revise(2),
            Finish,
            Guard(2),
            Regenerate,
            Rules,
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
            assert!(!key.agent().is_empty());
        }
        for bad in
            ["", "draft", "draft.2", "review", "review.0", "review.01", "review.x", "rules.1", "review.1.1"]
        {
            assert_eq!(bad.parse::<StepKey>(), Err(StepKeyError), "{bad}");
        }
    }
}
