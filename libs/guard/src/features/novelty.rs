//! What the words are like that no source has.

use super::{Seen, log, share};
use crate::index::Term;
use crate::text::stem;

pub(super) const NAMES: [&str; 8] = [
    "novel_adverbs",
    "novel_long",
    "novel_kin",
    "novel_prefixed",
    "novel_generic",
    "novel_run",
    "novel_late",
    "novel_dense",
];

/// Letters that a long word has at least.
const LONG: usize = 8;
/// Words in a row among which the most new terms are counted.
const STRETCH: usize = 7;

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
    values.extend(places(seen));
}

/// `unstable` where the sources have `stable`.
fn is_reversed(seen: &Seen<'_, '_>, lower: &str) -> bool {
    ["un", "in", "im", "dis", "non"].iter().any(|prefix| {
        lower
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.len() > 2 && !seen.index.with_stem(&stem(rest)).is_empty())
    })
}

/// How far behind the middle the new terms stand on average, -0.5 to 0.5, and the most of them in a stretch.
fn places(seen: &Seen<'_, '_>) -> [f64; 2] {
    let novel = seen.parsed.terms.iter().filter(|term| term.holders.is_empty());
    let mut places: Vec<usize> = novel.map(|term| term.word).collect();
    places.sort_unstable();
    let within =
        |(before, first): (usize, &usize)| places.partition_point(|at| *at < first + STRETCH) - before;
    let most = places.iter().enumerate().map(within).max().unwrap_or(0);
    let late = match places.len() {
        0 => 0.0,
        count => share(places.iter().sum::<usize>(), count * seen.parsed.words.len()) - 0.5,
    };
    [late, log(most)]
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
