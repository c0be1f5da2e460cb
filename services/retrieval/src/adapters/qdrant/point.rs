//! A chunk as a point, and back.

use std::collections::HashMap;

use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, TenantId};
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{
    DenseVector, ListValue, NamedVectors, PointId, PointStruct, SparseIndices, SparseVector, Struct, Value,
    Vector, VectorOutput, Vectors, VectorsOutput, point_id, vector, vector_output, vectors, vectors_output,
};

use super::filter;
use super::layout::{TOKENS, WORDS, dense, key};
use crate::domain::filter::Facts;
use crate::domain::index::{IndexedChunk, IndexedDocument, unit};
use crate::domain::ranking::Leaf;
use crate::domain::recalled::{Recalled, weight};
use crate::domain::source::SourceKind;
use crate::domain::terms::TermId;
use crate::domain::token_weights::TokenWeights;

pub(super) type Payload = HashMap<String, Value>;

/// Whose chunks these are and what made them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub tenant: TenantId,
    pub base: KnowledgeBaseId,
    /// The version of the knowledge base that made them.
    pub born: u64,
    /// The mean length at which their words are weighed.
    pub reference: f64,
}

/// The points of a document. The same document at the same version has the same points.
pub(super) fn points(document: IndexedDocument, origin: &Origin) -> Vec<PointStruct> {
    let IndexedDocument { facts, terms, chunks } = document;
    let shared = shared(&facts, origin);
    let made = chunks.into_iter().enumerate().map(|(at, chunk)| {
        let counts =
            terms.of_chunk(at).filter_map(|one| Some((*terms.terms.get(one.term as usize)?, one.count)));
        point(chunk, counts.collect(), &facts, &shared, origin)
    });
    made.collect()
}

/// What all points of a document say.
fn shared(facts: &Facts, origin: &Origin) -> Payload {
    let mut payload = Payload::from([
        (key::TENANT.to_owned(), origin.tenant.to_string().into()),
        (key::BASE.to_owned(), origin.base.to_string().into()),
        (key::DOCUMENT.to_owned(), facts.id.to_string().into()),
        (key::KIND.to_owned(), facts.kind.word().into()),
        (key::BORN.to_owned(), whole(origin.born)),
    ]);
    payload.extend(filter::told(facts));
    payload
}

fn point(
    chunk: IndexedChunk,
    counts: Vec<(TermId, u32)>,
    facts: &Facts,
    shared: &Payload,
    origin: &Origin,
) -> PointStruct {
    let length: u32 = counts.iter().map(|(_, count)| count).sum();
    let mut payload = shared.clone();
    payload.insert(key::PASSAGE.to_owned(), chunk.passage.to_string().into());
    payload.insert(key::ORDINAL.to_owned(), whole(u64::from(chunk.ordinal)));
    payload.insert(key::START.to_owned(), whole(chunk.span.start));
    payload.insert(key::END.to_owned(), whole(chunk.span.end));
    payload.insert(key::SIZE.to_owned(), length.to_string().into());
    let repeats: Vec<String> = (counts.iter().enumerate())
        .filter(|(_, (_, count))| *count > 1)
        .map(|(place, (_, count))| format!("{place}:{count}"))
        .collect();
    payload.insert(key::REPEATS.to_owned(), repeats.join(" ").into());
    let mut named = HashMap::new();
    let weights = counts.iter().map(|(term, count)| (*term, weight(*count, length, origin.reference)));
    if let Some(words) = sparse(weights) {
        named.insert(WORDS.to_owned(), Vector::from(vector::Vector::Sparse(words)));
    }
    if let Some(weights) = chunk.weights.filter(|weights| !weights.is_empty()) {
        let tokens = tokens(weights.weights());
        named.insert(TOKENS.to_owned(), Vector::from(vector::Vector::Sparse(tokens)));
    }
    if let Some(unit) = chunk.vector.as_deref().and_then(unit) {
        let name = dense(unit.len());
        named.insert(name, Vector::from(vector::Vector::Dense(DenseVector { data: unit })));
    }
    let terms = counts.into_iter().map(|(term, _)| Value::from(numbered(term))).collect();
    payload.insert(key::TERMS.to_owned(), list(terms));
    let place = format!("{} {} {} {}", facts.id, origin.born, chunk.passage, chunk.ordinal);
    PointStruct { id: Some(id_of(&place)), payload, vectors: Some(named_vectors(named)) }
}

