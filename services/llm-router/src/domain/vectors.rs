//! Vectors: which texts go into which call, what comes back, and how it is kept.
use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use copydesk_proto::llm_router::v1::EmbedPurpose;
use copydesk_types::TenantId;

use super::{Attribution, CacheKey, CacheKind};

/// The most text in one call, in bytes, unless one text alone has more. A token has a byte at least, and the strictest
/// provider takes 300,000 tokens.
const BATCH_BYTES: usize = 256 << 10;

/// A call for vectors as it came through the door.
#[derive(Clone, PartialEq)]
pub struct EmbedOrder {
    /// For whom.
    pub attribution: Attribution,
    /// The model that must answer, `<provider>/<model>`; `None`: the first one that can.
    pub model: Option<String>,
    /// The texts, 1 to 2,048, none of them empty.
    pub inputs: Vec<String>,
    /// The dimensions that every vector must have, 1 to 16,384.
    pub dimensions: Option<u32>,
    /// What the texts are for.
    pub purpose: EmbedPurpose,
}

/// Texts without repetitions.
#[derive(Clone, PartialEq, Eq)]
pub struct Distinct {
    /// Each text once, in the order in which it came first.
    pub texts: Vec<String>,
    /// For each text that was given, its place in `texts`.
    pub places: Vec<usize>,
}

impl Distinct {
    /// Takes repetitions out.
    pub fn of(inputs: Vec<String>) -> Self {
        let mut known: HashMap<String, usize> = HashMap::with_capacity(inputs.len());
        let mut places = Vec::with_capacity(inputs.len());
        for input in inputs {
            let next = known.len();
            places.push(*known.entry(input).or_insert(next));
        }
        let mut texts: Vec<(usize, String)> = known.into_iter().map(|(text, place)| (place, text)).collect();
        texts.sort_unstable();
        Self { texts: texts.into_iter().map(|(_, text)| text).collect(), places }
    }

    /// For each text that was given, what belongs to it, from what belongs to each of `texts`; `None` when there is not
    /// one for each.
    pub fn spread<T: Clone>(&self, each: &[T]) -> Option<Vec<T>> {
        self.places.iter().map(|place| each.get(*place).cloned()).collect()
    }
}

/// Splits texts into calls of at most `most` texts and 256 KiB each; a larger text goes alone. `most` counts as 1 at
/// least.
pub fn batches<T: AsRef<str>>(texts: &[T], most: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0_usize);
    for (at, text) in texts.iter().enumerate() {
        let more = text.as_ref().len();
        let full = at - start >= most.max(1) || bytes.saturating_add(more) > BATCH_BYTES;
        if full && at > start {
            batches.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes = bytes.saturating_add(more);
    }
    if start < texts.len() {
        batches.push(start..texts.len());
    }
    batches
}

/// Why vectors cannot be used. Texts and numbers are not quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VectorFault {
    /// Not one for each text.
    #[error("{got} vectors came for {expected} texts")]
    Count {
        /// Texts.
        expected: usize,
        /// Vectors.
        got: usize,
    },
    /// Another length than asked for, configured, or than that of the vectors before it.
    #[error("vector {index} has {got} dimensions, not {expected}")]
    Dimensions {
        /// Its place.
        index: usize,
        /// What it must have.
        expected: usize,
        /// What it has.
        got: usize,
    },
    /// No components at all.
    #[error("vector {0} is empty")]
    Empty(usize),
    /// A component that is no number.
    #[error("vector {0} has a component that is not a finite number")]
    NotFinite(usize),
}

/// Checks the vectors of this many texts; gives their dimensions, 0 for no texts. They must be those that were asked for,
/// else those that the model is configured with (0: any); in any case all the same.
///
/// # Errors
/// The first fault.
pub fn check_vectors(
    vectors: &[Vec<f32>],
    texts: usize,
    asked: Option<u32>,
    configured: u32,
) -> Result<usize, VectorFault> {
    if vectors.len() != texts {
        return Err(VectorFault::Count { expected: texts, got: vectors.len() });
    }
    let known = asked.or(Some(configured).filter(|number| *number > 0)).map(|number| number as usize);
    let expected = known.or(vectors.first().map(Vec::len)).unwrap_or(0);
    for (index, vector) in vectors.iter().enumerate() {
        if vector.is_empty() {
            return Err(VectorFault::Empty(index));
        }
        if vector.len() != expected {
            return Err(VectorFault::Dimensions { index, expected, got: vector.len() });
        }
        if !vector.iter().all(|component| component.is_finite()) {
            return Err(VectorFault::NotFinite(index));
        }
    }
    Ok(if vectors.is_empty() { 0 } else { expected })
}

/// A vector as it is kept: its components as 32-bit floats, lowest byte first.
pub fn encode_vector(vector: &[f32]) -> Bytes {
    vector.iter().flat_map(|component| component.to_le_bytes()).collect()
}

/// A vector that was kept; `None` when these bytes are none, or not all of its components are finite.
pub fn decode_vector(bytes: &[u8]) -> Option<Vec<f32>> {
    let (components, rest) = bytes.as_chunks::<4>();
    let vector: Vec<f32> = components.iter().map(|component| f32::from_le_bytes(*component)).collect();
    let good = rest.is_empty() && !vector.is_empty() && vector.iter().all(|component| component.is_finite());
    good.then_some(vector)
}

