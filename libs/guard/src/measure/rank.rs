//! The area under the ROC curve.

/// Chance that a positive scores higher than a negative, ties counting half (the Mann-Whitney statistic, by mid-ranks);
/// `None` when one kind is missing or a score is not a number.
pub fn auroc(scores: &[(f64, bool)]) -> Option<f64> {
    if scores.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    let mut sorted: Vec<&(f64, bool)> = scores.iter().collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scores.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = scores.len() as f64 - positives;
    if positives < 1.0 || negatives < 1.0 {
        return None;
    }
    let (mut ranks, mut at) = (0.0, 0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let middle = at as f64 + (tied.len() as f64 + 1.0) / 2.0;
        ranks += middle * tied.iter().filter(|(_, positive)| *positive).count() as f64;
        at += tied.len();
    }
    Some((ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives))
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
