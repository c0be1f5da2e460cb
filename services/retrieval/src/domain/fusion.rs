//! Makes one list of the legs' lists, and weighs kinds of sources.
//!
//! Scores of several legs cannot be added before they are made comparable. Distribution-based score fusion (DBSF) maps a
//! leg's scores so that its mean minus three standard deviations is 0 and its mean plus three is 1. The upper end is not
//! a limit: the best hit of a lexical list often stands beyond it, and cutting it off would make the best ones equal.
//! Reciprocal rank fusion (RRF) looks at ranks only, `(k + 1) / (k + rank)`; the sum is then mapped by the same rule,
//! because an unmapped one hardly falls from rank to rank, and a weight of two would lift sixty places at once.
//! A lexical list alone is divided by its best score: the proportions of BM25 are kept, so equal weights change nothing.
//!
//! DBSF is the default: it keeps how much better a hit is, and measured better on most collections.

use std::hash::BuildHasherDefault;

use super::quick::{IdMap, IdSet};
use super::ranking::{Hit, Leaf, Place, rank};
use super::weights::SearchWeights;

/// By which method the legs become one list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Distribution-based score fusion.
    Dbsf,
    /// Reciprocal rank fusion with this k.
    Rrf(f64),
}

/// How the legs become one list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fusion {
    /// By which method.
    pub method: Method,
    /// What the lexical leg counts, 0 to 4.
    pub lexical: f64,
    /// What the dense leg counts, 0 to 4.
    pub dense: f64,
    /// What the sparse leg counts, 0 to 4; with 0 it takes no part.
    pub sparse: f64,
}

impl Default for Fusion {
    fn default() -> Self {
        Self { method: Method::Dbsf, lexical: 1.0, dense: 1.0, sparse: 1.0 }
    }
}

/// One leg's list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Leg {
    /// The chunks: the best ones in order, then those that were looked for besides, each chunk once.
    pub leaves: Vec<Leaf>,
    /// How many of them are the best ones; they set the scale.
    pub best: usize,
    /// True when the best ones are all that match.
    pub whole: bool,
}

impl Leg {
    /// The best chunks of a leg; `whole` when there are no others.
    pub fn new(leaves: Vec<Leaf>, whole: bool) -> Self {
        Self { best: leaves.len(), leaves, whole }
    }

    /// Adds chunks that are not in it yet.
    pub fn add(&mut self, leaves: Vec<Leaf>) {
        let held: IdSet<_> = self.leaves.iter().map(|leaf| (leaf.passage, leaf.ordinal)).collect();
        self.leaves.extend(leaves.into_iter().filter(|leaf| !held.contains(&(leaf.passage, leaf.ordinal))));
    }

    /// The lowest score among the best ones, when others match besides.
    pub fn end(&self) -> Option<f64> {
        if self.whole { None } else { self.leaves[..self.best].last().map(|leaf| leaf.score) }
    }
}

/// Weighs a lexical list. The order of the result says nothing; ranking is the next step.
pub fn lexical_only(leg: &Leg, weights: &SearchWeights) -> Vec<Hit> {
    let most = leg.leaves.iter().map(|leaf| leaf.score).fold(0.0, f64::max);
    let mut hits = Vec::with_capacity(leg.leaves.len());
    for (at, leaf) in leg.leaves.iter().enumerate() {
        let normal = if most > 0.0 { leaf.score / most } else { 1.0 };
        let weight = weights.of(leaf);
        let leaf_of_hit = Leaf { score: weight * normal, ..leaf.clone() };
        let lexical = Some(Place { score: leaf.score, rank: rank(at), normal });
        hits.push(Hit { leaf: leaf_of_hit, weight, lexical, dense: None, sparse: None, reranked: None });
    }
    hits
}

/// Fuses the lexical leg with a dense leg for each embedder, and a sparse one for each that weighs tokens, and weighs what
/// comes of it. Scores of different embedders are not comparable: each leg has a scale of its own, and no chunk is in two
/// of one kind. The order of the result says nothing; ranking is the next step.
pub fn fuse(
    fusion: Fusion,
    lexical: &Leg,
    dense: &[Leg],
    sparse: &[Leg],
    weights: &SearchWeights,
) -> Vec<Hit> {
    let mut hits: IdMap<_, Hit> =
        IdMap::with_capacity_and_hasher(2 * lexical.leaves.len(), BuildHasherDefault::default());
    let mut add = |leg: &Leg, counts: f64, set: fn(&mut Hit, Place)| {
        let scale = Scale::of(leg.leaves[..leg.best].iter().map(|leaf| leaf.score));
        for (at, leaf) in leg.leaves.iter().enumerate() {
            let normal = match fusion.method {
                Method::Dbsf => scale.normal(leaf.score),
                Method::Rrf(k) => (k + 1.0) / (k + f64::from(rank(at))),
            };
            let empty = || Hit {
                leaf: Leaf { score: 0.0, ..leaf.clone() },
                weight: weights.of(leaf),
                lexical: None,
                dense: None,
                sparse: None,
                reranked: None,
            };
            let hit = hits.entry((leaf.passage, leaf.ordinal)).or_insert_with(empty);
            hit.leaf.score += counts * normal;
            set(hit, Place { score: leaf.score, rank: rank(at), normal });
        }
    };
    add(lexical, fusion.lexical, |hit, place| hit.lexical = Some(place));
    for leg in dense {
        add(leg, fusion.dense, |hit, place| hit.dense = Some(place));
    }
    for leg in sparse {
        add(leg, fusion.sparse, |hit, place| hit.sparse = Some(place));
    }
    let mut hits: Vec<Hit> = hits.into_values().collect();
    if matches!(fusion.method, Method::Rrf(_)) {
        // In order of score: the mean of floats depends on their order, scores must not.
        let mut sums: Vec<f64> = hits.iter().map(|hit| hit.leaf.score).collect();
        sums.sort_unstable_by(|left, right| right.total_cmp(left));
        let scale = Scale::of(sums.into_iter());
        hits.iter_mut().for_each(|hit| hit.leaf.score = scale.normal(hit.leaf.score));
    }
    hits.iter_mut().for_each(|hit| hit.leaf.score *= hit.weight);
    hits
}

