//! Numbers that the sources do not have, or have about something else.

use std::ops::Range;

use crate::align::{holds, strongest};
use crate::facts::Quantity;
use crate::index::{Index, Parsed, PassageId, Term};

/// How much better another passage must fit the words around a number before its own number is the right one.
const CLEARLY_BETTER: f64 = 0.2;
/// Least part of the words around a number that its passage must share with the sentence.
const SAME_TOPIC: f64 = 0.2;

/// A number of the sentence that does not stand.
#[derive(Debug)]
pub(crate) struct NumberFault {
    pub(crate) kind: NumberFaultKind,
    /// Bytes in the sentence.
    pub(crate) span: Range<usize>,
    /// The passage that has another number in this place, and that number's bytes in it.
    pub(crate) instead: Option<(PassageId, Range<usize>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberFaultKind {
    /// No source has it.
    Missing,
    /// A source has it, but about something else.
    Unaligned,
}

/// The numbers that do not stand, and for those that do the passages they stand on.
pub(crate) fn check_numbers(index: &Index<'_>, parsed: &Parsed<'_>) -> (Vec<NumberFault>, Vec<PassageId>) {
    let mut faults = Vec::new();
    let mut grounds = Vec::new();
    for quantity in parsed.quantities.iter().filter(|quantity| !quantity.loose) {
        let key = quantity.key();
        let Some(term) = parsed.terms.iter().find(|term| term.key == key) else { continue };
        let around = surroundings(parsed, quantity);
        let fitting = strongest(index, around.iter().copied());
        match ground(index, parsed, (term, quantity), &around, fitting) {
            Ok(passage) => grounds.push(passage),
            Err(kind) => {
                let instead = rival(index, parsed, quantity, &around, fitting);
                faults.push(NumberFault { kind, span: quantity.span.clone(), instead });
            }
        }
    }
    (faults, grounds)
}

/// The passage a number stands on: of those that have it, the one that shares most of the words around. `fitting` is the
/// [`strongest`] for these words.
fn ground(
    index: &Index<'_>,
    parsed: &Parsed<'_>,
    (term, quantity): (&Term, &Quantity),
    around: &[&Term],
    fitting: Option<(PassageId, f64)>,
) -> Result<PassageId, NumberFaultKind> {
    let fit = |id: &PassageId| (*id, shared(index, quantity, around, *id));
    let (passage, own) = term
        .holders
        .iter()
        .map(fit)
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .ok_or(NumberFaultKind::Missing)?;
    let total: f64 = around.iter().map(|term| term.weight).sum();
    if total <= 0.0 {
        return Ok(passage);
    }
    let beaten = fitting.is_some_and(|(rival, weight)| {
        let share = weight / total;
        let includes = around.iter().all(|term| holds(term, rival) || !holds(term, passage));
        let better = share > own + CLEARLY_BETTER || (includes && share > own + 1e-9);
        !holds(term, rival) && better && replacements(index, parsed, quantity, rival).next().is_some()
    });
    let unrelated = own < SAME_TOPIC && !shares_any(parsed, term);
    if beaten || unrelated { Err(NumberFaultKind::Unaligned) } else { Ok(passage) }
}

/// Whether a passage with this number has any other content of the sentence.
fn shares_any(parsed: &Parsed<'_>, number: &Term) -> bool {
    let mut others = parsed.terms.iter().filter(|term| !term.is_number);
    others.any(|term| number.holders.iter().any(|id| holds(term, *id)))
}

/// The part of these terms' weight that a passage has, 0 to 1, together with the one before it when that has no such
/// number itself and may be its heading.
fn shared(index: &Index<'_>, quantity: &Quantity, around: &[&Term], id: PassageId) -> f64 {
    let total: f64 = around.iter().map(|term| term.weight).sum();
    let countless =
        |id: &PassageId| !index.passage(*id).quantities.iter().any(|other| quantity.same_slot(other));
    let before = index.before(id).filter(countless);
    let has = |term: &&&Term| holds(term, id) || before.is_some_and(|previous| holds(term, previous));
    let held: f64 = around.iter().filter(has).map(|term| term.weight).sum();
    if total > 0.0 { held / total } else { 1.0 }
}

/// The numbers of a passage that could stand in this one's place and that the sentence does not use. One that only says
/// less (`18 October` for `18 October 2018`) is no other number.
fn replacements<'i>(
    index: &'i Index<'_>,
    parsed: &Parsed<'_>,
    quantity: &Quantity,
    id: PassageId,
) -> impl Iterator<Item = &'i Quantity> {
    let used = |other: &Quantity| parsed.quantities.iter().any(|mine| mine.matches(other));
    index
        .passage(id)
        .quantities
        .iter()
        .filter(move |other| quantity.same_slot(other) && !used(other) && !other.matches(quantity))
}

/// The content words of the number's clause, or of the whole sentence when the clause has fewer than two.
fn surroundings<'p>(parsed: &'p Parsed<'_>, quantity: &Quantity) -> Vec<&'p Term> {
    let clause = clause(parsed, quantity);
    let words = parsed.terms.iter().filter(|term| !term.is_number);
    let near: Vec<&Term> = words.clone().filter(|term| clause.contains(&term.word)).collect();
    if near.len() > 1 { near } else { words.collect() }
}

fn clause(parsed: &Parsed<'_>, quantity: &Quantity) -> Range<usize> {
    let words = &parsed.words;
    let parts = |at: usize| {
        let gap = parsed.raw.get(words[at - 1].span.end..words[at].span.start).unwrap_or("");
        gap.contains([',', ';', ':', '—', '–', '(', ')'])
            || matches!(words[at].lower.as_str(), "and" | "while" | "but" | "whereas" | "versus" | "vs")
    };
    let start = (1..=quantity.words.start).rev().find(|at| parts(*at)).unwrap_or(0);
    let end = (quantity.words.end..words.len()).find(|at| parts(*at)).unwrap_or(words.len());
    start..end
}

/// The number that the [`strongest`] passage for these words has in this place, when there is exactly one that the sentence
/// does not use already.
fn rival(
    index: &Index<'_>,
    parsed: &Parsed<'_>,
    quantity: &Quantity,
    around: &[&Term],
    fitting: Option<(PassageId, f64)>,
) -> Option<(PassageId, Range<usize>)> {
    let (id, weight) = fitting?;
    let total: f64 = around.iter().map(|term| term.weight).sum();
    let mut fits = replacements(index, parsed, quantity, id);
    let only = fits.next().filter(|_| weight >= total * 0.5)?;
    fits.next().is_none().then(|| (id, only.span.clone()))
}