/// Named vectors of a point, which may have none.
pub(super) fn named_vectors(vectors: HashMap<String, Vector>) -> Vectors {
    Vectors { vectors_options: Some(vectors::VectorsOptions::Vectors(NamedVectors { vectors })) }
}

/// A term's number as the server holds it.
pub(super) fn numbered(term: TermId) -> i64 {
    term.number().cast_signed()
}

/// Weighed terms as a sparse vector; `None` for none. Two terms that fall on one number share it: then too much is
/// recalled, and what is recalled is told apart by the whole numbers.
pub(super) fn sparse(weights: impl Iterator<Item = (TermId, f32)>) -> Option<SparseVector> {
    let mut pairs: Vec<(u32, f32)> = weights.map(|(term, weight)| (term.number() as u32, weight)).collect();
    pairs.sort_unstable_by_key(|(number, _)| *number);
    pairs.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    let (indices, values): (Vec<u32>, Vec<f32>) = pairs.into_iter().unzip();
    (!indices.is_empty()).then_some(SparseVector { values, indices })
}

/// Weighed tokens, each once, as a sparse vector.
pub(super) fn tokens(weights: impl Iterator<Item = (u32, f32)>) -> SparseVector {
    let (indices, values) = weights.unzip();
    SparseVector { values, indices }
}

/// A point's id is what it is of, hashed: written twice, it is there once.
pub(super) fn id_of(what: &str) -> PointId {
    let hash = blake3::hash(what.as_bytes()).to_hex();
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    let uuid = format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32));
    PointId { point_id_options: Some(point_id::PointIdOptions::Uuid(uuid)) }
}

pub(super) fn whole(number: u64) -> Value {
    Value::from(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value { kind: Some(Kind::StructValue(Struct { fields })) }
}

pub(super) fn text<'a>(payload: &'a Payload, key: &str) -> Option<&'a str> {
    match payload.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

