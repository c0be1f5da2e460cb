//! The sparse leg: the lexical weights that a model has learned, the query's and the chunks', multiplied over the tokens
//! that both hold and added up. Exact: what is answered is what comparing with every chunk would answer.

use super::index::KnowledgeIndex;
use super::lens::Lens;
use super::ranking::Leaf;
use super::scan::{Scan, Worth};
use super::token_weights::{TokenWeights, score};
use super::top::best;

/// A posting gives the product of the units: whole numbers, whose sums are exact.
struct Product;

impl Worth for Product {
    fn part(&self, weight: f64, count: u16, _: u16) -> f64 {
        weight * f64::from(count)
    }
}

/// The best chunks that the lens lets through for a query's tokens: enough of them for `parents` different passages, if
/// there are so many. Every hit shares a token with the query.
pub fn search(indexes: &[&KnowledgeIndex], query: &TokenWeights, lens: &Lens, parents: usize) -> Vec<Leaf> {
    let visible: Vec<_> = indexes.iter().map(|index| index.visible(lens)).collect();
    let mut found = best(indexes, parents, |top| {
        for (at, (index, visible)) in indexes.iter().zip(&visible).enumerate() {
            let lists = query.iter().map(|(token, units)| (index.holding(token), f64::from(units)));
            Scan::new(lists, visible, &Product).run(top, |top, slot, sum| top.offer(sum, at, slot, index));
        }
    });
    found.iter_mut().for_each(|leaf| leaf.score = score(leaf.score));
    found
}

#[cfg(test)]
mod tests {
    use copydesk_types::DocumentId;
    use proptest::prelude::*;

    use super::super::index::fixture::document;
    use super::super::source::{SourceKind, SourceKinds};
    use super::*;

    type Pairs = Vec<(u32, f32)>;

    fn put(index: &mut KnowledgeIndex, id: u128, kind: SourceKind, chunks: &[Pairs]) {
        let mut document = document(id, kind, &vec!["a"; chunks.len()]);
        for (chunk, pairs) in document.chunks.iter_mut().zip(chunks) {
            chunk.weights = Some(TokenWeights::of(pairs.clone()));
        }
        index.put(document);
    }

    fn found(index: &KnowledgeIndex, query: &Pairs, lens: &Lens, parents: usize) -> Vec<(f64, u128)> {
        let leaves = search(&[index], &TokenWeights::of(query.clone()), lens, parents);
        leaves.iter().map(|leaf| (leaf.score, leaf.passage.as_u128())).collect()
    }

    #[test]
    fn products_of_shared_tokens_are_added_and_ties_go_by_passage() {
        let mut index = KnowledgeIndex::default();
        put(
            &mut index,
            1,
            SourceKind::Post,
            &[vec![(5, 0.5), (9, 0.25)], vec![(5, 1.0)], vec![(7, 3.0)], vec![]],
        );
        put(&mut index, 10, SourceKind::Issue, &[vec![(9, 2.0)], vec![(5, 1.0)]]);
        let (all, query) = (Lens::all(), vec![(5, 1.0), (9, 0.5), (8, 1.0)]);
        assert_eq!(found(&index, &query, &all, 9), [(1.0, 2), (1.0, 10), (1.0, 11), (0.625, 1)]);
        assert_eq!(found(&index, &query, &all, 2), [(1.0, 2), (1.0, 10)]);
        let issues = Lens { kinds: SourceKinds::new(&[SourceKind::Issue], &[]), ..Lens::all() };
        assert_eq!(found(&index, &query, &issues, 1), [(1.0, 10)]);
        index.remove(DocumentId::from_u128(10));
        assert_eq!(found(&index, &query, &all, 9), [(1.0, 2), (0.625, 1)]);
        assert!(
            found(&index, &vec![(8, 1.0)], &all, 9).is_empty() && found(&index, &query, &all, 0).is_empty()
        );
    }

    #[test]
    fn an_index_without_weights_pays_nothing_and_gives_back_what_it_took() {
        let with = |pairs: &[Pairs]| {
            let mut index = KnowledgeIndex::default();
            put(&mut index, 1, SourceKind::Post, pairs);
            index
        };
        let pairs: Pairs = (0..100).map(|token| (token * 31, 0.5)).collect();
        let mut plain = KnowledgeIndex::default();
        plain.put(document(1, SourceKind::Post, &["a"]));
        let (none, full) = (with(&[vec![]]).bytes(), with(std::slice::from_ref(&pairs)).bytes());
        assert_eq!(plain.bytes(), none);
        // A posting of eight bytes for each token, and the lists around them.
        assert!(full >= none + 800, "{none} {full}");
        let mut index = with(&[pairs]);
        put(&mut index, 1, SourceKind::Post, &[vec![]]);
        assert!(index.bytes() < full);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn finds_what_comparing_with_each_finds(
            documents in prop::collection::vec(prop::collection::vec(prop::collection::vec((0u32..60, 0.0f32..4.0), 0..25), 1..40), 1..60),
            query in prop::collection::vec((0u32..70, 0.0f32..4.0), 0..20),
            gone in prop::collection::vec(0usize..60, 0..9), parents in 1usize..30, one_kind in any::<bool>(),
        ) {
            let mut index = KnowledgeIndex::default();
            let kind = |at: usize| if at.is_multiple_of(3) { SourceKind::Post } else { SourceKind::Issue };
            for (at, chunks) in documents.iter().enumerate() {
                // Twice, as after a change of embedder.
                put(&mut index, at as u128 * 1000, kind(at), &documents[(at * 7 + 1) % documents.len()]);
                put(&mut index, at as u128 * 1000, kind(at), chunks);
            }
            gone.iter().for_each(|at| index.remove(DocumentId::from_u128(*at as u128 * 1000)));
            let kinds = if one_kind { SourceKinds::new(&[SourceKind::Post], &[]) } else { SourceKinds::all() };
            let lens = Lens { kinds, ..Lens::all() };
            let asked = TokenWeights::of(query.clone());
            let mut expected = Vec::new();
            for (at, chunks) in documents.iter().enumerate().filter(|(at, _)| !gone.contains(at) && kinds.contains(kind(*at))) {
                for (ordinal, pairs) in chunks.iter().enumerate() {
                    let product = asked.product(&TokenWeights::of(pairs.clone()));
                    if product > 0 {
                        expected.push((score(product as f64), at as u128 * 1000 + ordinal as u128));
                    }
                }
            }
            expected.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
            expected.truncate(parents);
            prop_assert_eq!(found(&index, &query, &lens, parents), expected);
        }
    }
}
