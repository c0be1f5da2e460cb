//! What the indexes know of single passages: the numbers behind a score, for who wants to know why.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use copydesk_types::PassageId;

use super::bm25::{Norms, rarity};
use super::index::{KnowledgeIndex, Postings, Probe, small};
use super::scan::Worth;
use super::terms::TermId;
use super::token_weights::{TokenWeights, score};

/// What a query's words are worth in the searched knowledge bases, and what single chunks have of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspection {
    /// Chunks of the knowledge bases, whatever the filter.
    pub chunk_count: u64,
    /// Mean number of terms of a chunk.
    pub average_length: f64,
    /// The distinct terms of the query, in alphabetical order.
    pub terms: Vec<Term>,
    /// What the query's tokens count, when learned weights are compared.
    pub weights: Option<TokenWeights>,
    /// The chunks of the passages that were asked for, in order of passage and place in it.
    pub chunks: Vec<Inspected>,
}

/// A term of the query.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The term.
    pub term: String,
    /// How often it is in the query.
    pub in_query: u32,
    /// Chunks that hold it.
    pub holding: u64,
    /// How rare it is.
    pub idf: f64,
}

/// A chunk with its part in the query's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// The passage it is in.
    pub passage: PassageId,
    /// Its place in the passage.
    pub ordinal: u32,
    /// Its bytes in the document's text.
    pub span: Range<u64>,
    /// Its terms, repeats and those of the title included.
    pub length: u32,
    /// For each term of the query how often the chunk holds it and what that gives.
    pub parts: Vec<(u32, f64)>,
    /// Its BM25 score: the sum of the parts.
    pub score: f64,
    /// Its unit vector, if it has one.
    pub vector: Option<Vec<f32>>,
    /// The cosine of its vector with the query's, when there are both and they can be compared.
    pub cosine: Option<f64>,
    /// The units of each of the query's tokens in it; none when learned weights are not compared.
    pub units: Vec<u16>,
    /// The sum of the products of its learned weights and the query's.
    pub sparse: f64,
}

impl Inspected {
    /// With what it has of a query's tokens.
    pub(super) fn weighed(self, query: Option<&TokenWeights>, units: Vec<u16>) -> Self {
        let query = query.iter().flat_map(|query| query.iter());
        let products = query.zip(&units).map(|((_, asked), own)| f64::from(asked) * f64::from(*own));
        Self { sparse: score(products.sum()), units, ..self }
    }
}

/// Looks at the chunks of these passages, with the query's terms and, when meanings are compared, its vector and the
/// learned weights of its tokens, where there are some. The numbers are those that the legs rank by.
pub fn inspect(
    indexes: &[&KnowledgeIndex],
    terms: &[String],
    vector: Option<Vec<f32>>,
    weights: Option<TokenWeights>,
    passages: &[PassageId],
) -> Inspection {
    let chunk_count: u64 = indexes.iter().map(|index| index.chunks()).sum();
    let length: u64 = indexes.iter().map(|index| index.length()).sum();
    let average_length = if chunk_count == 0 { 0.0 } else { length as f64 / chunk_count as f64 };
    let terms = weighed(indexes, terms, chunk_count);
    let look = Look {
        terms: &terms,
        norms: Norms::new(average_length),
        probe: vector.and_then(Probe::new),
        weights: weights.as_ref(),
        passages: passages.iter().copied().collect(),
    };
    let mut chunks: Vec<Inspected> = indexes.iter().flat_map(|index| look.at(index)).collect();
    chunks.sort_unstable_by_key(|chunk| (chunk.passage, chunk.ordinal));
    Inspection { chunk_count, average_length, terms, weights, chunks }
}

fn weighed(indexes: &[&KnowledgeIndex], terms: &[String], chunks: u64) -> Vec<Term> {
    let mut query: BTreeMap<&str, u32> = BTreeMap::new();
    for term in terms {
        *query.entry(term).or_default() += 1;
    }
    let weighed = query.into_iter().map(|(term, in_query)| {
        let holding = indexes.iter().map(|index| index.postings(TermId::of(term)).len() as u64).sum();
        let idf = if chunks == 0 { 0.0 } else { rarity(chunks, holding) };
        Term { term: term.to_owned(), in_query, holding, idf }
    });
    weighed.collect()
}

/// What is looked for.
struct Look<'a> {
    terms: &'a [Term],
    norms: Norms,
    probe: Option<Probe>,
    weights: Option<&'a TokenWeights>,
    passages: HashSet<PassageId>,
}

