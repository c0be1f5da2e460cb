//! Chunks that an index elsewhere recalls. Its own scores only say where to look: those that count are made here, by the
//! same formulas and from the same numbers as those of the indexes in memory, so that both give the same list.
//!
//! BM25 is no product of what a chunk is and what a question is: how much a term counts in a chunk depends on the mean
//! length of all chunks, which moves with every document. So elsewhere stands what a term counts at a *reference* length,
//! question and rarity stay on the question's side, and the sum is off by a factor that has a bound:
//!
//! ```text
//! exact / recalled = (n + K(length, reference)) / (n + K(length, mean)),   K(l, m) = k1 (1 − b + b l / m)
//! ```
//!
//! for a term that comes n times. It is at most 1 when the reference is not below the mean; else it grows with the length
//! and falls with n, so that n = 1 and the longest chunk give its bound. Chunks that were not recalled have at most the
//! last recalled score, so they have at most that times the bound: the list is complete once its end lies above it.

use std::collections::{BTreeMap, HashSet};

use super::bm25::{Norms, norm, rarity, unrounded};
use super::index::{Probe, small};
use super::inspection::{Inspected, Inspection, Term};
use super::ranking::{Leaf, order};
use super::scan::Worth;
use super::terms::TermId;
use super::token_weights::{self, TokenWeights};

/// What is known of all chunks that a search looks through, whatever its filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How many.
    pub chunks: u64,
    /// How many terms they have together, repeats included.
    pub length: u64,
    /// How many the longest has.
    pub longest: u32,
}

impl Statistics {
    /// Mean number of terms of a chunk; 0 when there is none.
    pub fn average(&self) -> f64 {
        if self.chunks == 0 { 0.0 } else { self.length as f64 / self.chunks as f64 }
    }
}

/// The mean lengths at which terms were weighed elsewhere: the lowest and the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct References {
    /// The lowest, above 0.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl References {
    /// One length; 1 at least.
    pub fn one(length: f64) -> Self {
        let length = length.max(1.0);
        Self { low: length, high: length }
    }

    /// Both ranges.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Whether scores at these lengths are too far from those at the mean to find the best chunks among few.
    pub fn are_far_from(&self, average: f64) -> bool {
        average > 0.0 && (self.low < average * 0.8 || self.high > average * 1.25)
    }
}

/// What a term that comes so often in a chunk of this length counts at a reference.
pub fn weight(count: u32, length: u32, reference: f64) -> f32 {
    unrounded(small(count), small(length), reference) as f32
}

/// A chunk as it was recalled.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// The chunk; its score is not one of ours yet.
    pub leaf: Leaf,
    /// How many terms it has, repeats included.
    pub length: u32,
    /// Its terms with how often they come, if they were asked for.
    pub terms: Vec<(TermId, u32)>,
    /// Its unit vector, if it has one and it was asked for.
    pub vector: Option<Vec<f32>>,
    /// The learned weights of its tokens, if it has some and they were asked for.
    pub weights: Option<TokenWeights>,
}

/// A question's words, weighed.
pub struct Words {
    /// In order of number.
    weights: Vec<(TermId, f64)>,
    norms: Norms,
    bound: f64,
}

/// What the floats of the index elsewhere may lose, several times over.
const SLACK: f64 = 1e-4;
/// What rounding may give a term in one chunk, twice over: scores are sums of multiples of 2⁻³².
const ROUNDED: f64 = 1.0 / (1u64 << 32) as f64;

impl Words {
    /// The words of a question, each with how many chunks hold it; `None` when nothing can be found by them.
    pub fn new(statistics: &Statistics, terms: &[Term], references: References) -> Option<Self> {
        let average = statistics.average();
        if average == 0.0 {
            return None;
        }
        let held = terms.iter().filter(|term| term.holding > 0);
        let weigh = |term: &Term| (TermId::of(&term.term), f64::from(term.in_query) * term.idf);
        let mut weights: Vec<_> = held.map(weigh).collect();
        weights.sort_unstable_by_key(|(term, _)| *term);
        let longest = |mean: f64| 1.0 + norm(small(statistics.longest), mean);
        let bound = (longest(references.low) / longest(average)).max(1.0) * (1.0 + SLACK);
        (!weights.is_empty()).then(|| Self { weights, norms: Norms::new(average), bound })
    }

    /// Each word with what it counts beside what it counts in a chunk.
    pub fn weights(&self) -> &[(TermId, f64)] {
        &self.weights
    }

    /// The chunk with its score; `None` when it holds none of the words.
    pub fn score(&self, chunk: Recalled) -> Option<Leaf> {
        let (mut score, mut found) = (0.0, false);
        for (term, count) in &chunk.terms {
            if let Ok(at) = self.weights.binary_search_by_key(term, |(own, _)| *own) {
                score += self.norms.part(self.weights[at].1, small(*count), small(chunk.length));
                found = true;
            }
        }
        found.then_some(Leaf { score, ..chunk.leaf })
    }

