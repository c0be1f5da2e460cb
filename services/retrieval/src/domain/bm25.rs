//! The lexical leg: BM25 with k1 = 1.2 and b = 0.75 over the chunks of the searched knowledge bases.
//!
//! Rarity and average length come from exactly those knowledge bases taken together, whatever the filter, so hits
//! from several of them stand in one ranking. A term that comes twice in the query counts twice: long questions need
//! that. The index keeps terms, not prefixes or spellings.

use std::collections::BTreeMap;

use super::index::{KnowledgeIndex, Slot};
use super::ranking::{Leaf, best};
use super::source::SourceKinds;

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// The best chunks of these kinds for the terms: enough of them for `parents` different passages, if there are so
/// many. Every hit holds at least one term.
pub fn search(
    indexes: &[&KnowledgeIndex],
    terms: &[String],
    kinds: SourceKinds,
    parents: usize,
) -> Vec<Leaf> {
    let chunks: u64 = indexes.iter().map(|index| index.chunks()).sum();
    let length: u64 = indexes.iter().map(|index| index.length()).sum();
    if chunks == 0 || length == 0 {
        return Vec::new();
    }
    let average = length as f64 / chunks as f64;
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
    let leaves =
        (0u16..).zip(indexes).flat_map(|(base, index)| leaves(index, base, &weights, average, kinds));
    best(leaves.collect(), parents)
}

/// How rare a term is that so many of all chunks hold.
pub(super) fn rarity(chunks: u64, holding: u64) -> f64 {
    ((chunks - holding) as f64 + 0.5).mul_add(1.0 / (holding as f64 + 0.5), 1.0).ln()
}

fn leaves(
    index: &KnowledgeIndex,
    base: u16,
    weights: &[(&str, f64)],
    average: f64,
    kinds: SourceKinds,
) -> Vec<Leaf> {
    let mut scores = vec![0.0f64; index.slots() as usize];
    let mut touched = Vec::new();
    for (term, weight) in weights {
        for posting in index.postings(term) {
            let Some(slot) = index.slot(posting.slot).filter(|slot| kinds.contains(slot.kind)) else {
                continue;
            };
            let score = &mut scores[posting.slot as usize];
            if *score == 0.0 {
                touched.push(posting.slot);
            }
            *score += weight * saturation(posting.count, slot.length, average);
        }
    }
    let leaf = |slot: &Slot, score| Leaf {
        passage: slot.passage,
        ordinal: slot.ordinal,
        span: slot.span.clone(),
        kind: slot.kind,
        base,
        score,
    };
    touched.into_iter().filter_map(|at| index.slot(at).map(|slot| leaf(slot, scores[at as usize]))).collect()
}

/// What so many occurrences in a chunk of this length count.
pub(super) fn saturation(count: u32, length: u32, average: f64) -> f64 {
    let count = f64::from(count);
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * f64::from(length) / average))
}

#[cfg(test)]
mod tests {
    use super::super::index::fixture::document;
    use super::super::source::SourceKind;
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
        let found = search(&[&index], &terms("cold"), SourceKinds::all(), 5);
        // Three chunks, one holds the term twice; three terms against an average of 8 / 3.
        let expected =
            (1.0f64 + 2.5 / 1.5).ln() * 2.0 * 2.2 / (2.0 + 1.2 * (0.25 + 0.75 * 3.0 / (8.0 / 3.0)));
        assert_eq!(ids(&found), [1]);
        assert!((found[0].score - expected).abs() < 1e-12, "{} {expected}", found[0].score);
        let twice = search(&[&index], &terms("cold cold"), SourceKinds::all(), 5);
        assert!((twice[0].score - 2.0 * expected).abs() < 1e-12);
    }

    #[test]
    fn filters_come_before_ranking_and_ties_go_by_passage() {
        let post: Vec<&str> = vec!["cold van"; 30];
        let index =
            index(&[(100, SourceKind::Post, &post), (1, SourceKind::Issue, &["cold van", "cold van"])]);
        let only = SourceKinds::new(&[SourceKind::Issue], &[]);
        assert_eq!(ids(&search(&[&index], &terms("cold van"), only, 2)), [1, 2]);
        let without = SourceKinds::new(&[], &[SourceKind::Issue]);
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
        let all = SourceKinds::all();
        assert_eq!(search(&[&fresh], &query, all, 9), search(&[&changed], &query, all, 9));
    }

    #[test]
    fn several_knowledge_bases_are_one_corpus() {
        let together = index(&[(1, SourceKind::Post, &["cold van"]), (2, SourceKind::Post, &["van wheel"])]);
        let (one, two) =
            (index(&[(1, SourceKind::Post, &["cold van"])]), index(&[(2, SourceKind::Post, &["van wheel"])]));
        let query = terms("cold van");
        let all = SourceKinds::all();
        let apart = search(&[&one, &two], &query, all, 9);
        assert_eq!(apart.iter().map(|leaf| leaf.base).collect::<Vec<_>>(), [0, 1]);
        let scores = |leaves: &[Leaf]| -> Vec<f64> { leaves.iter().map(|leaf| leaf.score).collect() };
        let joined = search(&[&together], &query, all, 9);
        assert_eq!((ids(&joined), scores(&joined)), (ids(&apart), scores(&apart)));
        assert!(search(&[&KnowledgeIndex::default()], &query, all, 9).is_empty());
        assert!(search(&[&together], &terms("the of and"), all, 9).is_empty());
    }
}
