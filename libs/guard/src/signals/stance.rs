//! Sentences that say the opposite of their evidence, or more than it.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::align::holds;
use crate::facts::{
    Superlative, antonyms, has_opposite, is_negation, is_soft_negation, negations, superlative,
};
use crate::index::{Index, Parsed, PassageId, Term};
use crate::text::{is_stop_word, stem};

/// Content words after a negation that it is taken to deny.
const SCOPE: usize = 3;

/// The negation of the sentence whose evidence states the denied words without any.
pub(crate) fn denial<'p>(
    index: &Index<'_>,
    parsed: &'p Parsed<'_>,
    evidence: &[PassageId],
) -> Option<&'p str> {
    let cues = negations(&parsed.words);
    let denied = cues.iter().find(|cue| {
        let scope = scope(parsed, **cue);
        let states = |id: &&PassageId| {
            let held = scope.iter().filter(|term| holds(term, **id)).count();
            held * 2 > scope.len() || (held > 0 && held * 2 == scope.len())
        };
        let stating: Vec<&PassageId> = evidence.iter().filter(states).collect();
        !stating.is_empty() && !stating.iter().any(|id| denies(index, **id))
    })?;
    Some(parsed.words[*denied].lower.as_str())
}

/// The content words that follow the cue, or those before it when none follows.
fn scope<'p>(parsed: &'p Parsed<'_>, cue: usize) -> Vec<&'p Term> {
    let words = parsed.terms.iter().filter(|term| !term.is_number);
    let after: Vec<&Term> = words.clone().filter(|term| term.word > cue).take(SCOPE).collect();
    if !after.is_empty() {
        return after;
    }
    let before: Vec<&Term> = words.filter(|term| term.word < cue).collect();
    before.into_iter().rev().take(SCOPE).collect()
}

fn denies(index: &Index<'_>, id: PassageId) -> bool {
    index.lowers(index.passage(id)).any(is_soft_negation)
}

/// The negation of the best evidence whose denied words the sentence states without any.
pub(crate) fn omitted_denial<'i>(
    index: &'i Index<'_>,
    parsed: &Parsed<'_>,
    best: PassageId,
) -> Option<&'i str> {
    if parsed.words.iter().any(|word| is_soft_negation(&word.lower)) {
        return None;
    }
    let theirs: Vec<&str> = index.lowers(index.passage(best)).collect();
    let stated = |lower: &&str| {
        let own = stem(lower);
        parsed.terms.iter().any(|term| term.key == own)
    };
    let cue = (0..theirs.len()).filter(|at| is_negation(theirs[*at])).find(|at| {
        let content = theirs[at + 1..].iter().copied().filter(|lower| !is_stop_word(lower));
        let scope: Vec<&str> = content.take(SCOPE).collect();
        scope.len() > 1 && scope.iter().all(stated)
    })?;
    Some(theirs[cue])
}

/// A word of the sentence for which its best evidence uses the opposite: (the sentence's, the evidence's).
pub(crate) fn opposite(index: &Index<'_>, parsed: &Parsed<'_>, best: PassageId) -> Option<(String, String)> {
    if !parsed.has_opposites {
        return None;
    }
    let passage = index.passage(best);
    let mine_negated = parsed.words.iter().filter(|word| is_negation(&word.lower)).count();
    let theirs_negated = index.lowers(passage).filter(|lower| is_negation(lower)).count();
    if (mine_negated + theirs_negated) % 2 == 1 {
        return None;
    }
    let theirs: Vec<(String, &str)> = index.lowers(passage).map(|lower| (stem(lower), lower)).collect();
    let mine: HashSet<String, RandomState> = parsed.words.iter().map(|word| stem(&word.lower)).collect();
    parsed.words.iter().filter(|word| has_opposite(&word.lower)).find_map(|word| {
        let own = stem(&word.lower);
        if theirs.iter().any(|(other, _)| *other == own) {
            return None;
        }
        let opposites = antonyms(&own);
        let is_rival = |other: &String| opposites.contains(other) && !mine.contains(other);
        let rival = theirs.iter().find(|(other, _)| is_rival(other))?;
        Some((word.lower.clone(), rival.1.to_owned()))
    })
}

/// The superlatives of the sentence that its evidence does not use.
pub(crate) fn superlatives<'p>(
    index: &Index<'_>,
    parsed: &'p Parsed<'_>,
    evidence: &[PassageId],
) -> Vec<&'p str> {
    overdone(index, parsed, evidence, Superlative::Strong)
}

/// The absolutes (`every`, `always`) of the sentence that its evidence does not use.
pub(crate) fn absolutes(index: &Index<'_>, parsed: &Parsed<'_>, evidence: &[PassageId]) -> usize {
    overdone(index, parsed, evidence, Superlative::Absolute).len()
}

fn overdone<'p>(
    index: &Index<'_>,
    parsed: &'p Parsed<'_>,
    evidence: &[PassageId],
    wanted: Superlative,
) -> Vec<&'p str> {
    let used =
        |lower: &str| evidence.iter().any(|id| index.lowers(index.passage(*id)).any(|other| other == lower));
    let extreme = (0..parsed.words.len()).filter(|at| superlative(&parsed.words, *at) == Some(wanted));
    extreme.map(|at| parsed.words[at].lower.as_str()).filter(|lower| !used(lower)).collect()
}
