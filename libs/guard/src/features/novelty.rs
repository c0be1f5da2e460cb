//! What the words are like that no source has.

use super::{Seen, log, share};
use crate::index::Term;
use crate::text::stem;

pub(super) const NAMES: [&str; 6] =
    ["novel_adverbs", "novel_long", "novel_kin", "novel_prefixed", "novel_generic", "novel_run"];

/// Letters that a long word has at least.
const LONG: usize = 8;

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    let novel: Vec<&Term> =
        seen.parsed.terms.iter().filter(|term| !term.is_number && term.holders.is_empty()).collect();
    let lower = |term: &&&Term| seen.parsed.words[term.word].lower.as_str();
    values.extend([
        log(novel.iter().filter(|term| lower(term).ends_with("ly")).count()),
        share(novel.iter().filter(|term| lower(term).len() >= LONG).count(), novel.len()),
        share(novel.iter().filter(|term| seen.index.has_kin(&term.key)).count(), seen.parsed.terms.len()),
        log(novel.iter().filter(|term| is_reversed(seen, lower(term))).count()),
        share(novel.iter().filter(|term| term.is_generic).count(), novel.len()),
        log(longest_run(seen)),
    ]);
}

/// `unstable` where the sources have `stable`.
fn is_reversed(seen: &Seen<'_, '_>, lower: &str) -> bool {
    ["un", "in", "im", "dis", "non"].iter().any(|prefix| {
        lower
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.len() > 2 && !seen.index.with_stem(&stem(rest)).is_empty())
    })
}

/// Words in a row, grammar included, that no source has.
fn longest_run(seen: &Seen<'_, '_>) -> usize {
    let mut known: Vec<bool> = seen.stems.iter().map(Option::is_some).collect();
    for quantity in &seen.parsed.quantities {
        let held =
            seen.parsed.terms.iter().any(|term| {
                term.is_number && quantity.words.contains(&term.word) && !term.holders.is_empty()
            });
        if held {
            known[quantity.words.clone()].fill(true);
        }
    }
    known.split(|known| *known).map(<[bool]>::len).max().unwrap_or(0)
}
