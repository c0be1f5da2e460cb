//! What stands in the place of what the evidence says: the sentence and its best evidence are laid side by side, and
//! between the words they share, a few words of one answer to a few words of the other.

use std::ops::Range;

use super::{Seen, flag};
use crate::text::{is_stop_word, with_stem};
use crate::wordnet::{Entry, entry};

pub(super) const NAMES: [&str; 10] = [
    "swapped_known",
    "swapped_number",
    "swapped_kind",
    "swapped_synonym",
    "swapped_opposite",
    "swapped_quantifier",
    "swapped_preposition",
    "swapped_modal",
    "swapped_known_name",
    "swapped_new_name",
];

/// Words of a sentence that are laid side by side; the cost grows with its square.
const COMPARED: usize = 160;
/// Words that stand for each other at most: of the sentence, of the evidence.
const WIDEST: (usize, usize) = (4, 5);
/// What a shared content word counts beside a shared word of grammar.
const CONTENT: u16 = 3;

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    let mut counts = [0_usize; 5];
    let (mut grammar, mut names) = ([false; 3], [0_usize; 2]);
    if let Some(best) = seen.aligned.best {
        let passage = seen.index.passage(best);
        let theirs: Vec<(u32, &str)> =
            seen.index.stems_of(passage).zip(seen.index.lowers(passage)).take(COMPARED).collect();
        for (mine, other) in gaps(seen, &theirs) {
            let there = &theirs[other];
            for (seen_one, list) in grammar.iter_mut().zip(GRAMMAR) {
                *seen_one |= differs(seen, &mine, there, list);
            }
            let said: Vec<&str> = there
                .iter()
                .filter(|(stem, lower)| !seen.stems.contains(&Some(*stem)) && !is_stop_word(lower))
                .map(|(_, lower)| *lower)
                .collect();
            if !said.is_empty() {
                count(seen, &mine, &said, &mut counts, &mut names);
            }
        }
    }
    values.extend(counts.map(|count| count.min(3) as f64));
    values.extend(grammar.map(flag));
    values.extend(names.map(|count| count.min(3) as f64));
}

/// Counts the terms that stand in this place of the sentence, by what they are to the evidence's words there.
fn count(
    seen: &Seen<'_, '_>,
    mine: &Range<usize>,
    said: &[&str],
    counts: &mut [usize; 5],
    names: &mut [usize; 2],
) {
    let [known, number, kind, synonym, opposite] = counts;
    let [known_name, new_name] = names;
    for term in seen.parsed.terms.iter().filter(|term| mine.contains(&term.word)) {
        let is_name = usize::from(!term.is_number && seen.is_inner_capital(term.word));
        if term.is_number {
            *number += usize::from(term.holders.is_empty());
        } else if !term.holders.is_empty() {
            let is_moved = !seen.shares_passage(&term.holders);
            *known += usize::from(is_moved);
            *known_name += if is_moved { is_name } else { 0 };
        } else {
            *new_name += is_name;
            let Some(own) = entry(&term.key) else { continue };
            let others: Vec<&Entry> = said.iter().filter_map(|lower| with_stem(lower, entry)).collect();
            if others.iter().any(|other| own.is_against(other)) {
                *opposite += 1;
            } else if others.iter().any(|other| own.is_like(other)) {
                *synonym += 1;
            } else if others.iter().any(|other| own.is_of_class(other)) {
                *kind += 1;
            }
        }
    }
}

/// Whether both places have words of the list, and not the same ones.
fn differs(seen: &Seen<'_, '_>, mine: &Range<usize>, theirs: &[(u32, &str)], list: &[&str]) -> bool {
    let own = || seen.parsed.words[mine.clone()].iter().map(|word| word.lower.as_str());
    let others = || theirs.iter().map(|(_, lower)| *lower);
    let mut own_listed = own().filter(|lower| list.contains(lower)).peekable();
    let mut others_listed = others().filter(|lower| list.contains(lower)).peekable();
    own_listed.peek().is_some()
        && others_listed.peek().is_some()
        && (own_listed.any(|lower| others().all(|other| other != lower))
            || others_listed.any(|lower| own().all(|other| other != lower)))
}

/// The places, of the sentence and of the evidence, between the words that both have in one order, where that order is
/// chosen for most content.
fn gaps(seen: &Seen<'_, '_>, theirs: &[(u32, &str)]) -> Vec<(Range<usize>, Range<usize>)> {
    let mine = &seen.stems[..seen.stems.len().min(COMPARED)];
    let worth: Vec<u16> = seen.parsed.words[..mine.len()]
        .iter()
        .map(|word| if is_stop_word(&word.lower) { 1 } else { CONTENT })
        .collect();
    let width = theirs.len() + 1;
    let mut table = vec![0_u16; (mine.len() + 1) * width];
    let joined = |table: &[u16], i: usize, j: usize| {
        (mine[i] == Some(theirs[j].0)).then(|| table[(i + 1) * width + j + 1] + worth[i])
    };
    for i in (0..mine.len()).rev() {
        let (above, below) = table.split_at_mut((i + 1) * width);
        let (row, below) = (&mut above[i * width..], &below[..width]);
        match mine[i].filter(|stem| theirs.iter().any(|(other, _)| other == stem)) {
            Some(stem) => fill(row, below, theirs, stem, worth[i]),
            // A word that they do not have changes nothing.
            None => row.copy_from_slice(below),
        }
    }
    let mut found = Vec::new();
    let (mut i, mut j, mut from) = (0, 0, (0, 0));
    let mut close = |from: (usize, usize), i: usize, j: usize| {
        if from.0 < i && i - from.0 <= WIDEST.0 && from.1 < j && j - from.1 <= WIDEST.1 {
            found.push((from.0..i, from.1..j));
        }
    };
    while i < mine.len() && j < theirs.len() {
        if joined(&table, i, j) == Some(table[i * width + j]) {
            close(from, i, j);
            (i, j) = (i + 1, j + 1);
            from = (i, j);
        } else if table[(i + 1) * width + j] >= table[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    close(from, mine.len(), theirs.len());
    found
}

/// Fills the row of a word, from the right, with the most worth that it and the words behind it, whose row is `below`, share
/// with theirs from each place on.
fn fill(row: &mut [u16], below: &[u16], theirs: &[(u32, &str)], stem: u32, worth: u16) {
    let mut right = 0;
    for ((cell, below), (other, _)) in row.iter_mut().zip(below.windows(2)).zip(theirs).rev() {
        let skipped = below[0].max(right);
        right = if *other == stem { skipped.max(below[1] + worth) } else { skipped };
        *cell = right;
    }
}

/// Quantifiers, prepositions and modals.
const GRAMMAR: [&[&str]; 3] = [
    &[
        "all", "some", "most", "many", "few", "every", "only", "several", "no", "any", "each", "both",
        "none", "more", "less", "fewer", "least", "half",
    ],
    &[
        "of", "at", "by", "for", "with", "without", "about", "against", "between", "among", "into", "onto",
        "through", "during", "before", "after", "above", "below", "to", "from", "up", "down", "in", "out",
        "on", "off", "over", "under", "within", "upon", "via", "per", "toward", "towards", "across", "along",
        "around", "until", "since",
    ],
    &["will", "would", "shall", "should", "can", "could", "may", "might", "must"],
];
