//! Vectors and rankings, checked before anybody relies on them.
use super::{ProviderError, Ranking, Vectors};
use crate::domain::{Outcome, Usage};

/// Tokens that were read and none written, which is all that vectors and rankings cost.
pub fn read_tokens(input: Option<u64>) -> Option<Usage> {
    input.map(|input| Usage { input, ..Usage::default() })
}

/// Vectors for `inputs` texts: as many as texts, none empty, all equally long, every number finite.
pub fn vectors(
    vectors: Vec<Vec<f32>>,
    inputs: usize,
    usage: Option<Usage>,
) -> Result<Vectors, ProviderError> {
    let length = vectors.first().map_or(0, Vec::len);
    let fault = match () {
        () if vectors.len() != inputs => "the reply has another number of vectors than texts",
        () if length == 0 => "the reply has an empty vector",
        () if vectors.iter().any(|vector| vector.len() != length) => "the vectors are not equally long",
        () if !vectors.iter().flatten().all(|number| number.is_finite()) => "a vector is not finite",
        () => return Ok(Vectors { vectors, usage }),
    };
    Err(bad(fault))
}

/// Vectors that carry the place of their text, put into the order of the texts. One without a place stands where it is.
pub fn in_order(
    found: Vec<(Option<usize>, Vec<f32>)>,
    inputs: usize,
    usage: Option<Usage>,
) -> Result<Vectors, ProviderError> {
    let mut ordered = vec![None; inputs];
    for (position, (index, vector)) in found.into_iter().enumerate() {
        let place = ordered.get_mut(index.unwrap_or(position));
        let place = place.ok_or_else(|| bad("the reply has a vector for a text that was not sent"))?;
        if place.replace(vector).is_some() {
            return Err(bad("the reply has two vectors for one text"));
        }
    }
    vectors(ordered.into_iter().flatten().collect(), inputs, usage)
}

/// A ranking of `documents` documents, best first, `top_n` at most: every place there is and only once, every score
/// finite. Ties stay in the order of the documents.
pub fn ranking(
    mut results: Vec<(usize, f64)>,
    documents: usize,
    top_n: usize,
    usage: Option<Usage>,
) -> Result<Ranking, ProviderError> {
    if results.is_empty() {
        return Err(bad("the reply ranks nothing"));
    }
    let mut seen = vec![false; documents];
    for (index, score) in &results {
        let place = seen.get_mut(*index);
        let place = place.ok_or_else(|| bad("the reply ranks a document that was not sent"))?;
        if std::mem::replace(place, true) {
            return Err(bad("the reply ranks a document twice"));
        }
        if !score.is_finite() {
            return Err(bad("a score is not finite"));
        }
    }
    results.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    results.truncate(top_n);
    Ok(Ranking { results, usage })
}

fn bad(detail: &str) -> ProviderError {
    ProviderError::new(Outcome::BadReply, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_checked() {
        assert!(vectors(vec![vec![1.0, 2.0], vec![0.0, 0.5]], 2, None).is_ok());
        for faulty in [
            vec![],
            vec![vec![1.0]],
            vec![vec![], vec![]],
            vec![vec![1.0], vec![1.0, 2.0]],
            vec![vec![1.0], vec![f32::INFINITY]],
            vec![vec![f32::NAN], vec![1.0]],
        ] {
            assert!(vectors(faulty.clone(), 2, None).is_err(), "{faulty:?}");
        }
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let swapped = vec![(Some(1), vec![1.0]), (Some(0), vec![0.0])];
        assert_eq!(in_order(swapped, 2, None).unwrap().vectors, [[0.0], [1.0]]);
        let bare = vec![(None, vec![0.0]), (None, vec![1.0])];
        assert_eq!(in_order(bare, 2, None).unwrap().vectors, [[0.0], [1.0]]);
        assert!(in_order(vec![(Some(0), vec![0.0]), (Some(0), vec![1.0])], 2, None).is_err());
        assert!(in_order(vec![(Some(2), vec![0.0]), (Some(0), vec![1.0])], 2, None).is_err());
        assert!(in_order(vec![(Some(0), vec![0.0])], 2, None).is_err());
    }

    #[test]
    fn rankings_are_checked_sorted_and_cut() {
        let found = vec![(0, 0.1), (2, 0.9), (1, 0.1)];
        assert_eq!(ranking(found.clone(), 3, 3, None).unwrap().results, [(2, 0.9), (0, 0.1), (1, 0.1)]);
        assert_eq!(ranking(found, 3, 1, None).unwrap().results, [(2, 0.9)]);
        for faulty in [vec![], vec![(3, 0.1)], vec![(0, 0.1), (0, 0.2)], vec![(0, f64::NAN)]] {
            assert!(ranking(faulty.clone(), 3, 3, None).is_err(), "{faulty:?}");
        }
    }
}
