//! Makes one list of two legs: distribution-based score fusion (DBSF).
//!
//! Each leg's scores are mapped so that its mean minus three standard deviations is 0 and its mean plus three is 1,
//! then a chunk's two numbers are added; a leg that did not find it adds nothing. Chosen over reciprocal ranks because
//! it keeps how much better a hit is, and measured better on most collections.

use std::collections::HashMap;

use super::ranking::{Hit, Leaf, Place, rank};

/// Fuses the lexical leg with those of each embedder, whose scores are not comparable with another's. The order of the
/// result says nothing; ranking is the next step.
pub fn fuse(lexical: &[Leaf], dense: &[Vec<Leaf>]) -> Vec<Hit> {
    let mut hits: HashMap<_, Hit> = HashMap::with_capacity(2 * lexical.len());
    let mut add = |leaves: &[Leaf], set: fn(&mut Hit, Place)| {
        let scale = Scale::of(leaves);
        for (at, leaf) in leaves.iter().enumerate() {
            let empty = || Hit { leaf: Leaf { score: 0.0, ..leaf.clone() }, lexical: None, dense: None };
            let hit = hits.entry((leaf.passage, leaf.ordinal)).or_insert_with(empty);
            hit.leaf.score += scale.normal(leaf.score);
            set(hit, Place { score: leaf.score, rank: rank(at) });
        }
    };
    add(lexical, |hit, place| hit.lexical = Some(place));
    for leaves in dense {
        add(leaves, |hit, place| hit.dense = Some(place));
    }
    hits.into_values().collect()
}

struct Scale {
    mean: f64,
    deviation: f64,
}

impl Scale {
    fn of(leaves: &[Leaf]) -> Self {
        let count = leaves.len().max(1) as f64;
        let mean = leaves.iter().map(|leaf| leaf.score).sum::<f64>() / count;
        let squares: f64 = leaves.iter().map(|leaf| (leaf.score - mean).powi(2)).sum();
        Self { mean, deviation: (squares / count).sqrt() }
    }

    /// 0 to 1; 0.5 for every score when all are equal.
    fn normal(&self, score: f64) -> f64 {
        if self.deviation <= f64::EPSILON * self.mean.abs() {
            return 0.5;
        }
        ((score - self.mean) / (6.0 * self.deviation) + 0.5).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use copydesk_types::PassageId;
    use proptest::prelude::*;

    use super::super::ranking::passages;
    use super::*;

    fn leaves(list: &[(u128, f64)]) -> Vec<Leaf> {
        let leaf = |(id, score): &(u128, f64)| Leaf {
            passage: PassageId::from_u128(*id),
            ordinal: 0,
            span: 0..1,
            score: *score,
        };
        list.iter().map(leaf).collect()
    }

    #[test]
    fn what_both_legs_found_comes_first_with_both_places() {
        let lexical = leaves(&[(1, 9.0), (2, 8.0), (3, 1.0)]);
        let dense = leaves(&[(4, 0.9), (2, 0.8), (5, 0.1)]);
        let hits = passages(fuse(&lexical, std::slice::from_ref(&dense)), 9);
        let first = &hits[0];
        assert_eq!((first.leaf.passage.as_u128(), hits.len()), (2, 5));
        assert_eq!(first.lexical, Some(Place { score: 8.0, rank: 2 }));
        assert_eq!(first.dense, Some(Place { score: 0.8, rank: 2 }));
        assert_eq!((hits[1].leaf.passage.as_u128(), hits[1].dense), (1, None));
    }

    #[test]
    fn equal_scores_and_single_hits_are_half() {
        for list in
            [leaves(&[(1, 3.3)]), leaves(&[(1, 0.1), (2, 0.1), (3, 0.1)]), leaves(&[(1, 0.0), (2, 0.0)])]
        {
            assert!(fuse(&list, &[]).iter().all(|hit| hit.leaf.score == 0.5), "{list:?}");
        }
        assert!(fuse(&[], &[]).is_empty());
    }

    proptest! {
        #[test]
        fn scores_stay_in_range_and_keep_a_legs_order(scores in prop::collection::vec(-1e6..1e6f64, 1..50)) {
            let list: Vec<(u128, f64)> = scores.iter().enumerate().map(|(at, s)| (at as u128, *s)).collect();
            let mut hits = fuse(&leaves(&list), &[]);
            prop_assert!(hits.iter().all(|hit| (0.0..=1.0).contains(&hit.leaf.score)));
            hits.sort_by(|a, b| a.lexical.unwrap().score.total_cmp(&b.lexical.unwrap().score));
            prop_assert!(hits.is_sorted_by(|a, b| a.leaf.score <= b.leaf.score));
        }
    }
}
