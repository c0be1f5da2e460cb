//! The lexical leg: BM25 with k1 = 1.2 and b = 0.75 over the chunks of the searched knowledge bases.
//!
//! Rarity and average length come from exactly those knowledge bases taken together, whatever the filter, so hits
//! from several of them stand in one ranking. A term that comes twice in the query counts twice: long questions need
//! that. The index keeps terms, not prefixes or spellings.

use std::collections::BTreeMap;

use super::index::{Bits, Cursor, KnowledgeIndex, ones};
use super::lens::Lens;
use super::ranking::Leaf;
use super::top::best;

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// The best chunks that the lens lets through for the terms: enough of them for `parents` different passages, if there
/// are so many. Every hit holds at least one term.
pub fn search(indexes: &[&KnowledgeIndex], terms: &[String], lens: &Lens, parents: usize) -> Vec<Leaf> {
    let chunks: u64 = indexes.iter().map(|index| index.chunks()).sum();
    let length: u64 = indexes.iter().map(|index| index.length()).sum();
    if chunks == 0 || length == 0 {
        return Vec::new();
    }
    let norms = Norms::new(length as f64 / chunks as f64);
    // In order of the alphabet: sums of floats depend on their order, scores must not.
    let mut query: BTreeMap<&str, u32> = BTreeMap::new();
    for term in terms {
        *query.entry(term).or_default() += 1;
    }
    let weights: Vec<(&str, f64)> = query
        .into_iter()
        .map(|(term, count)| {
            let holding: usize = indexes.iter().map(|index| index.postings(term).len()).sum();
            (term, f64::from(count) * rarity(chunks, holding as u64))
        })
        .collect();
    let visible: Vec<_> = indexes.iter().map(|index| index.visible(lens)).collect();
    best(indexes, parents, |top| {
        for (at, (index, visible)) in indexes.iter().zip(&visible).enumerate() {
            let lists = weights.iter().map(|(term, weight)| (index.postings(term).start(), *weight));
            score(index, lists.collect(), visible, &norms, |slot, score| top.offer(score, at, slot, index));
        }
    })
}

/// How rare a term is that so many of all chunks hold.
pub(super) fn rarity(chunks: u64, holding: u64) -> f64 {
    ((chunks - holding) as f64 + 0.5).mul_add(1.0 / (holding as f64 + 0.5), 1.0).ln()
}

/// Slots that are scored side by side: their scores stay in the fastest memory.
const WINDOW: usize = 2048;