    /// The highest score that a chunk can have which was not recalled when this was the last one's.
    pub fn ceiling(&self, last: f64) -> f64 {
        last * self.bound + self.weights.len() as f64 * ROUNDED
    }
}

/// A question's vector.
pub struct Direction(Probe);

impl Direction {
    /// A vector; `None` for one without a direction.
    pub fn new(vector: Vec<f32>) -> Option<Self> {
        Probe::new(vector).map(Self)
    }

    /// How many values it has.
    pub fn width(&self) -> usize {
        self.0.width()
    }

    /// As a unit vector.
    pub fn unit(&self) -> Vec<f32> {
        self.0.direction()
    }

    /// The chunk with its cosine; `None` when it has no vector of this width.
    pub fn score(&self, chunk: Recalled) -> Option<Leaf> {
        let vector = chunk.vector.filter(|vector| vector.len() == self.width())?;
        Some(Leaf { score: self.0.cosine(&vector), ..chunk.leaf })
    }

    /// The highest cosine that a chunk can have which was not recalled when this was the last one's.
    pub fn ceiling(&self, last: f64) -> f64 {
        last + SLACK
    }
}

/// What a question's tokens count.
pub struct Tokens(TokenWeights);

impl Tokens {
    /// These; `None` when none counts.
    pub fn new(weights: TokenWeights) -> Option<Self> {
        (!weights.is_empty()).then_some(Self(weights))
    }

    /// Each token with its weight.
    pub fn weights(&self) -> impl Iterator<Item = (u32, f32)> {
        self.0.weights()
    }

    /// The chunk with the sum of the products; `None` when it shares no token.
    pub fn score(&self, chunk: Recalled) -> Option<Leaf> {
        let product = self.0.product(chunk.weights.as_ref()?);
        (product > 0).then(|| Leaf { score: token_weights::score(product as f64), ..chunk.leaf })
    }

    /// The highest sum that a chunk can have which was not recalled when this was the last one's.
    pub fn ceiling(&self, last: f64) -> f64 {
        last * (1.0 + SLACK) + ROUNDED
    }
}

/// The best of a list: cut off where `parents` different passages have been seen, or all of them. `None` when chunks that
/// are not in it, which have this score at most, may belong into it.
pub fn cut(mut found: Vec<Leaf>, parents: usize, unseen: Option<f64>) -> Option<Vec<Leaf>> {
    found.sort_by(order);
    let mut seen = HashSet::with_capacity(parents);
    let end = found.iter().position(|leaf| seen.insert(leaf.passage) && seen.len() >= parents);
    match (end, unseen) {
        (Some(at), Some(unseen)) if found[at].score <= unseen => None,
        (None, Some(_)) => None,
        (end, _) => {
            found.truncate(end.map_or(found.len(), |at| at + 1));
            Some(found)
        }
    }
}

/// The distinct terms of a question in order of the alphabet, with how often each comes.
pub fn counted(terms: &[String]) -> BTreeMap<&str, u32> {
    let mut query: BTreeMap<&str, u32> = BTreeMap::new();
    for term in terms {
        *query.entry(term).or_default() += 1;
    }
    query
}

