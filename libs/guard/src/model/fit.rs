//! Fitting the weights: logistic regression on sentences, sets and classes balanced, with a ridge penalty,
//! no weight against what its feature can say.

use std::fmt;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cross::separation;
use super::newton::{self, Point};
use super::row::{Row, Rows};
use super::weights::{Feature, Weights, overall, standard};
use crate::check::scan;
use crate::features::{Features, Leaning, leaning, names};
use crate::index::Index;
use crate::report::Source;

/// How strongly data count against the penalty: the inverse of the ridge parameter.
const TRUST: f64 = 0.03;
/// Risk at the threshold that separates best: everything from it on is unsupported.
const T_HIGH: f64 = 0.6;
/// Risk from which a claim is uncertain.
const T_LOW: f64 = 0.3;
/// Decimals of a number in the file.
const DECIMALS: i32 = 5;

/// What a fit may be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FitOptions {
    /// How much a set counts, by name, above 0; all others count 1.
    pub emphasis: Vec<(String, f64)>,
}

/// Why nothing can be fitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FitError {
    /// The named set lacks supported or unsupported rows.
    OneSided(String),
    /// The named set is emphasised but not there, or by a number that cannot be.
    Emphasis(String),
    /// There is no set.
    Empty,
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneSided(set) => write!(f, "set {set} needs rows of both labels"),
            Self::Emphasis(set) => write!(f, "the emphasis of {set} is not above 0, or there is no such set"),
            Self::Empty => write!(f, "there is nothing to fit on"),
        }
    }
}

impl std::error::Error for FitError {}

/// A row as the model sees it.
pub(super) struct Example {
    pub(super) set: usize,
    /// Hash of the context: rows that share it are never on both sides of a split.
    pub(super) group: u64,
    pub(super) supported: bool,
    pub(super) sentences: Vec<Labelled>,
}

pub(super) struct Labelled {
    pub(super) features: Features,
    /// What the row says of this sentence; `None` when it does not.
    pub(super) supported: Option<bool>,
}

/// Fits weights to sets of judged texts. The same rows in the same order give the same weights, bit for bit.
///
/// # Errors
/// When there is no set, a set has rows of one label only, or an emphasis is not of a set.
pub fn fit(sets: &[Rows], options: &FitOptions) -> Result<Weights, FitError> {
    let emphasis = check(sets, options)?;
    let examples = examples(sets);
    let all: Vec<&Example> = examples.iter().collect();
    let mut weights = fit_on(&all, &emphasis, &[]);
    weights.fitted_on = digest(sets);
    weights.rows = sets.iter().map(|set| (set.set.clone(), set.rows.len())).collect();
    weights.emphasis.clone_from(&options.emphasis);
    Ok(weights)
}

/// The emphasis of each set, when a fit is possible.
pub(super) fn check(sets: &[Rows], options: &FitOptions) -> Result<Vec<f64>, FitError> {
    if sets.is_empty() {
        return Err(FitError::Empty);
    }
    let both = |set: &&Rows| set.rows.iter().any(|row| row.label) && set.rows.iter().any(|row| !row.label);
    if let Some(set) = sets.iter().find(|set| !both(set)) {
        return Err(FitError::OneSided(set.set.clone()));
    }
    let odd = |(name, weight): &&(String, f64)| {
        !(weight.is_finite() && *weight > 0.0) || sets.iter().all(|set| set.set != *name)
    };
    if let Some((name, _)) = options.emphasis.iter().find(odd) {
        return Err(FitError::Emphasis(name.clone()));
    }
    let of = |set: &Rows| {
        options.emphasis.iter().rev().find(|(name, _)| *name == set.set).map_or(1.0, |(_, w)| *w)
    };
    Ok(sets.iter().map(of).collect())
}

pub(super) fn examples(sets: &[Rows]) -> Vec<Example> {
    let rows = sets.iter().enumerate().flat_map(|(set, rows)| rows.rows.iter().map(move |row| (set, row)));
    rows.map(|(set, row)| example(set, row)).collect()
}

fn example(set: usize, row: &Row) -> Example {
    let sources = [Source { id: &row.id, text: &row.context }];
    let index = Index::build(&sources);
    let sentences = scan(&index, &row.response).into_iter();
    let sentences = sentences
        .map(|study| Labelled { supported: row.supports(&study.span), features: study.features })
        .collect();
    let group =
        Sha256::digest(row.context.as_bytes()).iter().take(8).fold(0, |all, b| all << 8 | u64::from(*b));
    Example { set, group, supported: row.label, sentences }
}

