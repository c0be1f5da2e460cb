//! Maximal marginal relevance: an order in which each passage is as good and as new as can be.

use std::collections::BTreeMap;

/// What a passage is compared by.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    vector: Option<Vec<f32>>,
    /// The length of the vector.
    norm: f64,
    terms: BTreeMap<String, u32>,
    /// The length of the counts of the terms.
    count: f64,
}

impl Features {
    /// Of a chunk with this vector, if it has one, and these terms, repeats included.
    pub fn new(vector: Option<Vec<f32>>, terms: Vec<String>) -> Self {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for term in terms {
            *counts.entry(term).or_default() += 1;
        }
        let norm = vector.as_ref().map_or(0.0, |vector| dot(vector, vector).sqrt());
        let count = counts.values().map(|count| f64::from(*count).powi(2)).sum::<f64>().sqrt();
        Self { vector, norm, terms: counts, count }
    }

    /// How alike two are, -1 to 1: the cosine of their vectors when both have one, else of the counts of their terms.
    pub fn likeness(&self, other: &Self) -> f64 {
        if let (Some(left), Some(right)) = (&self.vector, &other.vector)
            && left.len() == right.len()
        {
            return share(dot(left, right), self.norm * other.norm);
        }
        let common = self.terms.iter().filter_map(|(term, count)| {
            other.terms.get(term).map(|other| f64::from(*count) * f64::from(*other))
        });
        share(common.sum(), self.count * other.count)
    }
}

fn share(dot: f64, norms: f64) -> f64 {
    if norms > 0.0 && norms.is_finite() { (dot / norms).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Eight sums side by side, so that the compiler can use vector instructions; the order of additions is fixed.
fn dot(left: &[f32], right: &[f32]) -> f64 {
    let mut lanes = [0.0f32; 8];
    for (a, b) in left.chunks(8).zip(right.chunks(8)) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += x * y;
        }
    }
    lanes.iter().map(|lane| f64::from(*lane)).sum()
}

/// The order in which candidates are chosen: places in the given list, which is in order of score. Of equals the one
/// that stood before comes first; with `lambda` 1 nothing changes.
pub fn order(scores: &[f64], features: &[Features], lambda: f64) -> Vec<usize> {
    let count = scores.len().min(features.len());
    let relevance = spread(&scores[..count]);
    let mut likest = vec![f64::NEG_INFINITY; count];
    let mut left: Vec<usize> = (0..count).collect();
    let mut order = Vec::with_capacity(count);
    while !left.is_empty() {
        let value = |at: usize| {
            // Nothing was chosen yet: nothing to be like.
            let likeness = if likest[at].is_finite() { likest[at] } else { 0.0 };
            lambda * relevance[at] - (1.0 - lambda) * likeness
        };
        let mut chosen = 0;
        for place in 1..left.len() {
            if value(left[place]) > value(left[chosen]) {
                chosen = place;
            }
        }
        let at = left.remove(chosen);
        for other in &left {
            likest[*other] = likest[*other].max(features[at].likeness(&features[*other]));
        }
        order.push(at);
    }
    order
}

/// The scores from 0 for the lowest to 1 for the highest; 1 for all when they are equal.
fn spread(scores: &[f64]) -> Vec<f64> {
    let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let one = |score: &f64| if most > least { (score - least) / (most - least) } else { 1.0 };
    scores.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Features {
        Features::new(None, text.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn twins_are_pushed_apart() {
        let features = [words("cold van"), words("cold van"), words("warm house")];
        let scores = [1.0, 0.9, 0.5];
        assert_eq!(order(&scores, &features, 1.0), [0, 1, 2]);
        assert_eq!(order(&scores, &features, 0.5), [0, 2, 1]);
        assert!(order(&[], &[], 0.5).is_empty());
    }

    #[test]
    fn vectors_are_stronger_than_words_when_both_have_them() {
        let of = |vector: &[f32], text: &str| Features::new(Some(vector.to_vec()), vec![text.to_owned()]);
        let (east, north) = (of(&[2.0, 0.0], "a"), of(&[0.0, 1.0], "a"));
        assert_eq!(east.likeness(&north), 0.0);
        assert!((east.likeness(&of(&[5.0, 5.0], "b")) - 0.5f64.sqrt()).abs() < 1e-6);
        assert!((east.likeness(&words("a")) - 1.0).abs() < 1e-9, "one has no vector: by words");
        assert_eq!(of(&[0.0, 0.0], "a").likeness(&east), 0.0);
        assert!((words("a b").likeness(&words("b c")) - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_one_keeps_the_order(
            list in prop::collection::vec((0.0..1.0f64, "[abc]( [abc]){0,3}"), 0..25), lambda in 0.0..=1.0f64,
        ) {
            let mut list = list;
            list.sort_by(|a, b| b.0.total_cmp(&a.0));
            let scores: Vec<f64> = list.iter().map(|(score, _)| *score).collect();
            let features: Vec<Features> = list.iter().map(|(_, text)| words(text)).collect();
            let found = order(&scores, &features, lambda);
            let mut sorted = found.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..list.len()).collect::<Vec<_>>());
            prop_assert_eq!(order(&scores, &features, 1.0), (0..list.len()).collect::<Vec<_>>());
            // Only at the very start, where nothing is chosen, relevance alone decides.
            prop_assert!(lambda == 0.0 || found.is_empty() || found[0] == 0);
        }
    }
}