/// The name under which the vector of a text is kept. `model` is `<provider>/<model>`.
pub fn embedding_key(
    tenant: TenantId,
    model: &str,
    dimensions: Option<u32>,
    purpose: EmbedPurpose,
    text: &str,
) -> CacheKey {
    // Never asked for, so it can stand for "as the model gives them".
    let dimensions = dimensions.unwrap_or(0).to_le_bytes();
    let parts = [model.as_bytes(), &dimensions, purpose.as_str_name().as_bytes(), text.as_bytes()];
    CacheKey::new(tenant, CacheKind::Embedding, &parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vectors_are_checked() {
        let two = || vec![vec![1.0, 2.0], vec![3.0, 4.0]];
        assert_eq!(check_vectors(&two(), 2, None, 0), Ok(2));
        assert_eq!(
            check_vectors(&two(), 2, Some(2), 3),
            Ok(2),
            "what is asked for counts, not what is configured"
        );
        assert_eq!(check_vectors(&[], 0, Some(2), 0), Ok(0));
        assert_eq!(check_vectors(&two(), 3, None, 0), Err(VectorFault::Count { expected: 3, got: 2 }));
        let wrong = |index, expected, got| Err(VectorFault::Dimensions { index, expected, got });
        assert_eq!(check_vectors(&two(), 2, None, 3), wrong(0, 3, 2));
        assert_eq!(check_vectors(&two(), 2, Some(1), 2), wrong(0, 1, 2));
        assert_eq!(check_vectors(&[vec![1.0], vec![1.0, 2.0]], 2, None, 0), wrong(1, 1, 2));
        assert_eq!(check_vectors(&[vec![]], 1, None, 0), Err(VectorFault::Empty(0)));
        for bad in [f32::NAN, f32::INFINITY] {
            assert_eq!(check_vectors(&[vec![0.0, bad]], 1, None, 0), Err(VectorFault::NotFinite(0)));
        }
    }

    #[test]
    fn what_is_no_vector_is_not_read() {
        assert_eq!(encode_vector(&[1.0, -2.5]).as_ref(), [0, 0, 128, 63, 0, 0, 32, 192]);
        for bytes in [&[][..], &[0, 0, 128], &[0, 0, 128, 63, 0], &f32::NAN.to_le_bytes()] {
            assert_eq!(decode_vector(bytes), None);
        }
    }

    #[test]
    fn everything_that_changes_a_vector_is_in_its_key() {
        let key = |tenant, model, dimensions, purpose, text| {
            embedding_key(TenantId::from_u128(tenant), model, dimensions, purpose, text)
        };
        let (query, document) = (EmbedPurpose::Query, EmbedPurpose::Document);
        let keys = std::collections::HashSet::from([
            key(1, "a/m", None, query, "x"),
            key(2, "a/m", None, query, "x"),
            key(1, "b/m", None, query, "x"),
            key(1, "a/m", Some(64), query, "x"),
            key(1, "a/m", None, document, "x"),
            key(1, "a/m", None, query, "y"),
        ]);
        assert_eq!(keys.len(), 6);
        assert!(keys.contains(&key(1, "a/m", None, query, "x")));
    }

    #[test]
    fn a_large_text_goes_alone() {
        let (small, large) = ("x".to_owned(), "x".repeat(BATCH_BYTES + 1));
        let texts = [&small, &large, &small, &small].map(String::as_str);
        assert_eq!(batches(&texts, 96), [0..1, 1..2, 2..4]);
        assert_eq!(batches(&texts, 0), [0..1, 1..2, 2..3, 3..4]);
        assert!(batches::<&str>(&[], 96).is_empty());
    }

    proptest! {
        #[test]
        fn batches_hold_everything_in_order_within_the_limits(
            sizes in prop::collection::vec(0_usize..70_000, 0..60), most in 1_usize..20
        ) {
            let texts: Vec<String> = sizes.iter().map(|size| "x".repeat(*size)).collect();
            let batches = batches(&texts, most);
            let all: Vec<usize> = batches.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..texts.len()).collect::<Vec<_>>());
            for batch in batches {
                let bytes: usize = sizes[batch.clone()].iter().sum();
                prop_assert!(!batch.is_empty() && batch.len() <= most && bytes <= BATCH_BYTES);
            }
        }

        #[test]
        fn repetitions_are_sent_once_and_come_back(inputs in prop::collection::vec("[a-c]{1,2}", 0..40)) {
            let distinct = Distinct::of(inputs.clone());
            let unique: std::collections::HashSet<_> = distinct.texts.iter().collect();
            prop_assert_eq!(unique.len(), distinct.texts.len());
            prop_assert_eq!(distinct.spread(&distinct.texts), Some(inputs.clone()));
            if let Some(first) = inputs.first() {
                prop_assert_eq!(distinct.texts.first(), Some(first));
                prop_assert_eq!(distinct.spread::<u8>(&[]), None);
            }
        }

        #[test]
        fn vectors_round_trip(vector in prop::collection::vec(-1e30_f32..1e30, 1..50)) {
            prop_assert_eq!(decode_vector(&encode_vector(&vector)), Some(vector));
        }
    }
}
