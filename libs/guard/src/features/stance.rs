//! Denials, opposites, extremes and hedges that the evidence does not share.

use super::{Seen, flag};
use crate::facts::is_negation;
use crate::signals::{absolutes, denial, omitted_denial, opposite, superlatives};

pub(super) const NAMES: [&str; 13] = [
    "negation",
    "negation_added",
    "negation_dropped",
    "negation_near",
    "negation_anywhere",
    "denial",
    "denial_dropped",
    "antonym",
    "extremes",
    "hedge_dropped",
    "hedge_added",
    "modal_added",
    "contrast_added",
];

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    let (index, parsed) = (seen.index, seen.parsed);
    let words = || parsed.words.iter().map(|word| word.lower.as_str());
    let mine = words().filter(|lower| is_negation(lower)).count();
    let theirs = seen.words_of(&seen.evidence).filter(|lower| is_negation(lower)).count();
    let near = || seen.words_of(&seen.near).any(is_negation);
    let best = seen.aligned.best;
    let extremes =
        superlatives(index, parsed, &seen.evidence).len() + absolutes(index, parsed, &seen.evidence);
    let added = |list: &[&str]| words().any(|lower| list.contains(&lower) && !seen.in_evidence(lower));
    let hedges = words().any(|lower| HEDGES.contains(&lower));
    values.extend([
        flag(mine > 0),
        flag(mine > 0 && theirs == 0),
        flag(theirs > 0 && mine == 0),
        flag(mine > 0 && !near()),
        flag(mine > 0 && !index.has_negation()),
        flag(denial(index, parsed, &seen.evidence).is_some()),
        flag(best.is_some_and(|best| omitted_denial(index, parsed, best).is_some())),
        flag(best.is_some_and(|best| opposite(index, parsed, best).is_some())),
        extremes.min(3) as f64,
        flag(!hedges && seen.words_of(&seen.evidence).any(|lower| HEDGES.contains(&lower))),
        flag(added(&HEDGES)),
        flag(added(&MODALS)),
        flag(added(&CONTRASTS)),
    ]);
}

const HEDGES: [&str; 28] = [
    "may",
    "might",
    "could",
    "can",
    "should",
    "would",
    "likely",
    "possibly",
    "perhaps",
    "about",
    "around",
    "approximately",
    "nearly",
    "almost",
    "some",
    "often",
    "usually",
    "sometimes",
    "expected",
    "expects",
    "plans",
    "suggests",
    "appears",
    "seems",
    "potential",
    "potentially",
    "probably",
    "estimated",
];

const MODALS: [&str; 9] = ["will", "would", "can", "could", "may", "might", "must", "shall", "should"];

const CONTRASTS: [&str; 10] =
    ["but", "however", "although", "despite", "instead", "rather", "except", "excluding", "unlike", "while"];
