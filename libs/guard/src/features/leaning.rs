//! Which way a feature can only speak. A fit that finds the contrary has found a chance of its rows: a weight is kept from
//! the wrong side of 0, which carries over to texts of other kinds better than a penalty alone.

/// What a feature may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaning {
    /// More of it can only raise the risk.
    Raises,
    /// More of it can only lower the risk.
    Lowers,
    /// Either.
    Free,
}

/// The leaning of the feature with this name.
pub(crate) fn leaning(name: &str) -> Leaning {
    if RAISING.contains(&name) {
        Leaning::Raises
    } else if LOWERING.contains(&name) {
        Leaning::Lowers
    } else {
        Leaning::Free
    }
}

const RAISING: [&str; 27] = [
    "cover_gap",
    "novel_share",
    "novel_terms",
    "novel_rarest",
    "novel_long",
    "novel_adverbs",
    "novel_prefixed",
    "novel_run",
    "novel_pairs",
    "novel_triples",
    "distant_pairs",
    "moved_share",
    "moved",
    "far_share",
    "numbers_missing",
    "number_missing",
    "names_missing",
    "names_elsewhere",
    "opens_novel",
    "novel_capitals",
    "novel_capitals_share",
    "negation_added",
    "negation_near",
    "negation_anywhere",
    "denial",
    "antonym",
    "extremes",
];

const LOWERING: [&str; 6] =
    ["cover_best", "cover_pair", "cover_all", "copied_run", "common_order", "verbatim"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::names;

    #[test]
    fn every_name_is_a_feature_and_leans_one_way() {
        for name in RAISING.iter().chain(&LOWERING) {
            assert!(names().any(|known| known == *name), "{name}");
        }
        assert!(RAISING.iter().all(|name| !LOWERING.contains(name)));
        assert_eq!(leaning("words"), Leaning::Free);
    }
}
