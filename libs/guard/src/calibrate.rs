//! The guard beside people: how far both agree, and which thresholds their verdicts speak for.

use crate::rank;

/// The least verdicts, and of either kind, before thresholds are proposed.
const LEAST: (usize, usize) = (30, 5);
/// How many of the claims below the lower threshold may be unsupported.
const LEFT_BELOW: f64 = 0.05;
/// How many of the claims above the upper threshold must be unsupported.
const TRUE_ABOVE: f64 = 0.9;

/// A claim that a person has judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The risk that the guard gave it, 0 to 1.
    pub risk: f64,
    /// Whether the person found it not supported.
    pub is_unsupported: bool,
}

/// Thresholds for a tenant: see [`crate::Thresholds`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proposal {
    /// Below it at most one in twenty claims is unsupported.
    pub t_low: f64,
    /// At it and above at least nine in ten are.
    pub t_high: f64,
}

/// Cohen's kappa of two yes-or-no answers per claim, -1 to 1: `(observed - chance) / (1 - chance)` with the agreement
/// expected of two who answer independently in their own proportions (Cohen 1960). `None` below two claims, and where
/// chance alone agrees always.
pub fn kappa(answers: impl IntoIterator<Item = (bool, bool)>) -> Option<f64> {
    let (mut n, mut agreed, mut left, mut right) = (0.0, 0.0, 0.0, 0.0);
    for (a, b) in answers {
        n += 1.0;
        agreed += f64::from(u8::from(a == b));
        left += f64::from(u8::from(a));
        right += f64::from(u8::from(b));
    }
    if n < 2.0 {
        return None;
    }
    let (a, b) = (left / n, right / n);
    let chance = a * b + (1.0 - a) * (1.0 - b);
    (chance < 1.0).then(|| (agreed / n - chance) / (1.0 - chance))
}

/// The area under the ROC curve, 0 to 1: the chance that an unsupported claim has the higher risk. `None` while all are of
/// one kind. Risks that are not numbers count as 1.
pub fn auroc(claims: &[Judged]) -> Option<f64> {
    let scores: Vec<(f64, bool)> =
        claims.iter().map(|claim| (clean(claim.risk), claim.is_unsupported)).collect();
    rank::auroc(&scores)
}

/// Thresholds that the verdicts speak for: the highest lower one and the lowest upper one that keep what
/// [`Proposal`] promises. `None` while there are too few verdicts, of both kinds, and while no thresholds keep it.
pub fn propose(claims: &[Judged]) -> Option<Proposal> {
    let sorted = sorted(claims);
    let bad = sorted.iter().filter(|claim| claim.is_unsupported).count();
    let (least, of_each) = LEAST;
    if sorted.len() < least || bad < of_each || sorted.len() - bad < of_each {
        return None;
    }
    let cuts: Vec<usize> = (0..=sorted.len()).filter(|cut| is_between(&sorted, *cut)).collect();
    let unsupported = |claims: &[Judged]| claims.iter().filter(|claim| claim.is_unsupported).count() as f64;
    let share = |claims: &[Judged]| unsupported(claims) / claims.len() as f64;
    let low = cuts.iter().rev().find(|cut| **cut > 0 && share(&sorted[..**cut]) <= LEFT_BELOW)?;
    let high = cuts
        .iter()
        .find(|cut| **cut < sorted.len() && **cut >= *low && share(&sorted[**cut..]) >= TRUE_ABOVE)?;
    Some(Proposal { t_low: edge(&sorted, *low), t_high: edge(&sorted, *high) })
}

/// Whether claims on both sides of a cut differ in their risk.
fn is_between(sorted: &[Judged], cut: usize) -> bool {
    cut == 0 || cut == sorted.len() || sorted[cut - 1].risk < sorted[cut].risk
}

/// The risk in the middle between the claims around a cut.
fn edge(sorted: &[Judged], cut: usize) -> f64 {
    let below = if cut == 0 { 0.0 } else { sorted[cut - 1].risk };
    let above = sorted.get(cut).map_or(1.0, |claim| claim.risk);
    f64::midpoint(below, above)
}

fn clean(risk: f64) -> f64 {
    if risk.is_nan() { 1.0 } else { risk.clamp(0.0, 1.0) }
}

fn sorted(claims: &[Judged]) -> Vec<Judged> {
    let mut sorted: Vec<Judged> =
        claims.iter().map(|claim| Judged { risk: clean(claim.risk), ..*claim }).collect();
    sorted.sort_by(|a, b| a.risk.total_cmp(&b.risk));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(risks: &[(f64, bool)]) -> Vec<Judged> {
        risks
            .iter()
            .map(|(risk, is_unsupported)| Judged { risk: *risk, is_unsupported: *is_unsupported })
            .collect()
    }

    #[test]
    fn kappa_is_that_of_the_textbook() {
        // Two raters, fifty grants: 20 both yes, 15 both no, 5 and 10 apart; kappa 0.4.
        let answers = [((true, true), 20), ((true, false), 5), ((false, true), 10), ((false, false), 15)];
        let answers = answers.into_iter().flat_map(|(answer, n)| std::iter::repeat_n(answer, n));
        assert!((kappa(answers).expect("enough") - 0.4).abs() < 1e-12);
        assert_eq!(kappa([(true, true)]), None);
        assert_eq!(kappa([(true, true), (true, true)]), None, "chance alone agrees");
        assert_eq!(kappa([(true, false), (false, true)]), Some(-1.0));
    }

    #[test]
    fn auroc_counts_ties_half() {
        assert_eq!(auroc(&claims(&[(0.1, false), (0.9, true)])), Some(1.0));
        assert_eq!(auroc(&claims(&[(0.9, false), (0.1, true)])), Some(0.0));
        assert_eq!(auroc(&claims(&[(0.5, false), (0.5, true)])), Some(0.5));
        assert_eq!(auroc(&claims(&[(0.2, false), (0.4, true), (0.3, false), (0.3, true)])), Some(0.875));
        assert_eq!(auroc(&claims(&[(0.2, true)])), None);
    }

    #[test]
    fn thresholds_keep_what_they_promise() {
        let mut all = Vec::new();
        for i in 0..40 {
            all.push((f64::from(i) / 100.0, i == 20));
            all.push((0.55 + f64::from(i) / 100.0, i != 3));
        }
        let all = claims(&all);
        let Proposal { t_low, t_high } = propose(&all).expect("enough");
        assert!(0.0 < t_low && t_low <= t_high && t_high < 1.0);
        let below: Vec<_> = all.iter().filter(|claim| claim.risk < t_low).collect();
        let above: Vec<_> = all.iter().filter(|claim| claim.risk >= t_high).collect();
        let bad = |claims: &[&Judged]| claims.iter().filter(|claim| claim.is_unsupported).count() as f64;
        assert!(bad(&below) / below.len() as f64 <= LEFT_BELOW);
        assert!(bad(&above) / above.len() as f64 >= TRUE_ABOVE);
        assert!(t_low > 0.39 && t_high < 0.56, "{t_low} {t_high}");
    }

    #[test]
    fn few_or_useless_verdicts_propose_nothing() {
        assert_eq!(propose(&claims(&[(0.1, false); 29])), None);
        assert_eq!(propose(&claims(&[(0.1, false); 100])), None);
        let mixed: Vec<_> = (0..100).map(|i| (0.5, i % 2 == 0)).collect();
        assert_eq!(propose(&claims(&mixed)), None);
        assert_eq!(propose(&[]), None);
        assert_eq!(auroc(&claims(&[(f64::NAN, true), (0.5, false)])), Some(1.0));
    }
}