/// Tells the score of every visible chunk that holds a term, in order of slot. All lists are gone through side by side,
/// a window of slots at a time; windows in which nothing is visible, or nothing holds a term, are not looked at.
fn score(
    index: &KnowledgeIndex,
    mut lists: Vec<(Cursor<'_>, f64)>,
    visible: &Bits,
    norms: &Norms,
    mut found: impl FnMut(u32, f64),
) {
    let mut scores = [0.0f64; WINDOW];
    let mut touched = [0u64; WINDOW / 64];
    while let Some(next) = lists.iter().filter_map(|(list, _)| list.next_slot()).min() {
        let start = next as usize / WINDOW * WINDOW;
        let end = (start + WINDOW) as u32;
        let seen = visible.any_in(start / 64..(start + WINDOW) / 64);
        for (list, weight) in &mut lists {
            while let Some(piece) = list.piece_below(end) {
                for posting in piece.iter().filter(|posting| seen && visible.contains(posting.slot)) {
                    let at = posting.slot as usize - start;
                    touched[at / 64] |= 1 << (at % 64);
                    scores[at] += *weight * norms.saturation(posting.count, index.length_of(posting.slot));
                }
            }
        }
        for (run, word) in touched.iter_mut().enumerate() {
            for bit in ones(std::mem::take(word)) {
                let at = run * 64 + bit as usize;
                found((start + at) as u32, std::mem::take(&mut scores[at]));
            }
        }
    }
}

/// What the length of a chunk does to its scores; for usual lengths once a search instead of once a posting.
pub(super) struct Norms {
    average: f64,
    usual: Vec<f64>,
}

impl Norms {
    pub(super) fn new(average: f64) -> Self {
        const USUAL: u32 = 512;
        Self { average, usual: (0..USUAL).map(|length| norm(length, average)).collect() }
    }

    /// What so many occurrences in a chunk of this length count.
    pub(super) fn saturation(&self, count: u32, length: u32) -> f64 {
        let norm = self.usual.get(length as usize).copied().unwrap_or_else(|| norm(length, self.average));
        weight_at(count, norm)
    }
}

/// What so many occurrences count at this norm.
pub(super) fn weight_at(count: u32, norm: f64) -> f64 {
    let count = f64::from(count);
    count * (K1 + 1.0) / (count + norm)
}

/// What the length of a chunk does, beside the mean length of all.
pub(super) fn norm(length: u32, average: f64) -> f64 {
    K1 * (1.0 - B + B * f64::from(length) / average)
}

#[cfg(test)]
mod tests {
    use super::super::index::fixture::document;
    use super::super::source::{SourceKind, SourceKinds};
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        copydesk_guard::text::terms(text)
    }

    fn ids(leaves: &[Leaf]) -> Vec<u128> {
        leaves.iter().map(|leaf| leaf.passage.as_u128()).collect()
    }

    fn index(documents: &[(u128, SourceKind, &[&str])]) -> KnowledgeIndex {
        let mut index = KnowledgeIndex::default();
        for (id, kind, texts) in documents {
            index.put(document(*id, *kind, texts));
        }
        index
    }

    #[test]
    fn scores_are_the_formula() {
        let index = index(&[(1, SourceKind::Post, &["cold cold van", "van", "truck engine oil filter"])]);
        let found = search(&[&index], &terms("cold"), &Lens::all(), 5);
        // Three chunks, one holds the term twice; three terms against an average of 8 / 3.
        let expected =
            (1.0f64 + 2.5 / 1.5).ln() * 2.0 * 2.2 / (2.0 + 1.2 * (0.25 + 0.75 * 3.0 / (8.0 / 3.0)));
        assert_eq!(ids(&found), [1]);
        assert!((found[0].score - expected).abs() < 1e-12, "{} {expected}", found[0].score);
        let twice = search(&[&index], &terms("cold cold"), &Lens::all(), 5);
        assert!((twice[0].score - 2.0 * expected).abs() < 1e-12);
    }

    #[test]
    fn filters_come_before_ranking_and_ties_go_by_passage() {
        let post: Vec<&str> = vec!["cold van"; 30];
        let index =
            index(&[(100, SourceKind::Post, &post), (1, SourceKind::Issue, &["cold van", "cold van"])]);
        let lens = |only: &[SourceKind], never: &[SourceKind]| Lens {
            kinds: SourceKinds::new(only, never),
            ..Lens::all()
        };
        let only = &lens(&[SourceKind::Issue], &[]);
        assert_eq!(ids(&search(&[&index], &terms("cold van"), only, 2)), [1, 2]);
        let without = &lens(&[], &[SourceKind::Issue]);
        assert_eq!(ids(&search(&[&index], &terms("cold van"), without, 3)), [100, 101, 102]);
    }

    #[test]
    fn an_index_that_was_changed_scores_like_a_fresh_one() {
        let fresh = index(&[
            (1, SourceKind::Post, &["cold van"]),
            (5, SourceKind::Post, &["warm van", "cold truck"]),
        ]);
        let mut changed =
            index(&[(5, SourceKind::Post, &["other words", "cold cold"]), (7, SourceKind::Post, &["van"])]);
        changed.put(document(1, SourceKind::Post, &["cold van"]));
        changed.put(document(5, SourceKind::Post, &["warm van", "cold truck"]));
        changed.remove(copydesk_types::DocumentId::from_u128(7));
        let query = terms("a cold van for the truck");
        let all = &Lens::all();
        assert_eq!(search(&[&fresh], &query, all, 9), search(&[&changed], &query, all, 9));
    }

    #[test]
    fn several_knowledge_bases_are_one_corpus() {
        let together = index(&[(1, SourceKind::Post, &["cold van"]), (2, SourceKind::Post, &["van wheel"])]);
        let (one, two) =
            (index(&[(1, SourceKind::Post, &["cold van"])]), index(&[(2, SourceKind::Post, &["van wheel"])]));
        let query = terms("cold van");
        let all = &Lens::all();
        let apart = search(&[&one, &two], &query, all, 9);
        assert_eq!(apart.iter().map(|leaf| leaf.base).collect::<Vec<_>>(), [0, 1]);
        let scores = |leaves: &[Leaf]| -> Vec<f64> { leaves.iter().map(|leaf| leaf.score).collect() };
        let joined = search(&[&together], &query, all, 9);
        assert_eq!((ids(&joined), scores(&joined)), (ids(&apart), scores(&apart)));
        assert!(search(&[&KnowledgeIndex::default()], &query, all, 9).is_empty());
        assert!(search(&[&together], &terms("the of and"), all, 9).is_empty());
    }

    #[test]
    fn windows_do_not_change_what_is_found() {
        let texts: Vec<String> =
            (0..WINDOW * 3).map(|at| format!("van {}", if at % 701 == 5 { "cold" } else { "w" })).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let index = index(&[(0, SourceKind::Post, &texts)]);
        let found = search(&[&index], &terms("cold"), &Lens::all(), 100);
        let expected: Vec<u128> = (0..WINDOW as u128 * 3).filter(|at| at % 701 == 5).collect();
        assert_eq!(ids(&found), expected);
        assert_eq!(search(&[&index], &terms("van cold"), &Lens::all(), WINDOW * 3).len(), WINDOW * 3);
    }
}
