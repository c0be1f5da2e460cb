//! How well a check does on judged texts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;

use super::row::{Row, Rows};
use super::weights::Weights;
use crate::align::bm25_best;
use crate::check::{check_by, scan};
use crate::index::{Index, PassageId};
use crate::rank;
use crate::report::{Claim, ReasonKind, Source, Thresholds};

/// Figures of all sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// One a set, in the order given.
    pub sets: Vec<SetFigures>,
    /// The mean of the sets' AUROC.
    pub macro_auroc: f64,
    /// The mean of the sets' balanced accuracy at the one threshold.
    pub macro_balanced_accuracy: f64,
}

/// Figures of one set; the class that is found is the unsupported one.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SetFigures {
    /// Its name.
    pub set: String,
    /// Rows.
    pub rows: usize,
    /// Share of rows that are not supported, 0 to 1.
    pub unsupported: f64,
    /// Chance that an unsupported row has a higher risk than a supported one, 0 to 1; 0.5 is a coin.
    pub auroc: f64,
    /// Mean of the shares of unsupported and of supported rows that are called right at the threshold, 0 to 1.
    pub balanced_accuracy: f64,
    /// Harmonic mean of precision and recall at the threshold, 0 to 1.
    pub f1: f64,
    /// As `auroc`, over the sentences of which the set says something; `None` when it says nothing of any.
    pub sentence_auroc: Option<f64>,
    /// Sentences of which the set says something.
    pub sentences: usize,
    /// By reason; a reason counts once a sentence.
    pub reasons: BTreeMap<String, ReasonFigures>,
    /// Sentences that stand in the source word for word, and how many of them are flagged all the same.
    pub verbatim: (usize, usize),
    /// Claims with gold evidence, how often the best evidence is part of it, and how often BM25's best is.
    pub evidence: (usize, usize, usize),
}

/// How far a reason can be trusted.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReasonFigures {
    /// Sentences that have it.
    pub fired: usize,
    /// Different contexts of those: edits of one text are no independent trials, so this says how much to trust the rest.
    pub contexts: usize,
    /// Share of those that are not supported, 0 to 1.
    pub precision: f64,
    /// Share of all unsupported sentences that have it, 0 to 1.
    pub recall: f64,
}

/// Checks every row and compares with what the sets say.
pub fn measure(sets: &[Rows], weights: &Weights, thresholds: &Thresholds) -> Figures {
    Figures::over(sets.iter().map(|set| measure_set(set, weights, thresholds)).collect())
}

impl Figures {
    pub(super) fn over(sets: Vec<SetFigures>) -> Self {
        Self {
            macro_auroc: mean(sets.iter().map(|set| set.auroc)),
            macro_balanced_accuracy: mean(sets.iter().map(|set| set.balanced_accuracy)),
            sets,
        }
    }
}

/// The figures that follow from scores alone: (score, unsupported), (called unsupported, unsupported), and sentences.
pub(super) fn set_figures(
    set: &str,
    whole: &[(f64, bool)],
    called: &[(bool, bool)],
    sentences: &[(f64, bool)],
) -> SetFigures {
    let bad = whole.iter().filter(|(_, bad)| *bad).count();
    SetFigures {
        set: set.to_owned(),
        rows: whole.len(),
        unsupported: bad as f64 / whole.len().max(1) as f64,
        auroc: auroc(whole),
        balanced_accuracy: balanced_accuracy(called),
        f1: f1(called),
        sentence_auroc: (!sentences.is_empty()).then(|| auroc(sentences)),
        sentences: sentences.len(),
        ..SetFigures::default()
    }
}

