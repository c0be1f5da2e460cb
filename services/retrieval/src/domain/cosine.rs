//! The dense leg: the cosine of the query's vector with the visible chunks' vectors. Up to a number of them it is exact:
//! what is answered is what a full comparison with each would answer; see [`Matrix::look`](super::index::Matrix::look) for
//! how most are passed over. Above it a graph leads to those that are compared, unless the lens asks for all: most of the
//! nearest are found, each with its exact cosine, and as many as are wanted whenever there are so many.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::index::{Effort, KnowledgeIndex, Probe};
use super::lens::Lens;
use super::ranking::Leaf;
use super::top::{Likely, Near, best_likely};

/// The nearest chunks that the lens lets through: enough of them for `parents` different passages, if there are so many.
/// Chunks without a vector of the query's width are not found.
pub fn search(
    indexes: &[&KnowledgeIndex],
    query: Vec<f32>,
    lens: &Lens,
    parents: usize,
    effort: Effort,
) -> Vec<Leaf> {
    let effort = if lens.exact { Effort::EXACT } else { effort };
    let Some(probe) = Probe::new(query) else { return Vec::new() };
    let visible: Vec<_> = indexes.iter().map(|index| index.visible(lens)).collect();
    let look = |capacity: usize| {
        let mut floor = Floor::new(capacity);
        let (mut likely, mut complete) = (Vec::new(), true);
        for (at, (index, visible)) in indexes.iter().zip(&visible).enumerate() {
            let led = index.lead(&probe, visible, capacity, effort);
            complete &= led.is_none();
            index.matrix().look(&probe, led.as_ref().unwrap_or(visible), |slot, low, high| {
                likely.push(Likely { most: high, index: at as u32, slot });
                floor.raise(low)
            });
        }
        let floor = floor.value();
        likely.retain(|one| one.most >= floor);
        Near { likely, floor, complete: complete && floor == f32::NEG_INFINITY }
    };
    let score = |some: &[Likely], scores: &mut Vec<Option<f64>>| {
        for (at, index) in indexes.iter().enumerate() {
            index.matrix().fetch(some.iter().filter(|one| one.index as usize == at).map(|one| one.slot));
        }
        let cosine = |one: &Likely| indexes.get(one.index as usize)?.matrix().cosine(one.slot, &probe);
        scores.extend(some.iter().map(cosine));
    };
    best_likely(indexes, parents, look, score)
}

/// The lowest of so many of the highest numbers seen: what lies below it is not among the best.
struct Floor {
    capacity: usize,
    highest: BinaryHeap<Reverse<Number>>,
}

impl Floor {
    fn new(capacity: usize) -> Self {
        Self { capacity, highest: BinaryHeap::with_capacity(capacity.min(1 << 16) + 1) }
    }

    /// Notes a number and gives the floor.
    fn raise(&mut self, number: f32) -> f32 {
        if self.highest.len() < self.capacity {
            self.highest.push(Reverse(Number(number)));
        } else if let Some(mut lowest) = self.highest.peek_mut()
            && number > lowest.0.0
        {
            *lowest = Reverse(Number(number));
        }
        self.value()
    }

    /// No number before there are enough.
    fn value(&self) -> f32 {
        let full = self.highest.len() >= self.capacity;
        self.highest.peek().filter(|_| full).map_or(f32::NEG_INFINITY, |lowest| lowest.0.0)
    }
}

/// A float in its total order.
#[derive(PartialEq)]
struct Number(f32);

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::index::fixture::document;
    use super::super::source::{SourceKind, SourceKinds};
    use super::*;

    #[test]
    fn nearest_first_and_only_what_has_a_vector() {
        let mut doc = document(1, SourceKind::Post, &["a", "b", "c", "d"]);
        for (chunk, angle) in doc.chunks.iter_mut().zip([1.2f32, 0.1, 3.0]) {
            chunk.vector = Some(vec![5.0 * angle.cos(), 5.0 * angle.sin()]);
        }
        let mut index = KnowledgeIndex::default();
        index.put(doc);
        let found = search(&[&index], vec![2.0, 0.0], &Lens::all(), 9, Effort::EXACT);
        let ids: Vec<_> = found.iter().map(|leaf| leaf.passage.as_u128()).collect();
        assert_eq!(ids, [2, 1, 3]);
        assert!((found[0].score - f64::from(0.1f32.cos())).abs() < 1e-6);
        assert!(found[2].score < -0.9);
        for odd in [&[0.0, 0.0][..], &[1.0], &[f32::NAN, 0.0]] {
            assert!(search(&[&index], odd.to_vec(), &Lens::all(), 9, Effort::EXACT).is_empty());
        }
        let issues = Lens { kinds: SourceKinds::new(&[SourceKind::Issue], &[]), ..Lens::all() };
        assert!(search(&[&index], vec![1.0, 0.0], &issues, 9, Effort::EXACT).is_empty());
    }

    proptest! {
        #[test]
        fn finds_what_comparing_with_each_finds(
            rows in prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 5), 1..150),
            query in prop::collection::vec(-1.0f32..1.0, 5),
            parents in 1usize..6,
        ) {
            let texts = vec!["a"; rows.len()];
            let mut doc = document(1, SourceKind::Post, &texts);
            for (chunk, row) in doc.chunks.iter_mut().zip(&rows) {
                chunk.vector = Some(row.clone());
            }
            let mut index = KnowledgeIndex::default();
            index.put(doc);
            let Some(probe) = Probe::new(query.clone()) else { return Ok(()) };
            let mut expected: Vec<(f64, u128)> = (0..rows.len())
                .filter_map(|slot| Some((index.matrix().cosine(slot as u32, &probe)?, slot as u128 + 1)))
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(parents);
            let found = search(&[&index], query, &Lens::all(), parents, Effort::EXACT);
            let found: Vec<(f64, u128)> = found.iter().map(|leaf| (leaf.score, leaf.passage.as_u128())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
