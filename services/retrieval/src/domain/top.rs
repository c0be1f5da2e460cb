//! The best leaves of a leg, without sorting the others.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::hash::BuildHasherDefault;

use copydesk_types::PassageId;

use super::index::KnowledgeIndex;
use super::quick::IdSet;
use super::ranking::Leaf;

/// A chunk with its score, on its way into a list.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ranked {
    score: f64,
    passage: PassageId,
    ordinal: u32,
    /// Which of the searched indexes it is in.
    index: u32,
    slot: u32,
}

/// Greater is worse, so that the worst of a heap is on top: lower scores, then later passages, then later chunks.
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then_with(|| (self.passage, self.ordinal).cmp(&(other.passage, other.ordinal)))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Ranked {}

/// So many of the best chunks that were offered.
#[derive(Debug)]
pub struct Top {
    capacity: usize,
    heap: BinaryHeap<Ranked>,
    /// Whether every chunk that was offered, or could have been, is in.
    complete: bool,
}

impl Top {
    fn new(capacity: usize) -> Self {
        Self { capacity, heap: BinaryHeap::new(), complete: true }
    }

    /// How many chunks it takes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Offers a chunk.
    pub fn offer(&mut self, score: f64, index: usize, slot: u32, of: &KnowledgeIndex) {
        let full = self.heap.len() >= self.capacity;
        if full && self.heap.peek().is_some_and(|worst| score < worst.score) {
            self.complete = false;
            return;
        }
        let Some(chunk) = of.slot(slot) else { return };
        let (passage, ordinal) = (chunk.passage, chunk.ordinal);
        self.heap.push(Ranked { score, passage, ordinal, index: index as u32, slot });
        if full {
            self.heap.pop();
            self.complete = false;
        }
    }

    /// The lowest score in a full list: a lower one need not be offered.
    pub fn floor(&self) -> Option<f64> {
        self.heap.peek().filter(|_| self.heap.len() >= self.capacity).map(|worst| worst.score)
    }

    /// Says that chunks were left out that are worse than all that is in.
    pub fn left_some_out(&mut self) {
        self.complete = false;
    }
}

/// Leaves that a leg looks at first: of the passages that are wanted, most come by one or two of their chunks.
fn guess(parents: usize) -> usize {
    if parents == 0 { 0 } else { parents.saturating_mul(2).saturating_add(16) }
}

/// The best leaves in order, cut off where `parents` different passages have been seen, or all of them when there are
/// not so many. `collect` fills the list that it is given; when that was too short, it is asked again for a longer one.
pub fn best(indexes: &[&KnowledgeIndex], parents: usize, mut collect: impl FnMut(&mut Top)) -> Vec<Leaf> {
    let mut capacity = guess(parents);
    while capacity > 0 {
        let mut top = Top::new(capacity);
        collect(&mut top);
        let complete = top.complete;
        let found = top.heap.into_sorted_vec();
        let (length, seen) = enough(&found, parents);
        if complete || seen == parents {
            return found[..length].iter().filter_map(|ranked| leaf(indexes, ranked)).collect();
        }
        capacity = capacity.saturating_mul(next(parents, seen));
    }
    Vec::new()
}

/// A chunk that was looked at from afar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likely {
    /// What its score is at most.
    pub most: f32,
    /// Which of the searched indexes it is in.
    pub index: u32,
    /// Where in it.
    pub slot: u32,
}

impl Eq for Likely {}

impl Ord for Likely {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.most.total_cmp(&other.most);
        by_score.then_with(|| (other.index, other.slot).cmp(&(self.index, self.slot)))
    }
}

