//! How well weights do on rows they were not fitted on.

use serde::Serialize;

use super::fit::{Example, FitError, FitOptions, check, examples, fit_on, row_score};
use super::measure::{Figures, SetFigures, auroc, balanced_accuracy, mean, set_figures};
use super::row::Rows;
use super::weights::{Weights, logistic};
use crate::features::FAMILIES;

/// What cross-validation found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrossValidated {
    /// How many parts the rows were split into, by their contexts.
    pub folds: u64,
    /// Each row scored by weights fitted on the other parts.
    pub figures: Figures,
    /// Each set scored by weights fitted on the other sets only; AUROC by set, empty for a single set.
    pub left_out: Vec<(String, f64)>,
}

/// What a family of features is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ablation {
    /// The family.
    pub family: String,
    /// Cross-validated macro AUROC without it, less that with all.
    pub change: f64,
}

/// Cross-validates a fit: rows with the same context are in the same part.
///
/// # Errors
/// As [`fit`](super::fit).
pub fn cross_validate(sets: &[Rows], options: &FitOptions, folds: u64) -> Result<CrossValidated, FitError> {
    let emphasis = check(sets, options)?;
    let examples = examples(sets);
    let folds = folds.max(2);
    let scores = folded(&examples, &emphasis, folds, &[]);
    let left_out = if sets.len() > 1 { leave_out(sets, &examples, &emphasis) } else { Vec::new() };
    Ok(CrossValidated { folds, figures: figures(sets, &examples, &scores), left_out })
}

/// Cross-validates without each family in turn.
///
/// # Errors
/// As [`fit`](super::fit).
pub fn ablate(sets: &[Rows], options: &FitOptions, folds: u64) -> Result<Vec<Ablation>, FitError> {
    let emphasis = check(sets, options)?;
    let examples = examples(sets);
    let of = |without: &[usize]| {
        figures(sets, &examples, &folded(&examples, &emphasis, folds.max(2), without)).macro_auroc
    };
    let all = of(&[]);
    let mut first = 0;
    let mut families: Vec<(&str, Vec<usize>)> = Vec::new();
    for family in FAMILIES {
        let next = first + family.features.len();
        families.push((family.name, (first..next).collect()));
        first = next;
    }
    let change = |(family, without): (&str, Vec<usize>)| Ablation {
        family: family.to_owned(),
        change: of(&without) - all,
    };
    Ok(families.into_iter().map(change).collect())
}

/// What a row and its sentences score.
struct Scored {
    whole: f64,
    sentences: Vec<f64>,
    t_high: f64,
    fold: u64,
}

fn scored(example: &Example, weights: &Weights, fold: u64) -> Scored {
    let sentences = example.sentences.iter();
    Scored {
        whole: logistic(row_score(example, weights)),
        sentences: sentences.map(|sentence| logistic(weights.score(&sentence.features))).collect(),
        t_high: weights.t_high,
        fold,
    }
}

fn folded(examples: &[Example], emphasis: &[f64], folds: u64, without: &[usize]) -> Vec<Scored> {
    let mut scores: Vec<Option<Scored>> = examples.iter().map(|_| None).collect();
    for fold in 0..folds {
        let others: Vec<&Example> = examples.iter().filter(|example| example.group % folds != fold).collect();
        let weights = fit_on(&others, emphasis, without);
        let held = examples.iter().zip(&mut scores).filter(|(example, _)| example.group % folds == fold);
        held.for_each(|(example, score)| *score = Some(scored(example, &weights, fold)));
    }
    scores.into_iter().flatten().collect()
}

fn leave_out(sets: &[Rows], examples: &[Example], emphasis: &[f64]) -> Vec<(String, f64)> {
    let of = |(set, rows): (usize, &Rows)| {
        let others: Vec<&Example> = examples.iter().filter(|example| example.set != set).collect();
        let weights = fit_on(&others, emphasis, &[]);
        let held: Vec<(f64, bool)> = examples
            .iter()
            .filter(|example| example.set == set)
            .map(|example| (row_score(example, &weights), !example.supported))
            .collect();
        (rows.set.clone(), auroc(&held))
    };
    sets.iter().enumerate().map(of).collect()
}

/// The sentences of which the row says something: (risk, unsupported).
fn said<'a>((example, scored): (&'a Example, &'a Scored)) -> impl Iterator<Item = (f64, bool)> + 'a {
    let pairs = example.sentences.iter().zip(&scored.sentences);
    pairs.filter_map(|(sentence, score)| Some((*score, !sentence.supported?)))
}

fn figures(sets: &[Rows], examples: &[Example], scores: &[Scored]) -> Figures {
    let of = |(set, rows): (usize, &Rows)| {
        let own = || examples.iter().zip(scores).filter(|(example, _)| example.set == set);
        let whole: Vec<(f64, bool)> = own().map(|(example, s)| (s.whole, !example.supported)).collect();
        let called: Vec<(bool, bool)> =
            own().map(|(example, s)| (s.whole >= s.t_high, !example.supported)).collect();
        let sentences: Vec<(f64, bool)> = own().flat_map(said).collect();
        // Scores of different weights do not compare: pairs are made within a fold.
        let folds = || scores.iter().map(|s| s.fold).collect::<std::collections::BTreeSet<u64>>().into_iter();
        let within = |fold: u64| own().filter(move |(_, s)| s.fold == fold);
        let wholes = folds().map(|fold| {
            within(fold).map(|(example, s)| (s.whole, !example.supported)).collect::<Vec<(f64, bool)>>()
        });
        let parts = folds().map(|fold| within(fold).flat_map(said).collect::<Vec<(f64, bool)>>());
        let pooled = set_figures(&rows.set, &whole, &called, &sentences);
        SetFigures {
            auroc: mean(wholes.map(|whole| auroc(&whole))),
            sentence_auroc: pooled.sentence_auroc.map(|_| mean(parts.map(|part| auroc(&part)))),
            ..pooled
        }
    };
    Figures::over(sets.iter().enumerate().map(of).collect())
}

/// The log odds from which calling rows unsupported gives the best balanced accuracy, the mean over sets.
pub(super) fn separation(examples: &[&Example], weights: &Weights, sets: usize) -> f64 {
    let scored: Vec<(usize, f64, bool)> = examples
        .iter()
        .map(|example| (example.set, row_score(example, weights), !example.supported))
        .collect();
    let mut cuts: Vec<f64> = scored.iter().map(|(_, score, _)| *score).collect();
    cuts.sort_unstable_by(f64::total_cmp);
    let gain = |cut: f64| {
        let by_set = (0..sets).filter_map(|set| {
            let own = scored.iter().filter(|(of, _, _)| *of == set);
            let called: Vec<(bool, bool)> = own.map(|(_, score, bad)| (*score >= cut, *bad)).collect();
            (!called.is_empty()).then(|| balanced_accuracy(&called))
        });
        mean(by_set)
    };
    let quantile = |part: usize| cuts.get(cuts.len() * part / CUTS).copied();
    let gains: Vec<(f64, f64)> = (1..CUTS).filter_map(quantile).map(|cut| (gain(cut), cut)).collect();
    let best = gains.iter().map(|(gain, _)| *gain).fold(0.0, f64::max);
    mean(gains.iter().filter(|(gain, _)| *gain >= best - AS_GOOD).map(|(_, cut)| *cut))
}

/// Cuts this close to the best are as good: the middle of them is steadier than the best of them.
const AS_GOOD: f64 = 0.004;
/// How finely the cut is searched, in quantiles of the rows.
const CUTS: usize = 100;