impl Look<'_> {
    fn at(&self, index: &KnowledgeIndex) -> Vec<Inspected> {
        let of_passages =
            |at: &u32| index.slot(*at).is_some_and(|slot| self.passages.contains(&slot.passage));
        let slots: Vec<u32> = (0..index.slots()).filter(of_passages).collect();
        let words = self.terms.iter().map(|term| index.postings(TermId::of(&term.term)));
        let tokens = self.weights.iter().flat_map(|weights| weights.iter());
        let (counts, units) =
            (counts(words, &slots), counts(tokens.map(|(token, _)| index.holding(token)), &slots));
        let looked = slots.into_iter().zip(counts).zip(units);
        let chunk = |((at, counts), units): ((u32, Vec<u16>), Vec<u16>)| {
            Some(self.chunk(index, at, &counts)?.weighed(self.weights, units))
        };
        looked.filter_map(chunk).collect()
    }

    fn chunk(&self, index: &KnowledgeIndex, at: u32, counts: &[u16]) -> Option<Inspected> {
        let (slot, length) = (index.slot(at)?, index.length_of(at));
        let short = small(length);
        let part = |(term, count): (&Term, &u16)| {
            let weight = f64::from(term.in_query) * term.idf;
            (u32::from(*count), if *count == 0 { 0.0 } else { self.norms.part(weight, *count, short) })
        };
        let parts: Vec<(u32, f64)> = self.terms.iter().zip(counts).map(part).collect();
        let probe = self.probe.as_ref().filter(|probe| probe.width() == index.matrix().width());
        Some(Inspected {
            passage: slot.passage,
            ordinal: slot.ordinal,
            span: slot.span(),
            length,
            score: parts.iter().map(|(_, part)| part).sum(),
            parts,
            vector: index.matrix().row(at).map(<[f32]>::to_vec),
            cosine: probe.and_then(|probe| index.matrix().cosine(at, probe)),
            units: Vec::new(),
            sparse: 0.0,
        })
    }
}

/// For each of these slots, which are in order, its count in each of the lists; 0 where it is not in one.
fn counts<'a>(lists: impl Iterator<Item = &'a Postings>, slots: &[u32]) -> Vec<Vec<u16>> {
    let mut counts = vec![Vec::new(); slots.len()];
    for list in lists {
        let mut postings = list.start();
        for (counts, at) in counts.iter_mut().zip(slots) {
            counts.push(postings.find(*at).map_or(0, |posting| posting.count));
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::index::Effort;
    use super::super::index::fixture::document;
    use super::super::lens::Lens;
    use super::super::source::SourceKind;
    use super::super::{bm25, cosine, sparse};
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_legs() {
        let texts = ["cold cold van", "van and truck", "engine oil for a cold morning", "nothing of it"];
        let mut one = document(1, SourceKind::Post, &texts);
        for (chunk, angle) in one.chunks.iter_mut().zip([0.3f32, 1.0, 2.0]) {
            chunk.vector = Some(vec![angle.cos() * 3.0, angle.sin() * 3.0]);
            chunk.weights = Some(TokenWeights::of([(4, angle), (9, 0.5)]));
        }
        let (mut left, mut right) = (KnowledgeIndex::default(), KnowledgeIndex::default());
        left.put(one);
        right.put(document(10, SourceKind::Issue, &["a van in the cold", "warm"]));
        let (indexes, query) = ([&left, &right], copydesk_guard::text::terms("cold van, cold truck"));
        let all: Vec<PassageId> = [1, 2, 3, 4, 10, 11].map(PassageId::from_u128).to_vec();
        let vector = vec![2.0, 1.0];
        let weights = TokenWeights::of([(4, 1.5), (8, 1.0), (9, 0.25)]);
        let seen = inspect(&indexes, &query, Some(vector.clone()), Some(weights.clone()), &all);
        assert_eq!(seen.chunks.iter().map(|chunk| chunk.passage).collect::<Vec<_>>(), all);
        assert_eq!(
            seen.terms.iter().map(|term| (term.term.as_str(), term.in_query)).collect::<Vec<_>>(),
            [("cold", 2), ("truck", 1), ("van", 1)]
        );
        let words = bm25::search(&indexes, &query, &Lens::all(), 9);
        assert_eq!(words.len(), 4);
        for chunk in &seen.chunks {
            let leaf = words.iter().find(|leaf| leaf.passage == chunk.passage);
            assert_eq!(leaf.map_or(0.0, |leaf| leaf.score), chunk.score, "{chunk:?}");
        }
        let near = cosine::search(&indexes, vector, &Lens::all(), 9, Effort::EXACT);
        assert_eq!(near.len(), 3);
        for chunk in &seen.chunks {
            let leaf = near.iter().find(|leaf| leaf.passage == chunk.passage);
            assert_eq!(leaf.map(|leaf| leaf.score), chunk.cosine);
        }
        let tokens = sparse::search(&indexes, &weights, &Lens::all(), 9);
        assert_eq!((tokens.len(), seen.weights), (3, Some(weights)));
        for chunk in &seen.chunks {
            let leaf = tokens.iter().find(|leaf| leaf.passage == chunk.passage);
            assert_eq!(leaf.map_or(0.0, |leaf| leaf.score), chunk.sparse);
        }
        assert_eq!((seen.chunks[0].units.len(), &seen.chunks[0].units[1..]), (3, &[0, 4096][..]));
        let plain = inspect(&indexes, &query, Some(vec![1.0]), None, &all);
        assert_eq!((plain.chunks[0].cosine, plain.chunks[0].units.len()), (None, 0), "another width");
        assert_eq!(inspect(&[], &query, None, None, &all).chunks, []);
    }
}