/// SHA-256 of everything of the rows that a fit reads.
fn digest(sets: &[Rows]) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for set in sets {
        part(&set.set);
        for row in &set.rows {
            part(&row.context);
            part(&row.response);
            part(if row.label { "1" } else { "0" });
            part(row.original.as_deref().unwrap_or(""));
            part(&format!("{:?} {:?}", row.spans, row.sentences));
        }
    }
    hash.finalize().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Weights for these examples, as if the features at the positions in `without` were not there.
pub(super) fn fit_on(examples: &[&Example], emphasis: &[f64], without: &[usize]) -> Weights {
    let all: Vec<(&Example, &Labelled)> = examples
        .iter()
        .flat_map(|example| example.sentences.iter().map(|sentence| (*example, sentence)))
        .collect();
    let count = names().count();
    let moments: Vec<(f64, f64)> = (0..count).map(|at| moments(&all, at)).collect();
    let parts = parts(&all, emphasis);
    let points: Vec<Point> = all
        .iter()
        .zip(parts)
        .map(|((example, sentence), part)| Point {
            values: (0..count)
                .map(|at| match without.contains(&at) {
                    true => 0.0,
                    false => standard(sentence.features.values[at], moments[at].0, moments[at].1),
                })
                .collect(),
            target: if is_supported(example, sentence) { 0.0 } else { 1.0 },
            part,
        })
        .collect();
    let leanings: Vec<Leaning> = names().map(leaning).collect();
    let found = newton::fit(&points, &leanings, TRUST);
    let feature = |at: usize, name: &str| Feature {
        name: name.to_owned(),
        mean: rounded(moments[at].0),
        scale: rounded(moments[at].1).max(10f64.powi(-DECIMALS)),
        weight: rounded(found[at]),
    };
    let mut weights = Weights {
        format: 1,
        fitted_on: format!("sha256:{:064}", 0),
        rows: Vec::new(),
        emphasis: Vec::new(),
        t_low: T_LOW,
        t_high: T_HIGH,
        intercept: found[count],
        features: names().enumerate().map(|(at, name)| feature(at, name)).collect(),
    };
    let cut = separation(examples, &weights, emphasis.len());
    weights.intercept = rounded(weights.intercept - cut + (T_HIGH / (1.0 - T_HIGH)).ln());
    weights
}

/// A sentence of which the row says nothing is as its row.
fn is_supported(example: &Example, sentence: &Labelled) -> bool {
    sentence.supported.unwrap_or(example.supported)
}

fn rounded(value: f64) -> f64 {
    let shift = 10f64.powi(DECIMALS);
    let near = (value * shift).round() / shift;
    if near == 0.0 { 0.0 } else { near }
}

/// Mean and standard deviation of a feature; 1 when it never changes.
fn moments(all: &[(&Example, &Labelled)], at: usize) -> (f64, f64) {
    let count = all.len().max(1) as f64;
    let values = || all.iter().map(|(_, sentence)| sentence.features.values[at]);
    let mean = values().sum::<f64>() / count;
    let scale = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if scale > 1e-6 { scale } else { 1.0 })
}

/// How much each sentence counts: every class of a set counts the same, and sets as they are emphasised.
fn parts(all: &[(&Example, &Labelled)], emphasis: &[f64]) -> Vec<f64> {
    let class = |(example, sentence): &(&Example, &Labelled)| {
        example.set * 2 + usize::from(is_supported(example, sentence))
    };
    let mut sizes = vec![0_usize; emphasis.len() * 2];
    for sentence in all {
        sizes[class(sentence)] += 1;
    }
    let raw: Vec<f64> = all.iter().map(|s| emphasis[s.0.set] / sizes[class(s)] as f64).collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|part| part * all.len() as f64 / total).collect()
}

/// The log odds of a row as a whole.
pub(super) fn row_score(example: &Example, weights: &Weights) -> f64 {
    let scores: Vec<f64> =
        example.sentences.iter().map(|sentence| weights.score(&sentence.features)).collect();
    overall(&scores).unwrap_or(-30.0)
}
