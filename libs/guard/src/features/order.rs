//! Whether the words stand together as they do in the sources.

use super::{Seen, flag, log, share};
use crate::index::{PassageId, Term};

pub(super) const NAMES: [&str; 10] = [
    "novel_pairs",
    "novel_triples",
    "copied_run",
    "common_order",
    "common_order_back",
    "distant_pairs",
    "moved_share",
    "moved",
    "far_share",
    "verbatim",
];

/// Words of a sentence that are compared in order; the cost grows with its square.
const COMPARED: usize = 160;

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    let (pairs, triples, copied) = runs(seen);
    let theirs: Vec<u32> = seen
        .aligned
        .best
        .map_or_else(Vec::new, |best| seen.index.stems_of(seen.index.passage(best)).take(COMPARED).collect());
    let mine = &seen.stems[..seen.stems.len().min(COMPARED)];
    let common = common_order(mine, &theirs);
    let known = seen.parsed.terms.iter().filter(|term| !term.is_number && !term.holders.is_empty());
    let moved: Vec<&Term> = known.filter(|term| !seen.shares_passage(&term.holders)).collect();
    let is_far = |term: &&&Term| !seen.near.iter().any(|id| term.holders.binary_search(id).is_ok());
    let far = moved.iter().filter(is_far).count();
    values.extend([
        pairs,
        triples,
        copied,
        share(common, mine.len()),
        share(common, theirs.len()),
        distant(seen),
        share(moved.len(), seen.parsed.terms.len()),
        log(moved.len()),
        share(far, seen.parsed.terms.len()),
        flag(seen.is_verbatim),
    ]);
}

/// Shares of neighbouring words (two, three) that no source has as neighbours, and of the longest run that one has.
fn runs(seen: &Seen<'_, '_>) -> (f64, f64, f64) {
    let stems = &seen.stems;
    let paired = |pair: &[Option<u32>]| match pair {
        [Some(a), Some(b)] => seen.index.has_pair(*a, *b),
        _ => false,
    };
    let tripled = |triple: &[Option<u32>]| match triple {
        [Some(a), Some(b), Some(c)] => seen.index.has_triple(*a, *b, *c),
        _ => false,
    };
    let pairs: Vec<bool> = stems.windows(2).map(paired).collect();
    let novel_triples = stems.windows(3).filter(|triple| !tripled(triple)).count();
    let longest = pairs.split(|pair| !pair).map(<[bool]>::len).max().unwrap_or(0);
    (
        share(pairs.iter().filter(|pair| !**pair).count(), pairs.len()),
        share(novel_triples, stems.len().saturating_sub(2)),
        share(longest, stems.len()),
    )
}

/// The length of the longest row of words that both have in this order.
fn common_order(mine: &[Option<u32>], theirs: &[u32]) -> usize {
    let mut row = vec![0_usize; theirs.len() + 1];
    // Words that they do not have change nothing.
    for word in mine.iter().flatten().filter(|word| theirs.contains(word)) {
        let (mut corner, mut left) = (0, 0);
        for (cell, other) in row[1..].iter_mut().zip(theirs) {
            let above = *cell;
            left = if word == other { corner + 1 } else { above.max(left) };
            (*cell, corner) = (left, above);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The share of neighbouring content words, both known, that no two neighbouring passages have.
fn distant(seen: &Seen<'_, '_>) -> f64 {
    let mut known: Vec<&Term> = seen.parsed.terms.iter().filter(|term| !term.holders.is_empty()).collect();
    known.sort_unstable_by_key(|term| term.word);
    let is_distant = |pair: &&[&Term]| least_gap(&pair[0].holders, &pair[1].holders) > 1;
    share(known.windows(2).filter(is_distant).count(), known.len().saturating_sub(1))
}

/// The least distance between a member of one ascending list and one of the other.
fn least_gap(left: &[PassageId], right: &[PassageId]) -> PassageId {
    let (mut at, mut to, mut least) = (0, 0, PassageId::MAX);
    while let (Some(a), Some(b)) = (left.get(at), right.get(to)) {
        least = least.min(a.abs_diff(*b));
        if least == 0 {
            break;
        }
        if a < b { at += 1 } else { to += 1 }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_distance() {
        let mine = [Some(1), None, Some(2), Some(3)];
        assert_eq!(common_order(&mine, &[1, 2, 9, 3]), 3);
        assert_eq!(common_order(&mine, &[3, 2, 1]), 1);
        assert_eq!(common_order(&[], &[1]), 0);
        assert_eq!(least_gap(&[1, 8], &[5, 9]), 1);
        assert_eq!(least_gap(&[1, 5], &[5]), 0);
    }
}