fn measure_set(set: &Rows, weights: &Weights, thresholds: &Thresholds) -> SetFigures {
    let (mut whole, mut called, mut sentences) = (Vec::new(), Vec::new(), Vec::new());
    let mut reasons: BTreeMap<&'static str, Fired<'_>> = BTreeMap::new();
    let (mut verbatim, mut evidence) = ((0, 0), (0, 0, 0));
    for row in &set.rows {
        let sources = [Source { id: &row.id, text: &row.context }];
        let report = check_by(weights, &row.response, &sources, thresholds);
        whole.push((report.risk, !row.label));
        called.push((report.risk >= thresholds.t_high, !row.label));
        for claim in &report.claims {
            if claim.reasons.iter().any(|reason| reason.kind == ReasonKind::VerbatimInSource) {
                verbatim = (verbatim.0 + 1, verbatim.1 + usize::from(claim.verdict.is_flagged()));
            }
            if let Some(supported) = row.supports(&claim.span) {
                sentences.push((claim.model_risk, !supported));
                count_reasons(&mut reasons, claim, supported, &row.context);
            }
        }
        count_evidence(&mut evidence, row, &sources);
    }
    let bad = sentences.iter().filter(|(_, bad)| *bad).count();
    let of = |fired: Fired<'_>| ReasonFigures {
        fired: fired.times,
        contexts: fired.contexts.len(),
        precision: fired.right as f64 / fired.times.max(1) as f64,
        recall: fired.right as f64 / bad.max(1) as f64,
    };
    let reasons = reasons.into_iter().map(|(kind, counts)| (kind.to_owned(), of(counts))).collect();
    SetFigures { reasons, verbatim, evidence, ..set_figures(&set.set, &whole, &called, &sentences) }
}

/// How often a reason was given.
#[derive(Default)]
struct Fired<'r> {
    times: usize,
    right: usize,
    contexts: BTreeSet<&'r str>,
}

fn count_reasons<'r>(
    reasons: &mut BTreeMap<&'static str, Fired<'r>>,
    claim: &Claim,
    supported: bool,
    context: &'r str,
) {
    let mut kinds: Vec<&'static str> = claim.reasons.iter().map(|reason| reason.kind.name()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let fired = reasons.entry(kind).or_default();
        fired.times += 1;
        fired.right += usize::from(!supported);
        fired.contexts.insert(context);
    }
}

fn count_evidence(evidence: &mut (usize, usize, usize), row: &Row, sources: &[Source<'_>]) {
    let gold = row.gold();
    if gold.is_empty() {
        return;
    }
    let index = Index::build(sources);
    let is_gold = |id: PassageId| {
        let span = &index.passage(id).span;
        gold.iter().any(|gold: &Range<usize>| gold.start < span.end && span.start < gold.end)
    };
    for study in scan(&index, &row.response) {
        evidence.0 += 1;
        evidence.1 += usize::from(study.best().is_some_and(is_gold));
        evidence.2 += usize::from(bm25_best(&index, &study.parsed.terms).is_some_and(is_gold));
    }
}

/// The area under the ROC curve; a coin's where there is one kind only.
pub(super) fn auroc(scored: &[(f64, bool)]) -> f64 {
    rank::auroc(scored).unwrap_or(0.5)
}

pub(super) fn balanced_accuracy(called: &[(bool, bool)]) -> f64 {
    let share = |truth: bool| {
        let of: Vec<bool> =
            called.iter().filter(|(_, bad)| *bad == truth).map(|(called, _)| *called == truth).collect();
        (!of.is_empty()).then(|| of.iter().filter(|right| **right).count() as f64 / of.len() as f64)
    };
    mean([share(true), share(false)].into_iter().flatten())
}

pub(super) fn f1(called: &[(bool, bool)]) -> f64 {
    let count = |wanted: (bool, bool)| called.iter().filter(|row| **row == wanted).count() as f64;
    let (hit, wrong, missed) = (count((true, true)), count((true, false)), count((false, true)));
    if hit > 0.0 { 2.0 * hit / (2.0 * hit + wrong + missed) } else { 0.0 }
}

/// 0 of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0_usize, 0.0), |(count, sum), value| (count + 1, sum + value));
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let scored = [(0.9, true), (0.8, false), (0.7, true), (0.7, false), (0.1, false)];
        assert!((auroc(&scored) - 4.5 / 6.0).abs() < 1e-12);
        assert!((auroc(&[(0.3, true)]) - 0.5).abs() < 1e-12);
        let called = [(true, true), (true, true), (false, true), (true, false), (false, false)];
        assert!((balanced_accuracy(&called) - (2.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
        assert!((f1(&called) - 2.0 / 3.0).abs() < 1e-12);
        assert!((f1(&[(false, true)])).abs() < 1e-12);
    }
}