/// A question's terms with what they are worth. A count of holders that runs ahead of the count of all is held back.
pub fn weighed<'a>(
    statistics: &Statistics,
    counted: impl IntoIterator<Item = ((&'a str, u32), u64)>,
) -> Vec<Term> {
    let weigh = |((term, in_query), holding): ((&str, u32), u64)| {
        let holding = holding.min(statistics.chunks);
        let idf = if statistics.chunks == 0 { 0.0 } else { rarity(statistics.chunks, holding) };
        Term { term: term.to_owned(), in_query, holding, idf }
    };
    counted.into_iter().map(weigh).collect()
}

/// A close look at recalled chunks, with the numbers that the legs rank by.
pub fn inspection(
    statistics: &Statistics,
    terms: Vec<Term>,
    direction: Option<&Direction>,
    weights: Option<TokenWeights>,
    chunks: Vec<Recalled>,
) -> Inspection {
    let norms = Norms::new(statistics.average());
    let look = |chunk: Recalled| {
        let part = |term: &Term| {
            let (id, weight) = (TermId::of(&term.term), f64::from(term.in_query) * term.idf);
            let count = chunk.terms.iter().find(|(own, _)| *own == id).map_or(0, |(_, count)| small(*count));
            let part = if count == 0 { 0.0 } else { norms.part(weight, count, small(chunk.length)) };
            (u32::from(count), part)
        };
        let parts: Vec<(u32, f64)> = terms.iter().map(part).collect();
        let tokens = weights.iter().flat_map(|weights| weights.iter());
        let own = |token| chunk.weights.as_ref().map_or(0, |weights| weights.units(token));
        let units = tokens.map(|(token, _)| own(token)).collect();
        let same = |vector: &&Vec<f32>| direction.is_some_and(|own| own.width() == vector.len());
        Inspected {
            passage: chunk.leaf.passage,
            ordinal: chunk.leaf.ordinal,
            span: chunk.leaf.span,
            length: chunk.length,
            score: parts.iter().map(|(_, part)| part).sum(),
            parts,
            cosine: direction
                .zip(chunk.vector.as_ref().filter(same))
                .map(|(direction, vector)| direction.0.cosine(vector)),
            vector: chunk.vector,
            units: Vec::new(),
            sparse: 0.0,
        }
        .weighed(weights.as_ref(), units)
    };
    let mut chunks: Vec<Inspected> = chunks.into_iter().map(look).collect();
    chunks.sort_unstable_by_key(|chunk| (chunk.passage, chunk.ordinal));
    let (chunk_count, average_length) = (statistics.chunks, statistics.average());
    Inspection { chunk_count, average_length, terms, weights, chunks }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ranking::fixture::leaf;
    use super::*;

    fn chunk(passage: u128, length: u32, terms: &[(&str, u32)]) -> Recalled {
        let terms = terms.iter().map(|(term, count)| (TermId::of(term), *count)).collect();
        Recalled { leaf: leaf(passage, 0, 0.0), length, terms, vector: None, weights: None }
    }

    fn ids(leaves: &[Leaf]) -> Vec<u128> {
        leaves.iter().map(|leaf| leaf.passage.as_u128()).collect()
    }

    #[test]
    fn a_list_ends_where_what_is_unseen_may_begin() {
        let found = vec![leaf(3, 0, 1.0), leaf(1, 0, 2.0), leaf(1, 1, 2.0), leaf(2, 0, 1.0)];
        assert_eq!(ids(&cut(found.clone(), 2, None).unwrap()), [1, 1, 2]);
        assert_eq!(cut(found.clone(), 2, Some(1.0)), None, "one with the same score may have a lower id");
        assert_eq!(ids(&cut(found.clone(), 1, Some(1.0)).unwrap()), [1]);
        assert_eq!(cut(found.clone(), 9, Some(0.0)), None, "there may be more");
        assert_eq!(cut(found, 9, None).unwrap().len(), 4);
    }

    #[test]
    fn words_that_nothing_holds_find_nothing() {
        let statistics = Statistics { chunks: 3, length: 9, longest: 4 };
        let terms = weighed(&statistics, [(("cold", 1), 0)]);
        assert!(Words::new(&statistics, &terms, References::one(3.0)).is_none());
        assert!(Words::new(&Statistics::default(), &terms, References::one(3.0)).is_none());
        let terms = weighed(&statistics, [(("cold", 1), 9), (("van", 2), 1)]);
        assert_eq!(terms[0].holding, 3, "never more than there are");
        let words = Words::new(&statistics, &terms, References::one(3.0)).unwrap();
        assert!(words.score(chunk(1, 3, &[("truck", 1)])).is_none());
        assert!(words.score(chunk(1, 3, &[("van", 1)])).is_some());
    }

    #[test]
    fn references_are_far_when_lengths_have_changed() {
        let references = References::one(50.0);
        assert!(!references.are_far_from(55.0) && !references.are_far_from(0.0));
        assert!(references.are_far_from(80.0) && references.are_far_from(30.0));
        assert_eq!(references.and(References::one(0.0)), References { low: 1.0, high: 50.0 });
    }

    proptest! {
        #[test]
        fn no_score_is_above_the_ceiling_of_its_recalled_one(
            counts in prop::collection::vec((1u32..40, 1u32..40), 1..5), length in 1u32..400,
            average in 1.0f64..300.0, reference in 1.0f64..300.0, spread in 1.0f64..3.0,
        ) {
            let statistics = Statistics { chunks: 1000, length: (average * 1000.0) as u64, longest: 400 };
            let names: Vec<String> = (0..counts.len()).map(|at| format!("t{at}")).collect();
            let counted = names.iter().zip(&counts).map(|(name, (_, in_query))| ((name.as_str(), *in_query), 7));
            let terms = weighed(&statistics, counted);
            let references = References { low: reference / spread, high: reference * spread };
            let words = Words::new(&statistics, &terms, references).unwrap();
            let held: Vec<(&str, u32)> = names.iter().zip(&counts).map(|(name, (count, _))| (name.as_str(), *count)).collect();
            let query = |term: &str| words.weights().iter().find(|(own, _)| *own == TermId::of(term)).unwrap().1 as f32;
            let recalled: f64 = held.iter()
                .map(|(term, count)| f64::from(query(term) * weight(*count, length, reference))).sum();
            let exact = words.score(chunk(1, length, &held)).unwrap().score;
            prop_assert!(exact <= words.ceiling(recalled), "{} {}", exact, words.ceiling(recalled));
        }
    }
}
