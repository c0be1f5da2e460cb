//! The area under the ROC curve.

/// Chance that a positive scores higher than a negative, 0 to 1, ties counting half (Mann and Whitney 1947); `None` when one
/// kind is missing or a score is not a number.
pub fn auroc(scores: &[(f64, bool)]) -> Option<f64> {
    if scores.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = ties.iter().filter(|(_, positive)| *positive).count() as f64;
        let negatives = ties.len() as f64 - positives;
        wins += positives * (below + 0.5 * negatives);
        below += negatives;
    }
    let pairs = (scores.len() as f64 - below) * below;
    (pairs > 0.0).then(|| wins / pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_areas() {
        let close = |scores: &[(f64, bool)], expected: f64| {
            auroc(scores).is_some_and(|area| (area - expected).abs() < 1e-12)
        };
        assert!(close(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)], 0.75));
        assert!(close(&[(0.5, false), (0.5, true)], 0.5));
        assert!(close(&[(1.0, true), (0.0, false)], 1.0));
        assert_eq!(auroc(&[(1.0, true)]), None);
        assert_eq!(auroc(&[(f64::NAN, true), (0.0, false)]), None);
    }
}
