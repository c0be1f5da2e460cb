//! Ranked lists: of chunks in a leg, and of the passages that a search answers with.

use std::collections::HashSet;
use std::ops::Range;

use copydesk_types::PassageId;

/// A chunk that a leg found.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The passage it is in.
    pub passage: PassageId,
    /// Its place in the passage.
    pub ordinal: u32,
    /// Its bytes in the document's text.
    pub span: Range<u64>,
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
}

/// A chunk with what each leg said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The chunk; its score is the one that ranks, 0 or more.
    pub leaf: Leaf,
    /// What the lexical leg said.
    pub lexical: Option<Place>,
    /// What the dense leg said.
    pub dense: Option<Place>,
}

fn order(left: &Leaf, right: &Leaf) -> std::cmp::Ordering {
    let by_score = right.score.total_cmp(&left.score);
    by_score.then_with(|| (left.passage, left.ordinal).cmp(&(right.passage, right.ordinal)))
}

/// A lexical leg by itself as hits.
pub fn lexical_only(leaves: Vec<Leaf>) -> Vec<Hit> {
    let hit = |(at, leaf): (usize, Leaf)| {
        let place = Place { score: leaf.score, rank: rank(at) };
        Hit { leaf, lexical: Some(place), dense: None }
    };
    leaves.into_iter().enumerate().map(hit).collect()
}

/// A place in a list as a rank.
pub fn rank(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

/// Each passage once, by its best chunk: highest score first, equal scores in order of passage id, `top_k` at most.
pub fn passages(mut hits: Vec<Hit>, top_k: usize) -> Vec<Hit> {
    hits.sort_by(|left, right| order(&left.leaf, &right.leaf));
    let mut seen = HashSet::new();
    hits.retain(|hit| seen.insert(hit.leaf.passage));
    hits.truncate(top_k);
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(passage: u128, ordinal: u32, score: f64) -> Leaf {
        Leaf { passage: PassageId::from_u128(passage), ordinal, span: 0..1, score }
    }

    #[test]
    fn a_passage_comes_once_by_its_best_chunk() {
        let hits = lexical_only(vec![leaf(2, 1, 3.0), leaf(1, 0, 3.0), leaf(2, 0, 3.0), leaf(3, 0, 1.0)]);
        let found: Vec<_> =
            passages(hits, 2).iter().map(|hit| (hit.leaf.passage.as_u128(), hit.leaf.ordinal)).collect();
        assert_eq!(found, [(1, 0), (2, 0)]);
    }
}