pub(super) fn unsigned(payload: &Payload, key: &str) -> Option<u64> {
    match payload.get(key)?.kind.as_ref()? {
        Kind::IntegerValue(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

pub(super) fn float(payload: &Payload, key: &str) -> Option<f64> {
    match payload.get(key)?.kind.as_ref()? {
        Kind::DoubleValue(number) => Some(*number),
        Kind::IntegerValue(number) => Some(*number as f64),
        _ => None,
    }
}

/// A recalled point.
pub(super) struct Read {
    pub chunk: Recalled,
    pub document: DocumentId,
    pub base: KnowledgeBaseId,
    pub born: u64,
}

/// A point as a chunk; `None` when it is none of ours.
pub(super) fn read(mut payload: Payload, vectors: Option<VectorsOutput>) -> Option<Read> {
    let leaf = Leaf {
        passage: text(&payload, key::PASSAGE)?.parse::<PassageId>().ok()?,
        ordinal: unsigned(&payload, key::ORDINAL)?.try_into().ok()?,
        span: unsigned(&payload, key::START)?..unsigned(&payload, key::END)?,
        kind: SourceKind::from_word(text(&payload, key::KIND)?)?,
        base: 0,
        score: 0.0,
    };
    let document = text(&payload, key::DOCUMENT)?.parse().ok()?;
    let base = text(&payload, key::BASE)?.parse().ok()?;
    let born = unsigned(&payload, key::BORN)?;
    let length = text(&payload, key::SIZE)?.parse().ok()?;
    let terms = terms(&mut payload)?;
    let (vector, weights) = vectors.map(told).unwrap_or_default();
    Some(Read { chunk: Recalled { leaf, length, terms, vector, weights }, document, base, born })
}

/// The terms with their counts; none when they were not asked for.
fn terms(payload: &mut Payload) -> Option<Vec<(TermId, u32)>> {
    let Some(Kind::ListValue(found)) = payload.remove(key::TERMS).and_then(|value| value.kind) else {
        return Some(Vec::new());
    };
    let term = |value: Value| match value.kind {
        Some(Kind::IntegerValue(number)) => Some((TermId::from_number(number.cast_unsigned()), 1)),
        _ => None,
    };
    let mut terms: Vec<(TermId, u32)> = found.values.into_iter().map(term).collect::<Option<_>>()?;
    for repeat in text(payload, key::REPEATS)?.split_whitespace() {
        let (place, count) = repeat.split_once(':')?;
        terms.get_mut(place.parse::<usize>().ok()?)?.1 = count.parse().ok()?;
    }
    Some(terms)
}

/// The dense vector of a point, which has at most one, and its weighed tokens.
fn told(vectors: VectorsOutput) -> (Option<Vec<f32>>, Option<TokenWeights>) {
    let (mut dense, mut weights) = (None, None);
    if let Some(vectors_output::VectorsOptions::Vectors(named)) = vectors.vectors_options {
        for (name, mut found) in named.vectors {
            match found.vector.take().unwrap_or_else(|| older(found)) {
                vector_output::Vector::Dense(own) => dense = Some(own.data),
                vector_output::Vector::Sparse(own) if name == TOKENS => {
                    weights = Some(TokenWeights::of(own.indices.into_iter().zip(own.values)));
                }
                _ => {}
            }
        }
    }
    (dense, weights)
}

/// A vector as servers before 1.16 write it.
#[allow(deprecated, reason = "what older servers write")]
fn older(found: VectorOutput) -> vector_output::Vector {
    match found.indices {
        Some(SparseIndices { data: indices }) => {
            vector_output::Vector::Sparse(SparseVector { values: found.data, indices })
        }
        None => vector_output::Vector::Dense(DenseVector { data: found.data }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::index::fixture::document;

    fn origin() -> Origin {
        let (tenant, base) = (TenantId::from_u128(1), KnowledgeBaseId::from_u128(2));
        Origin { tenant, base, born: 7, reference: 3.0 }
    }

    #[test]
    fn a_point_is_the_chunk_again() {
        let mut one = document(5, SourceKind::Post, &["cold van cold truck cold", "oil"]);
        one.chunks[0].vector = Some(vec![3.0, 4.0]);
        one.chunks[0].weights = Some(TokenWeights::of([(7, 0.5)]));
        one.chunks[1].weights = Some(TokenWeights::default());
        let points = points(one.clone(), &origin());
        assert_eq!(points.len(), 2);
        let point = points[0].clone();
        let sparse = match point.vectors.clone().unwrap().vectors_options.unwrap() {
            vectors::VectorsOptions::Vectors(named) => named.vectors.len(),
            vectors::VectorsOptions::Vector(_) => 0,
        };
        assert_eq!(sparse, 3, "words, tokens and d2");
        let back = read(point.payload, None).unwrap();
        assert_eq!((back.document, back.born, back.base), (one.facts.id, 7, origin().base));
        let own = ["cold", "van", "truck"].map(TermId::of);
        let counts: HashMap<TermId, u32> = own.into_iter().zip([3, 1, 1]).collect();
        assert_eq!((back.chunk.length, back.chunk.terms.into_iter().collect()), (5, counts));
        assert_eq!(
            (back.chunk.leaf.passage, back.chunk.leaf.span),
            (one.chunks[0].passage, one.chunks[0].span.clone())
        );
        assert!(read(Payload::new(), None).is_none());
    }

    #[test]
    fn ids_are_of_a_version_of_a_document() {
        let ids = |born| {
            let made =
                points(document(5, SourceKind::Post, &["a van", "an oil"]), &Origin { born, ..origin() });
            made.into_iter().map(|point| format!("{:?}", point.id)).collect::<Vec<_>>()
        };
        assert_eq!(ids(7), ids(7));
        assert!(ids(7).iter().all(|id| !ids(8).contains(id)));
    }

    #[test]
    fn terms_on_one_number_share_it() {
        let numbers = [7, 9, 7 | 1 << 40].map(TermId::from_number);
        let shared = sparse(numbers.into_iter().zip([1.0, 0.5, 2.0])).unwrap();
        assert_eq!((shared.indices, shared.values), (vec![7, 9], vec![3.0, 0.5]));
        assert!(sparse(std::iter::empty()).is_none());
    }
}