/// The mean and the spread of a list.
struct Scale {
    mean: f64,
    deviation: f64,
}

impl Scale {
    fn of(scores: impl ExactSizeIterator<Item = f64> + Clone) -> Self {
        let count = scores.len().max(1) as f64;
        let mean = scores.clone().sum::<f64>() / count;
        let squares: f64 = scores.map(|score| (score - mean).powi(2)).sum();
        Self { mean, deviation: (squares / count).sqrt() }
    }

    /// 0 or more; 0.5 for every score when all are equal.
    fn normal(&self, score: f64) -> f64 {
        if self.deviation <= f64::EPSILON * self.mean.abs() {
            return 0.5;
        }
        ((score - self.mean) / (6.0 * self.deviation) + 0.5).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ranking::fixture::leaf;
    use super::super::ranking::passages;
    use super::super::source::SourceKind;
    use super::super::weights::Weights;
    use super::*;

    fn leg(list: &[(u128, f64)]) -> Leg {
        Leg::new(list.iter().map(|(id, score)| leaf(*id, 0, *score)).collect(), false)
    }

    fn neutral() -> SearchWeights {
        SearchWeights::new(vec![Weights::neutral()])
    }

    fn ids(hits: &[Hit]) -> Vec<u128> {
        hits.iter().map(|hit| hit.leaf.passage.as_u128()).collect()
    }

    #[test]
    fn what_both_legs_found_comes_first_with_both_places() {
        let lexical = leg(&[(1, 9.0), (2, 8.0), (3, 1.0)]);
        let dense = leg(&[(4, 0.9), (2, 0.8), (5, 0.1)]);
        for method in [Method::Dbsf, Method::Rrf(60.0)] {
            let fusion = Fusion { method, ..Fusion::default() };
            let hits = passages(fuse(fusion, &lexical, std::slice::from_ref(&dense), &[], &neutral()));
            let first = &hits[0];
            assert_eq!((first.leaf.passage.as_u128(), hits.len()), (2, 5));
            let place = |place: Option<Place>| place.map(|place| (place.score, place.rank));
            assert_eq!((place(first.lexical), place(first.dense)), (Some((8.0, 2)), Some((0.8, 2))));
            assert_eq!((hits[1].leaf.passage.as_u128(), hits[1].dense), (1, None));
        }
    }

    #[test]
    fn equal_scores_and_single_hits_are_half() {
        for list in [leg(&[(1, 3.3)]), leg(&[(1, 0.1), (2, 0.1), (3, 0.1)]), leg(&[(1, 0.0), (2, 0.0)])] {
            let hits = fuse(Fusion::default(), &list, &[], &[], &neutral());
            assert!(hits.iter().all(|hit| hit.leaf.score == 0.5), "{list:?}");
        }
        assert!(fuse(Fusion::default(), &Leg::default(), &[], &[], &neutral()).is_empty());
    }

    #[test]
    fn a_legs_weight_of_nothing_leaves_its_own_finds_for_last() {
        let (lexical, dense) = (leg(&[(1, 9.0), (2, 8.0)]), leg(&[(3, 0.9), (2, 0.3)]));
        let fusion = Fusion { lexical: 0.0, ..Fusion::default() };
        assert_eq!(
            ids(&passages(fuse(fusion, &lexical, std::slice::from_ref(&dense), &[], &neutral()))),
            [3, 2, 1]
        );
        let heavy = Fusion { lexical: 4.0, dense: 0.5, ..Fusion::default() };
        assert_eq!(
            ids(&passages(fuse(heavy, &lexical, std::slice::from_ref(&dense), &[], &neutral()))),
            [1, 2, 3]
        );
    }

    #[test]
    fn the_best_hit_of_a_skewed_list_stands_out() {
        let mut list: Vec<(u128, f64)> = (3..100).map(|id| (id, 1.0 + id as f64 / 1e3)).collect();
        list.extend([(1, 40.0), (2, 20.0)]);
        let hits = fuse(Fusion::default(), &leg(&list), &[], &[], &neutral());
        let normal = |id| hits.iter().find(|hit| hit.leaf.passage.as_u128() == id).unwrap().leaf.score;
        assert!(normal(1) > normal(2) && normal(2) > 0.8 && normal(1) > 1.0, "{} {}", normal(1), normal(2));
    }

    #[test]
    fn what_was_looked_for_besides_does_not_move_the_scale() {
        let best = leg(&[(1, 9.0), (2, 8.0), (3, 7.0)]);
        let mut more = best.clone();
        more.add(vec![leaf(3, 0, 7.0), leaf(4, 0, 2.0)]);
        assert_eq!((more.leaves.len(), more.end()), (4, Some(7.0)));
        let of = |leg: &Leg| fuse(Fusion::default(), leg, &[], &[], &neutral());
        let score =
            |hits: &[Hit], id| hits.iter().find(|h| h.leaf.passage.as_u128() == id).map(|h| h.leaf.score);
        assert_eq!(score(&of(&best), 1), score(&of(&more), 1));
        assert_eq!(score(&of(&more), 4), Some(0.0), "far below the scale");
    }

    /// Leaves of kinds in turn, with these scores.
    fn mixed(scores: &[f64]) -> Leg {
        let one = |(at, score): (usize, &f64)| Leaf {
            kind: SourceKind::ALL[at % SourceKind::ALL.len()],
            ..leaf(at as u128 + 1, 0, *score)
        };
        Leg::new(scores.iter().enumerate().map(one).collect(), false)
    }

    fn weights() -> impl Strategy<Value = SearchWeights> {
        prop::collection::vec(0.0..6.0f64, SourceKind::ALL.len()).prop_map(|list| {
            let list = SourceKind::ALL.iter().copied().zip(list);
            SearchWeights::new(vec![Weights::neutral().with(list)])
        })
    }

    fn method() -> impl Strategy<Value = Method> {
        prop_oneof![Just(Method::Dbsf), (1.0..1000.0f64).prop_map(Method::Rrf)]
    }

    proptest! {
        #[test]
        fn scores_are_not_negative_and_keep_a_legs_order(
            scores in prop::collection::vec(-1e6..1e6f64, 1..50), method in method(),
        ) {
            let mut scores = scores;
            scores.sort_by(|left, right| right.total_cmp(left));
            let fusion = Fusion { method, ..Fusion::default() };
            let mut hits = fuse(fusion, &mixed(&scores), &[], &[], &neutral());
            prop_assert!(hits.iter().all(|hit| hit.leaf.score >= 0.0));
            hits.sort_by_key(|hit| hit.lexical.unwrap().rank);
            prop_assert!(hits.is_sorted_by(|a, b| a.leaf.score >= b.leaf.score));
        }

        #[test]
        fn a_hits_numbers_make_its_score(
            one in prop::collection::vec(0.0..30.0f64, 0..40), two in prop::collection::vec(-1.0..1.0f64, 0..40),
            three in prop::collection::vec(0.0..9.0f64, 0..40),
            weights in weights(), lexical in 0.0..4.0f64, dense in 0.0..4.0f64, sparse in 0.0..4.0f64,
        ) {
            let fusion = Fusion { method: Method::Dbsf, lexical, dense, sparse };
            for hit in fuse(fusion, &mixed(&one), &[mixed(&two)], &[mixed(&three)], &weights) {
                let normal = |place: Option<Place>| place.map_or(0.0, |place| place.normal);
                let sum = lexical * normal(hit.lexical) + dense * normal(hit.dense) + sparse * normal(hit.sparse);
                prop_assert!((hit.leaf.score - hit.weight * sum).abs() < 1e-12);
                prop_assert_eq!(hit.weight, weights.of(&hit.leaf));
                prop_assert!((0.25..=4.0).contains(&hit.weight));
            }
        }

        #[test]
        fn neutral_weights_leave_a_lexical_list_as_it_is(scores in prop::collection::vec(0.01..40.0f64, 1..60)) {
            let mut scores = scores;
            scores.sort_by(|left, right| right.total_cmp(left));
            scores.dedup();
            let ranked = passages(lexical_only(&mixed(&scores), &neutral()));
            let order: Vec<u128> = (1..=scores.len() as u128).collect();
            prop_assert_eq!(ids(&ranked), order);
            prop_assert_eq!(ranked[0].leaf.score, 1.0);
        }

        #[test]
        fn a_heavier_kind_never_falls(scores in prop::collection::vec(0.01..40.0f64, 2..60), weight in 1.0..4.0f64) {
            let leg = mixed(&scores);
            let kind = SourceKind::ALL[0];
            let heavier = SearchWeights::new(vec![Weights::neutral().with([(kind, weight)])]);
            let place = |hits: &[Hit]| {
                hits.iter().enumerate().filter(|(_, hit)| hit.leaf.kind == kind).map(|(at, _)| at).collect::<Vec<_>>()
            };
            let before = place(&passages(lexical_only(&leg, &neutral())));
            let after = place(&passages(lexical_only(&leg, &heavier)));
            prop_assert!(before.iter().zip(&after).all(|(before, after)| after <= before));
        }
    }
}