impl PartialOrd for Likely {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a look from afar leaves: all whose score may be as high as the floor.
#[derive(Debug)]
pub struct Near {
    /// These.
    pub likely: Vec<Likely>,
    /// No chunk that was left out scores as high. The lowest of all numbers when none was, or when that is not known.
    pub floor: f32,
    /// Whether none was left out.
    pub complete: bool,
}

/// Chunks that are scored at once.
const AT_ONCE: usize = 8;

/// The same as [`best`] from scores that are dear: `look` gives what may be among so many best, `score` their scores, and
/// only chunks are scored that may come before the last one of the answer.
pub fn best_likely(
    indexes: &[&KnowledgeIndex],
    parents: usize,
    mut look: impl FnMut(usize) -> Near,
    mut score: impl FnMut(&[Likely], &mut Vec<Option<f64>>),
) -> Vec<Leaf> {
    let mut capacity = guess(parents);
    while capacity > 0 {
        let near = look(capacity);
        let complete = near.complete;
        let (found, seen) = in_order(indexes, near, parents, &mut score);
        if complete || seen == parents {
            return found.iter().filter_map(|ranked| leaf(indexes, ranked)).collect();
        }
        capacity = capacity.saturating_mul(next(parents, seen));
    }
    Vec::new()
}

/// The leaves in order until `parents` different passages have been seen or there are no more, and how many were seen. A
/// leaf comes when nothing that is not scored yet can be before it.
fn in_order(
    indexes: &[&KnowledgeIndex],
    near: Near,
    parents: usize,
    score: &mut impl FnMut(&[Likely], &mut Vec<Option<f64>>),
) -> (Vec<Ranked>, usize) {
    let mut likely = BinaryHeap::from(near.likely);
    let (mut known, mut found) = (BinaryHeap::<Reverse<Ranked>>::new(), Vec::new());
    let mut seen = IdSet::with_capacity_and_hasher(parents, BuildHasherDefault::default());
    let (mut some, mut scores) = (Vec::with_capacity(AT_ONCE), Vec::with_capacity(AT_ONCE));
    loop {
        let most = likely.peek().map_or(f32::NEG_INFINITY, |next: &Likely| next.most).max(near.floor);
        while let Some(Reverse(ranked)) = known.peek().copied()
            && (ranked.score > f64::from(most) || likely.is_empty() && ranked.score >= f64::from(most))
        {
            known.pop();
            found.push(ranked);
            if seen.insert(ranked.passage) && seen.len() == parents {
                return (found, parents);
            }
        }
        some.clear();
        some.extend(std::iter::from_fn(|| likely.pop()).take(AT_ONCE));
        if some.is_empty() {
            return (found, seen.len());
        }
        scores.clear();
        score(&some, &mut scores);
        for (one, score) in some.iter().zip(&scores) {
            let slot = indexes.get(one.index as usize).and_then(|index| index.slot(one.slot));
            let (Some(slot), Some(score)) = (slot, *score) else { continue };
            let (passage, ordinal) = (slot.passage, slot.ordinal);
            known.push(Reverse(Ranked { score, passage, ordinal, index: one.index, slot: one.slot }));
        }
    }
}

/// How many times as long a list has to be whose leaves are of so few passages: twice what would do if it went on so,
/// because the best passages have the most good chunks.
fn next(parents: usize, seen: usize) -> usize {
    (2 * parents / seen.max(1)).clamp(2, 8)
}

/// How many of the leaves it takes to see `parents` different passages, and how many passages these are of: fewer when
/// all leaves are not enough.
fn enough(found: &[Ranked], parents: usize) -> (usize, usize) {
    let mut seen = IdSet::with_capacity_and_hasher(parents, BuildHasherDefault::default());
    let at = found.iter().position(|ranked| seen.insert(ranked.passage) && seen.len() == parents);
    (at.map_or(found.len(), |at| at + 1), seen.len())
}

fn leaf(indexes: &[&KnowledgeIndex], ranked: &Ranked) -> Option<Leaf> {
    let slot = indexes.get(ranked.index as usize)?.slot(ranked.slot)?;
    // A search names sixteen knowledge bases at most.
    let base = u16::try_from(ranked.index).unwrap_or(u16::MAX);
    let (passage, ordinal, kind) = (slot.passage, slot.ordinal, slot.kind);
    Some(Leaf { passage, ordinal, span: slot.span(), kind, base, score: ranked.score })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::index::{IndexedChunk, fixture};
    use super::super::source::SourceKind;
    use super::*;

    /// An index whose chunks belong to these passages.
    fn index(passages: &[u128]) -> KnowledgeIndex {
        let mut document = fixture::document(1, SourceKind::Post, &[]);
        document.terms.chunks = vec![Vec::new(); passages.len()];
        document.chunks = passages
            .iter()
            .enumerate()
            .map(|(at, passage)| IndexedChunk {
                passage: PassageId::from_u128(*passage),
                ordinal: at as u32,
                span: 0..1,
                vector: None,
                weights: None,
            })
            .collect();
        let mut index = KnowledgeIndex::default();
        index.put(document);
        index
    }

    fn found(index: &KnowledgeIndex, scores: &[f64], parents: usize) -> Vec<(u128, u32)> {
        let leaves = best(&[index], parents, |top| {
            scores.iter().enumerate().for_each(|(slot, score)| top.offer(*score, 0, slot as u32, index));
        });
        leaves.iter().map(|leaf| (leaf.passage.as_u128(), leaf.ordinal)).collect()
    }

    #[test]
    fn one_passage_with_many_good_chunks_does_not_hide_the_others() {
        let mut passages = vec![1; 200];
        passages.extend([3, 2, 4]);
        let mut scores = vec![9.0; 200];
        scores.extend([2.0, 2.0, 1.0]);
        let index = index(&passages);
        let three = found(&index, &scores, 3);
        assert_eq!(three.len(), 202);
        assert_eq!(three[200..], [(2, 201), (3, 200)]);
        assert_eq!(found(&index, &scores, 9).len(), 203);
        assert!(found(&index, &scores, 0).is_empty());
    }

    proptest! {
        #[test]
        fn agrees_with_a_full_sort(chunks in prop::collection::vec((0u128..20, 0u8..9), 0..120), parents in 0usize..9) {
            let (passages, scores): (Vec<_>, Vec<_>) =
                chunks.iter().map(|(passage, score)| (*passage, f64::from(*score))).unzip();
            let index = index(&passages);
            let mut all: Vec<usize> = (0..chunks.len()).collect();
            all.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then((passages[*a], a).cmp(&(passages[*b], b))));
            let mut seen = std::collections::HashSet::new();
            let cut = all.iter().position(|at| seen.insert(passages[*at]) && seen.len() == parents);
            all.truncate(if parents == 0 { 0 } else { cut.map_or(all.len(), |at| at + 1) });
            let expected: Vec<_> = all.iter().map(|at| (passages[*at], *at as u32)).collect();
            prop_assert_eq!(found(&index, &scores, parents), expected);
        }
    }
}
