//! Ranked lists: of chunks in a leg, and of the passages that a search answers with.

use std::ops::Range;

use copydesk_types::PassageId;

use super::quick::IdSet;
use super::source::SourceKind;

/// A chunk that a leg found.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The passage it is in.
    pub passage: PassageId,
    /// Its place in the passage.
    pub ordinal: u32,
    /// Its bytes in the document's text.
    pub span: Range<u64>,
    /// What kind of source its document is.
    pub kind: SourceKind,
    /// The place of its knowledge base among the searched ones, from 0.
    pub base: u16,
    /// The leg's score; never NaN.
    pub score: f64,
}

/// What one leg said of a chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The leg's score.
    pub score: f64,
    /// The chunk's place in the leg's list, from 1.
    pub rank: u32,
    /// The score as it counts when legs are made one list, 0 or more.
    pub normal: f64,
}

/// What a reranker said of a passage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reranked {
    /// Its score; never NaN.
    pub score: f64,
    /// The passage's place, from 1.
    pub rank: u32,
}

/// A chunk with what each leg said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The chunk; its score is the fused one, 0 or more.
    pub leaf: Leaf,
    /// What its kind of source counts.
    pub weight: f64,
    /// What the lexical leg said.
    pub lexical: Option<Place>,
    /// What the dense leg said.
    pub dense: Option<Place>,
    /// What the sparse leg said.
    pub sparse: Option<Place>,
    /// What the reranker said.
    pub reranked: Option<Reranked>,
}

/// How many different passages the leaves are of.
pub fn parents(leaves: &[Leaf]) -> usize {
    leaves.iter().map(|leaf| leaf.passage).collect::<IdSet<_>>().len()
}

/// The order of every list: higher scores, then lower passage ids, then earlier chunks.
pub fn order(left: &Leaf, right: &Leaf) -> std::cmp::Ordering {
    let by_score = right.score.total_cmp(&left.score);
    by_score.then_with(|| (left.passage, left.ordinal).cmp(&(right.passage, right.ordinal)))
}

/// A place in a list as a rank.
pub fn rank(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

/// Each passage once, by its best chunk: highest score first, equal scores in order of passage id.
pub fn passages(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_unstable_by(|left, right| order(&left.leaf, &right.leaf));
    let mut seen = IdSet::default();
    hits.retain(|hit| seen.insert(hit.leaf.passage));
    hits
}

#[cfg(test)]
pub(crate) mod fixture {
    use super::*;

    /// A leaf of the first knowledge base, of a post.
    pub(crate) fn leaf(passage: u128, ordinal: u32, score: f64) -> Leaf {
        let passage = PassageId::from_u128(passage);
        Leaf { passage, ordinal, span: 0..1, kind: SourceKind::Post, base: 0, score }
    }

    /// A hit without places.
    pub(crate) fn hit(passage: u128, ordinal: u32, score: f64) -> Hit {
        let leaf = leaf(passage, ordinal, score);
        Hit { leaf, weight: 1.0, lexical: None, dense: None, sparse: None, reranked: None }
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::{hit, leaf};
    use super::*;

    #[test]
    fn passages_are_counted_once() {
        assert_eq!(parents(&[leaf(1, 0, 2.0), leaf(1, 1, 2.0), leaf(4, 0, 1.0)]), 2);
    }

    #[test]
    fn a_passage_comes_once_by_its_best_chunk() {
        let hits = passages(vec![hit(2, 1, 3.0), hit(1, 0, 3.0), hit(2, 0, 3.0), hit(3, 0, 1.0)]);
        let found: Vec<_> = hits.iter().map(|hit| (hit.leaf.passage.as_u128(), hit.leaf.ordinal)).collect();
        assert_eq!(found, [(1, 0), (2, 0), (3, 0)]);
    }
}
