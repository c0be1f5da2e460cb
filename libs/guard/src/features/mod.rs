//! What a model sees of a sentence: one number a feature, one file a family.
//!
//! Shares are 0 to 1, counts are ln(1 + n) unless the name says otherwise, flags are 0 or 1. A feature says nothing about
//! right or wrong; the weights do.

mod coverage;
mod leaning;
mod meaning;
mod names;
mod novelty;
mod numbers;
mod order;
mod shape;
mod stance;
mod swaps;

pub(crate) use leaning::{Leaning, leaning};

use crate::align::Alignment;
use crate::index::{Index, Parsed, PassageId};
use crate::report::SentenceClass;

/// A group of features that are measured alike; an ablation leaves out one at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) features: &'static [&'static str],
    measure: fn(&Seen<'_, '_>, &mut Vec<f64>),
}

/// All families, in the order of their features in [`Features::values`].
pub(crate) const FAMILIES: [Family; 9] = [
    Family { name: "coverage", features: &coverage::NAMES, measure: coverage::measure },
    Family { name: "novelty", features: &novelty::NAMES, measure: novelty::measure },
    Family { name: "meaning", features: &meaning::NAMES, measure: meaning::measure },
    Family { name: "order", features: &order::NAMES, measure: order::measure },
    Family { name: "swaps", features: &swaps::NAMES, measure: swaps::measure },
    Family { name: "numbers", features: &numbers::NAMES, measure: numbers::measure },
    Family { name: "names", features: &names::NAMES, measure: names::measure },
    Family { name: "stance", features: &stance::NAMES, measure: stance::measure },
    Family { name: "shape", features: &shape::NAMES, measure: shape::measure },
];

/// The names of all features, in the order of [`Features::values`].
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|family| family.features.iter().copied())
}

/// One sentence as a model sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Features {
    /// One for each of [`names`].
    pub(crate) values: Vec<f64>,
}

/// What the families measure.
pub(crate) struct Seen<'s, 'i> {
    pub(crate) index: &'s Index<'i>,
    pub(crate) parsed: &'s Parsed<'s>,
    pub(crate) aligned: &'s Alignment,
    pub(crate) is_verbatim: bool,
    pub(crate) class: SentenceClass,
    /// Sentences of the whole text.
    pub(crate) sentences: usize,
    /// The evidence.
    evidence: Vec<PassageId>,
    /// The evidence with its neighbours.
    near: Vec<PassageId>,
    /// The stem of each word, when the sources have it.
    stems: Vec<Option<u32>>,
    /// Forms that the evidence uses, ascending.
    evidence_forms: Vec<u32>,
}

/// Measures a sentence.
pub(crate) fn measure(
    index: &Index<'_>,
    parsed: &Parsed<'_>,
    aligned: &Alignment,
    is_verbatim: bool,
    class: SentenceClass,
    sentences: usize,
) -> Features {
    let evidence: Vec<PassageId> = aligned.passages().collect();
    let mut near: Vec<PassageId> =
        evidence.iter().flat_map(|id| [index.before(*id), Some(*id), index.after(*id)]).flatten().collect();
    near.sort_unstable();
    near.dedup();
    let mut evidence_forms: Vec<u32> =
        evidence.iter().flat_map(|id| index.passage(*id).forms.iter().copied()).collect();
    evidence_forms.sort_unstable();
    evidence_forms.dedup();
    let stems = parsed.words.iter().map(|word| index.stem_id(&word.lower)).collect();
    let seen =
        Seen { index, parsed, aligned, is_verbatim, class, sentences, evidence, near, stems, evidence_forms };
    let mut values = Vec::with_capacity(96);
    for family in FAMILIES {
        (family.measure)(&seen, &mut values);
    }
    Features { values }
}

impl Seen<'_, '_> {
    /// Whether the evidence uses this very word.
    fn in_evidence(&self, lower: &str) -> bool {
        self.index.form(lower).is_some_and(|form| self.evidence_forms.binary_search(&form).is_ok())
    }

    /// The lower-cased words of these passages.
    fn words_of<'a>(&'a self, passages: &'a [PassageId]) -> impl Iterator<Item = &'a str> {
        passages.iter().flat_map(|id| self.index.lowers(self.index.passage(*id)))
    }

    /// Whether a word that does not open the sentence begins with a capital.
    fn is_inner_capital(&self, word: usize) -> bool {
        let raw = &self.parsed.raw[self.parsed.words[word].span.clone()];
        word > 0 && raw.starts_with(char::is_uppercase)
    }

    fn shares_passage(&self, holders: &[PassageId]) -> bool {
        self.evidence.iter().any(|id| holders.binary_search(id).is_ok())
    }
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

fn log(count: usize) -> f64 {
    (count as f64).ln_1p()
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::align;
    use crate::report::Source;

    fn measured(text: &str, source: &str) -> Features {
        let sources = [Source { id: "s", text: source }];
        let index = Index::build(&sources);
        let parsed = Parsed::new(&index, text);
        let aligned = align(&index, &parsed.terms);
        measure(&index, &parsed, &aligned, false, SentenceClass::Claim, 1)
    }

    fn value(features: &Features, name: &str) -> f64 {
        names().zip(&features.values).find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value)
    }

    #[test]
    fn every_feature_has_one_name_and_one_value() {
        let features = measured("Acme cut build times by 40 % in 2024.", "Acme cut build times.");
        let mut all: Vec<&str> = names().collect();
        assert_eq!(all.len(), features.values.len());
        for family in FAMILIES {
            assert!(!family.features.is_empty(), "{}", family.name);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), features.values.len(), "a name is there twice");
    }

    #[test]
    fn features_see_what_differs() {
        let source = "Acme cut build times by 40 % in 2024. The cache keeps every artefact for 30 days.";
        let same = measured("Acme cut build times by 40 % in 2024.", source);
        assert!((value(&same, "cover_best") - 1.0).abs() < 1e-9);
        assert!((value(&same, "novel_pairs")).abs() < 1e-9);
        let other = measured("Globex did not cut build times by 45 % in 2024.", source);
        for (name, least) in [("numbers_missing", 0.9), ("names_missing", 0.5), ("negation_added", 0.9)] {
            assert!(value(&other, name) > least, "{name}");
        }
        assert!(value(&other, "cover_all") < 0.8);
    }

    #[test]
    fn values_are_finite_whatever_the_text() {
        for (text, source) in [("", ""), ("🚀", "🚀"), ("not", ""), ("Acme", "a a a"), ("1 2 3", "1")] {
            let features = measured(text, source);
            assert!(features.values.iter().all(|value| value.is_finite()), "{text}: {features:?}");
        }
    }
}
