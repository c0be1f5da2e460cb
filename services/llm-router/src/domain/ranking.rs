//! Documents by how well they answer.
use super::Attribution;

/// A call for a ranking as it came through the door.
#[derive(Clone, PartialEq)]
pub struct RerankOrder {
    /// For whom.
    pub attribution: Attribution,
    /// The model that must rank, `<provider>/<model>`; `None`: the first one that can.
    pub model: Option<String>,
    /// The query, never empty.
    pub query: String,
    /// The documents, 1 to 1,000, none of them empty.
    pub documents: Vec<String>,
    /// The most results, 1 to the number of documents.
    pub top_n: usize,
}

/// Why a ranking cannot be used. Texts are not quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RankingFault {
    /// A place that is not in the request.
    #[error("the ranking names document {0} of {1}")]
    Stranger(usize, usize),
    /// A document that is ranked twice.
    #[error("the ranking names document {0} twice")]
    Twice(usize),
    /// A score that is no number.
    #[error("the score of document {0} is not a finite number")]
    NotFinite(usize),
    /// Fewer results than there must be.
    #[error("{0} of {1} results came")]
    TooFew(usize, usize),
}

/// Checks a provider's ranking, as pairs of place and score, of this many documents; gives it best first, equal scores in
/// the order of the request, and cut to `top_n`.
///
/// # Errors
/// What is wrong with it.
pub fn check_ranking(
    mut results: Vec<(usize, f64)>,
    documents: usize,
    top_n: usize,
) -> Result<Vec<(usize, f64)>, RankingFault> {
    let mut seen = vec![false; documents];
    for (place, score) in &results {
        match seen.get_mut(*place) {
            None => return Err(RankingFault::Stranger(*place, documents)),
            Some(true) => return Err(RankingFault::Twice(*place)),
            Some(fresh) => *fresh = true,
        }
        if !score.is_finite() {
            return Err(RankingFault::NotFinite(*place));
        }
    }
    let wanted = top_n.min(documents);
    if results.len() < wanted {
        return Err(RankingFault::TooFew(results.len(), wanted));
    }
    results.sort_by(|(a, left), (b, right)| right.total_cmp(left).then(a.cmp(b)));
    results.truncate(wanted);
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_are_sorted_and_cut() {
        let ranked = check_ranking(vec![(0, 0.1), (3, 0.5), (2, 0.9), (1, 0.5)], 4, 3);
        assert_eq!(ranked, Ok(vec![(2, 0.9), (1, 0.5), (3, 0.5)]));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(check_ranking(vec![(2, 0.1)], 2, 1), Err(RankingFault::Stranger(2, 2)));
        assert_eq!(check_ranking(vec![(1, 0.1), (1, 0.2)], 2, 2), Err(RankingFault::Twice(1)));
        assert_eq!(check_ranking(vec![(1, f64::NAN)], 2, 1), Err(RankingFault::NotFinite(1)));
        assert_eq!(check_ranking(vec![(1, 0.1)], 2, 2), Err(RankingFault::TooFew(1, 2)));
    }
}
