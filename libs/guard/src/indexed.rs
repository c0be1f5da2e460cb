//! Sources that are taken apart once, for many texts.

use crate::check::judged_by;
use crate::correct::{corrected, corrected_by};
use crate::index::Index;
use crate::llm_judge::Opinion;
use crate::model::Weights;
use crate::report::{Corrected, Report, Source, Thresholds};

/// Sources ready to check texts against, for who checks more than one text against the same: taking them apart is most of the
/// work of a check.
///
/// It holds the sources' words and the places of their sentences: some sixteen times the bytes of their text.
#[derive(Debug)]
pub struct Indexed<'a> {
    index: Index<'a>,
}

impl<'a> Indexed<'a> {
    /// Takes the sources apart.
    pub fn new(sources: &[Source<'a>]) -> Self {
        Self { index: Index::build(sources) }
    }

    /// What [`crate::check()`] says of a text and these sources.
    pub fn check(&self, text: &str, thresholds: &Thresholds) -> Report {
        self.check_by(Weights::built_in(), text, thresholds)
    }

    /// What [`crate::check_by`] says of a text and these sources.
    pub fn check_by(&self, weights: &Weights, text: &str, thresholds: &Thresholds) -> Report {
        judged_by(weights, &self.index, text, thresholds).0
    }

    /// What [`crate::correct()`] makes of a text with these sources.
    pub fn correct(&self, text: &str, thresholds: &Thresholds) -> Corrected {
        corrected(&self.index, text, thresholds)
    }

    /// What [`crate::correct_by`] makes of a text with these sources.
    pub fn correct_by(
        &self,
        text: &str,
        thresholds: &Thresholds,
        opinions: &[(String, Opinion)],
    ) -> Corrected {
        corrected_by(&self.index, text, thresholds, opinions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, correct, correct_by};

    #[test]
    fn one_index_says_of_many_texts_what_each_alone_is_told() {
        let sources = [
            Source {
                id: "a",
                text: "Acme cut build times by 40 % in 2024. Maria Chen leads the platform team.",
            },
            Source {
                id: "b",
                text: "The cache keeps every artefact for 30 days.\n\nIt never stores source code.",
            },
        ];
        let (indexed, thresholds) = (Indexed::new(&sources), Thresholds::default());
        for text in [
            "Acme cut build times by 45 % in 2024. Maria Rossi leads the platform team.",
            "The cache keeps every artefact for 30 days and serves 900 teams. It stores source code.",
            "",
            "Acme cut build times by 40 % in 2024.",
        ] {
            assert_eq!(indexed.check(text, &thresholds), check(text, &sources, &thresholds), "{text}");
            assert_eq!(indexed.correct(text, &thresholds), correct(text, &sources, &thresholds), "{text}");
            let by = correct_by(text, &sources, &thresholds, &[]);
            assert_eq!(indexed.correct_by(text, &thresholds, &[]), by, "{text}");
        }
    }
}
