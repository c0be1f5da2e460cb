//! Names that the sources do not have.

use std::ops::Range;

use crate::facts::{Entity, entities};
use crate::index::{Index, Parsed, PassageId};
use crate::text::{Word, is_stop_word, stem, words};

/// A name of the sentence that no source has.
#[derive(Debug)]
pub(crate) struct NameFault {
    /// Bytes in the sentence.
    pub(crate) span: Range<usize>,
    /// The passage that has another name in this place, and that name's bytes in it.
    pub(crate) instead: Option<(PassageId, Range<usize>)>,
}

/// The names of the sentence with a word that no source has; `best` is searched for the name that was meant.
pub(crate) fn check_names(index: &Index<'_>, parsed: &Parsed<'_>, best: Option<PassageId>) -> Vec<NameFault> {
    let missing = parsed.entities.iter().filter(|name| !is_known(index, parsed, name));
    missing
        .map(|name| NameFault {
            instead: best.and_then(|id| meant(index, parsed, id)),
            span: name.span.clone(),
        })
        .collect()
}

fn is_known(index: &Index<'_>, parsed: &Parsed<'_>, name: &Entity) -> bool {
    let known = |word: &Word| knows(index, &word.lower);
    let parts = &parsed.words[name.words.clone()];
    parts.iter().all(known) || (parts.len() == 1 && is_spelt_out(index, &parts[0].lower))
}

/// `LLM` for a large language model, `Q3` for the third quarter.
fn is_spelt_out(index: &Index<'_>, lower: &str) -> bool {
    let quarter = match lower {
        "q1" => "first",
        "q2" => "second",
        "q3" => "third",
        "q4" => "fourth",
        _ => return index.spells_out(lower),
    };
    index.form(quarter).is_some() && index.form("quarter").is_some()
}

fn knows(index: &Index<'_>, lower: &str) -> bool {
    let bare = lower.trim_end_matches('/');
    is_stop_word(lower)
        || index.form(bare).is_some()
        || index.form(&format!("{bare}/")).is_some()
        || !index.with_stem(&stem(bare)).is_empty()
        || lower.strip_prefix('@').is_some_and(|name| index.form(name).is_some())
}

/// Names that the sources have, but not these passages.
pub(crate) fn unaligned_names(index: &Index<'_>, parsed: &Parsed<'_>, evidence: &[PassageId]) -> usize {
    let near: Vec<PassageId> =
        evidence.iter().flat_map(|id| [Some(*id), index.before(*id)]).flatten().collect();
    let here = |word: &Word| {
        let holders = index.with_stem(&stem(&word.lower));
        holders.is_empty() || near.iter().any(|id| holders.binary_search(id).is_ok())
    };
    parsed.entities.iter().filter(|name| !parsed.words[name.words.clone()].iter().all(here)).count()
}

/// The only name in the passage that the sentence does not use.
fn meant(index: &Index<'_>, parsed: &Parsed<'_>, id: PassageId) -> Option<(PassageId, Range<usize>)> {
    let mut others = candidates(index.quote(id), &parsed.words).into_iter();
    let only = others.next()?;
    others.next().is_none().then_some((id, only))
}

/// Bytes of the names in a quote of which none of these words is a part.
fn candidates(quote: &str, used: &[Word]) -> Vec<Range<usize>> {
    let there = words(quote);
    let fresh = |name: &Entity| {
        there[name.words.clone()].iter().all(|word| used.iter().all(|mine| mine.lower != word.lower))
    };
    entities(quote, &there).into_iter().filter(fresh).map(|name| name.span).collect()
}
