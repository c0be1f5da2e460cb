//! What a ranking is worth: nDCG and recall, as the usual tools count them.
use std::collections::{BTreeMap, BTreeSet};

/// A ranking's figures, or the means of several.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// nDCG of the first ten, 0 to 1: gain is the grade, discounted by the logarithm of the place.
    pub ndcg_10: f64,
    /// The share of relevant documents among the first hundred, 0 to 1.
    pub recall_100: f64,
}

/// The figures of one ranking of different documents.
pub(super) fn figures(ranking: &[&str], relevant: &BTreeMap<String, f64>) -> Figures {
    let gain = |place: usize, grade: f64| grade / (place as f64 + 2.0).log2();
    let found = ranking.iter().take(10).enumerate();
    let got: f64 = found.map(|(place, id)| gain(place, relevant.get(*id).copied().unwrap_or(0.0))).sum();
    let mut grades: Vec<f64> = relevant.values().copied().collect();
    grades.sort_by(|left, right| right.total_cmp(left));
    let best: f64 = grades.iter().take(10).enumerate().map(|(place, grade)| gain(place, *grade)).sum();
    let first: BTreeSet<&str> = ranking.iter().take(100).copied().collect();
    let recalled = relevant.keys().filter(|id| first.contains(id.as_str())).count();
    let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
    Figures { ndcg_10: share(got, best), recall_100: share(recalled as f64, relevant.len() as f64) }
}

/// The means; zeros of none.
pub(super) fn mean(all: &[Figures]) -> Figures {
    let count = all.len().max(1) as f64;
    Figures {
        ndcg_10: all.iter().map(|one| one.ndcg_10).sum::<f64>() / count,
        recall_100: all.iter().map(|one| one.recall_100).sum::<f64>() / count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_the_formulas() {
        let relevant = BTreeMap::from([("a".to_owned(), 2.0), ("b".to_owned(), 1.0), ("c".to_owned(), 1.0)]);
        let best = figures(&["a", "b", "c"], &relevant);
        assert!((best.ndcg_10 - 1.0).abs() < 1e-12 && best.recall_100 == 1.0);
        let got = figures(&["x", "a", "c"], &relevant);
        let log = |place: f64| place.log2();
        let expected = (2.0 / log(3.0) + 1.0 / log(4.0)) / (2.0 + 1.0 / log(3.0) + 1.0 / log(4.0));
        assert!((got.ndcg_10 - expected).abs() < 1e-12);
        assert!((got.recall_100 - 2.0 / 3.0).abs() < 1e-12);
        let late: Vec<&str> = std::iter::repeat_n("x", 100).chain(["a"]).collect();
        assert_eq!(figures(&late, &relevant), Figures::default());
        assert_eq!(mean(&[best, Figures::default()]).recall_100, 0.5);
        assert_eq!(mean(&[]), Figures::default());
    }
}
