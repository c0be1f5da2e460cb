//! What a kind of source counts in a search.
//!
//! A weight multiplies a score that has been made comparable; on raw scores of another scale the same number would do
//! something else. It is clamped, because a weight beyond the clamp is a filter in disguise: then a filter should be
//! asked for. Nothing is weighed unless somebody says so: a weight that is wrong for a question does more harm than the
//! right one does good.

use super::ranking::Leaf;
use super::source::{SourceKind, SourceKinds};

/// The least that a kind may count.
pub const LEAST: f64 = 0.25;
/// The most that a kind may count.
pub const MOST: f64 = 4.0;

/// What each kind counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights([f64; SourceKind::ALL.len()]);

impl Weights {
    /// Every kind counts the same.
    pub const fn neutral() -> Self {
        Self([1.0; SourceKind::ALL.len()])
    }

    /// What counts in the knowledge base of a code repository when nobody says anything: what a project says of itself
    /// first counts more than what was said on the way.
    pub fn code_repository() -> Self {
        let list = [(SourceKind::Example, 0.8), (SourceKind::Issue, 0.6), (SourceKind::Commit, 0.4)];
        Self::neutral().with(list)
    }

    /// The same with these, each clamped.
    #[must_use]
    pub fn with(mut self, list: impl IntoIterator<Item = (SourceKind, f64)>) -> Self {
        for (kind, weight) in list {
            self.0[kind as usize] = if weight.is_nan() { 1.0 } else { weight.clamp(LEAST, MOST) };
        }
        self
    }

    /// What a kind counts.
    pub const fn of(&self, kind: SourceKind) -> f64 {
        self.0[kind as usize]
    }
}

/// What counts in each of the searched knowledge bases, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchWeights(Vec<Weights>);

impl SearchWeights {
    /// From those of each knowledge base, in the order in which they are searched.
    pub fn new(bases: Vec<Weights>) -> Self {
        Self(bases)
    }

    /// What a chunk counts.
    pub fn of(&self, leaf: &Leaf) -> f64 {
        self.0.get(usize::from(leaf.base)).map_or(1.0, |weights| weights.of(leaf.kind))
    }

    /// The kinds that count more than the least of them, in groups of the same weight, heaviest first. Empty when all
    /// count the same. A kind that counts differently in several knowledge bases is where it counts most.
    pub fn lifted(&self) -> Vec<SourceKinds> {
        let most = |kind: SourceKind| self.0.iter().map(|weights| weights.of(kind)).fold(0.0, f64::max);
        let all = self.0.iter().flat_map(|weights| weights.0);
        let least = all.fold(f64::INFINITY, f64::min);
        let mut heights: Vec<f64> = SourceKind::ALL.iter().map(|kind| most(*kind)).collect();
        heights.sort_unstable_by(|left, right| right.total_cmp(left));
        heights.dedup();
        let group = |height: f64| SourceKind::ALL.iter().copied().filter(move |kind| most(*kind) == height);
        heights.into_iter().filter(|height| *height > least).map(|h| SourceKinds::of(group(h))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_clamped_and_the_rest_is_neutral() {
        let weights = Weights::neutral().with([
            (SourceKind::Readme, 9.0),
            (SourceKind::Issue, 0.0),
            (SourceKind::Code, f64::NAN),
        ]);
        let of = |kind| weights.of(kind);
        assert_eq!((of(SourceKind::Readme), of(SourceKind::Issue)), (4.0, 0.25));
        assert_eq!((of(SourceKind::Code), of(SourceKind::WebPage)), (1.0, 1.0));
        let code = Weights::code_repository();
        assert_eq!((code.of(SourceKind::Readme), code.of(SourceKind::Commit)), (1.0, 0.4));
    }

    #[test]
    fn heavier_kinds_are_grouped_by_weight() {
        assert!(SearchWeights::new(vec![Weights::neutral()]).lifted().is_empty());
        let weights = Weights::neutral().with([
            (SourceKind::Document, 2.0),
            (SourceKind::Readme, 2.0),
            (SourceKind::Commit, 0.5),
        ]);
        let all = SourceKinds::all();
        let heavy = SourceKinds::of([SourceKind::Document, SourceKind::Readme]);
        let rest = all.without(heavy).without(SourceKinds::of([SourceKind::Commit]));
        assert_eq!(SearchWeights::new(vec![weights]).lifted(), [heavy, rest]);
        let two = SearchWeights::new(vec![weights, Weights::neutral()]);
        assert_eq!(two.lifted(), [heavy, all.without(heavy)], "where a kind counts most");
    }
}
