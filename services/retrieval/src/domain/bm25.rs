//! The lexical leg: BM25 with k1 = 1.2 and b = 0.75 over the chunks of the searched knowledge bases.
//!
//! Rarity and average length come from exactly those knowledge bases taken together, whatever the filter, so hits
//! from several of them stand in one ranking. A term that comes twice in the query counts twice: long questions need
//! that. The index keeps terms, not prefixes or spellings.
//!
//! Most postings are not looked at, see [`scan`](super::scan). What is answered is what scoring every chunk would answer,
//! to the last bit: what a term gives is a multiple of 2⁻³², so sums have no rounding and no order.

use std::collections::BTreeMap;

use super::index::KnowledgeIndex;
use super::lens::Lens;
use super::ranking::Leaf;
use super::scan::{Scan, Worth};
use super::terms::TermId;
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
    let mut query: BTreeMap<&str, u32> = BTreeMap::new();
    for term in terms {
        *query.entry(term).or_default() += 1;
    }
    let weights: Vec<(TermId, f64)> = query
        .into_iter()
        .map(|(term, count)| {
            let term = TermId::of(term);
            let holding: usize = indexes.iter().map(|index| index.postings(term).len()).sum();
            (term, f64::from(count) * rarity(chunks, holding as u64))
        })
        .collect();
    let visible: Vec<_> = indexes.iter().map(|index| index.visible(lens)).collect();
    best(indexes, parents, |top| {
        for (at, (index, visible)) in indexes.iter().zip(&visible).enumerate() {
            let lists = weights.iter().map(|(term, weight)| (index.postings(*term), *weight));
            Scan::new(lists, visible, &norms).run(top, |top, slot, score| top.offer(score, at, slot, index));
        }
    })
}

/// How rare a term is that so many of all chunks hold.
pub(super) fn rarity(chunks: u64, holding: u64) -> f64 {
    ((chunks - holding) as f64 + 0.5).mul_add(1.0 / (holding as f64 + 0.5), 1.0).ln()
}

/// What the length of a chunk does to its scores; for usual lengths once a search instead of once a posting.
pub(super) struct Norms {
    average: f64,
    usual: Vec<f64>,
}

impl Norms {
    pub(super) fn new(average: f64) -> Self {
        const USUAL: u16 = 512;
        Self { average, usual: (0..USUAL).map(|length| norm(length, average)).collect() }
    }
}

impl Worth for Norms {
    /// What a term of this weight gives to a chunk of this length that holds it so often, in multiples of 2⁻³².
    fn part(&self, weight: f64, count: u16, length: u16) -> f64 {
        // Adding a number of such a size leaves no bits for anything finer. What a query's words weigh is far below it.
        const FINEST: f64 = 1.5 * (1u64 << 20) as f64;
        let norm = self.usual.get(usize::from(length)).copied().unwrap_or_else(|| norm(length, self.average));
        let count = f64::from(count);
        (weight * (K1 + 1.0) * count / (count + norm) + FINEST) - FINEST
    }
}

/// What a term of weight 1 gives to a chunk of this length that holds it so often, beside this mean length; not rounded.
pub(super) fn unrounded(count: u16, length: u16, average: f64) -> f64 {
    let count = f64::from(count);
    count * (K1 + 1.0) / (count + norm(length, average))
}

/// What the length of a chunk does, beside the mean length of all.
pub(super) fn norm(length: u16, average: f64) -> f64 {
    K1 * (1.0 - B + B * f64::from(length) / average)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::index::fixture::document;
    use super::super::scan::WINDOW;
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
        assert!((found[0].score - expected).abs() < 1e-9, "{} {expected}", found[0].score);
        let twice = search(&[&index], &terms("cold cold"), &Lens::all(), 5);
        assert!((twice[0].score - 2.0 * expected).abs() < 1e-9);
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

    /// Scores every chunk from its own postings, without windows, bounds or floors.
    fn exhaustive(index: &KnowledgeIndex, terms: &[String], lens: &Lens, parents: usize) -> Vec<(u128, f64)> {
        let norms = Norms::new(index.length() as f64 / index.chunks().max(1) as f64);
        let visible = index.visible(lens);
        let mut query: BTreeMap<&str, u32> = BTreeMap::new();
        terms.iter().for_each(|term| *query.entry(term).or_default() += 1);
        let mut scores: BTreeMap<u32, f64> = BTreeMap::new();
        for (term, count) in query {
            let postings = index.postings(TermId::of(term));
            let weight = f64::from(count) * rarity(index.chunks(), postings.len() as u64);
            for own in postings.iter().filter(|own| visible.contains(own.slot)) {
                *scores.entry(own.slot).or_default() += norms.part(weight, own.count, own.length);
            }
        }
        let passage = |slot: u32| index.slot(slot).unwrap().passage.as_u128();
        let mut all: Vec<_> = scores.into_iter().map(|(slot, score)| (passage(slot), score)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(parents);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn what_is_passed_over_is_not_among_the_best(
            seed in any::<u64>(), chunks in 1usize..6000, words in 1u64..40, asked in prop::collection::vec(0u64..50, 1..9),
            parents in 1usize..40, one_kind in any::<bool>(), gone in 0u128..4,
        ) {
            let mut state = seed | 1;
            let mut dice = |sides: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % sides
            };
            // Words of all frequencies, chunks of all lengths.
            let mut text = || {
                let mut text = String::new();
                for _ in 0..dice(30) {
                    let most = dice(words) + 1;
                    text.push_str(&format!("w{} ", dice(most)));
                }
                text
            };
            let texts: Vec<String> = (0..chunks).map(|_| text()).collect();
            let mut index = KnowledgeIndex::default();
            for (at, part) in texts.chunks(97).enumerate() {
                let kind = if at % 3 == 0 { SourceKind::Post } else { SourceKind::Issue };
                index.put(document(at as u128 * 1000, kind, &part.iter().map(String::as_str).collect::<Vec<_>>()));
            }
            index.remove(copydesk_types::DocumentId::from_u128(gone * 1000));
            let query: Vec<String> = asked.iter().map(|word| format!("w{word}")).collect();
            let kinds = if one_kind { SourceKinds::new(&[SourceKind::Post], &[]) } else { SourceKinds::all() };
            let lens = Lens { kinds, ..Lens::all() };
            let found = search(&[&index], &query, &lens, parents);
            let found: Vec<_> = found.iter().map(|leaf| (leaf.passage.as_u128(), leaf.score)).collect();
            prop_assert_eq!(found, exhaustive(&index, &query, &lens, parents));
        }
    }
}
