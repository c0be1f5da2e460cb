//! The dense leg: the cosine of the query's vector with every chunk's vector. Exact: no graph, no quantisation.

use super::index::KnowledgeIndex;
use super::ranking::{Leaf, best};
use super::source::SourceKinds;

/// The nearest chunks of these kinds: enough of them for `parents` different passages, if there are so many. Chunks
/// without a vector of the query's width are not found.
pub fn search(indexes: &[&KnowledgeIndex], query: &[f32], kinds: SourceKinds, parents: usize) -> Vec<Leaf> {
    let norm = dot(query, query).sqrt();
    if !norm.is_finite() || norm == 0.0 {
        return Vec::new();
    }
    let rows = (0u16..)
        .zip(indexes)
        .flat_map(|(base, index)| index.vectors(query.len()).map(move |(slot, vector)| (base, slot, vector)));
    let leaves = rows.filter(|(_, slot, _)| kinds.contains(slot.kind)).map(|(base, slot, vector)| Leaf {
        passage: slot.passage,
        ordinal: slot.ordinal,
        span: slot.span.clone(),
        kind: slot.kind,
        base,
        score: cosine(query, norm, vector),
    });
    best(leaves.collect(), parents)
}

/// The cosine of a query of this norm with a unit vector.
pub(super) fn cosine(query: &[f32], norm: f64, unit: &[f32]) -> f64 {
    (dot(query, unit) / norm).clamp(-1.0, 1.0)
}

/// Eight sums side by side, so that the compiler can use vector instructions; the order of additions is fixed.
pub(super) fn dot(left: &[f32], right: &[f32]) -> f64 {
    let mut lanes = [0.0f32; 8];
    let (left, right) = (left.chunks(8), right.chunks(8));
    for (a, b) in left.zip(right) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += x * y;
        }
    }
    lanes.iter().map(|lane| f64::from(*lane)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::index::fixture::document;
    use super::super::source::SourceKind;
    use super::*;

    #[test]
    fn nearest_first_and_only_what_has_a_vector() {
        let mut doc = document(1, SourceKind::Post, &["a", "b", "c", "d"]);
        for (chunk, angle) in doc.chunks.iter_mut().zip([1.2f32, 0.1, 3.0]) {
            chunk.vector = Some(vec![5.0 * angle.cos(), 5.0 * angle.sin()]);
        }
        let mut index = KnowledgeIndex::default();
        index.put(doc);
        let found = search(&[&index], &[2.0, 0.0], SourceKinds::all(), 9);
        let ids: Vec<_> = found.iter().map(|leaf| leaf.passage.as_u128()).collect();
        assert_eq!(ids, [2, 1, 3]);
        assert!((found[0].score - f64::from(0.1f32.cos())).abs() < 1e-6);
        assert!(found[2].score < -0.9);
        for odd in [&[0.0, 0.0][..], &[1.0], &[f32::NAN, 0.0]] {
            assert!(search(&[&index], odd, SourceKinds::all(), 9).is_empty());
        }
        assert!(search(&[&index], &[1.0, 0.0], SourceKinds::new(&[SourceKind::Issue], &[]), 9).is_empty());
    }
}
