//! The words of `guard` and of `eval guard`.
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::safety::FitInjectionArgs;

/// What to do with the guard's models.
#[derive(Debug, Clone, Subcommand)]
pub enum GuardAction {
    /// Fit the model's weights to judged texts, and say by cross-validation what they are worth. The same data give the
    /// same file, byte for byte.
    Fit(GuardFitArgs),
    /// Learn the weights of the injection classifier from labelled texts; the same files give the same weights.
    FitInjection(FitInjectionArgs),
}

/// What to fit on.
#[derive(Debug, Clone, Args)]
pub struct GuardFitArgs {
    /// Judged texts: JSON lines with `id`, `context`, `response` and `label` (1 supported, 0 not), or folders with dev.jsonl.
    #[arg(required = true)]
    pub data: Vec<PathBuf>,
    /// Where the weights go.
    #[arg(long)]
    pub out: PathBuf,
    /// Parts of the cross-validation; rows with the same context are in the same part.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=100))]
    pub folds: u64,
    /// How much a set counts beside the others, which count 1. May be given again.
    #[arg(long, value_name = "SET=NUMBER", value_parser = emphasis)]
    pub emphasis: Vec<(String, f64)>,
    /// Also cross-validate without each family of features in turn.
    #[arg(long)]
    pub ablate: bool,
    /// Print one JSON document instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// What to measure the guard on.
#[derive(Debug, Clone, Args)]
pub struct GuardEvalArgs {
    /// Judged texts, as for `guard fit`. If a row has them, `original`, `spans` or `sentences` label its sentences, and
    /// `supporting` names the lines of its context that are the evidence.
    #[arg(required = true)]
    pub data: Vec<PathBuf>,
    /// Weights to measure instead of those built in.
    #[arg(long)]
    pub weights: Option<PathBuf>,
    /// The threshold, 0 to 1, instead of the one that comes with the weights.
    #[arg(long, value_parser = risk)]
    pub threshold: Option<f64>,
    /// Print one JSON document instead of the table.
    #[arg(long)]
    pub json: bool,
}

fn emphasis(text: &str) -> Result<(String, f64), String> {
    let parsed = text.split_once('=').and_then(|(set, number)| Some((set.to_owned(), number.parse().ok()?)));
    parsed
        .filter(|(set, _): &(String, f64)| !set.is_empty())
        .ok_or_else(|| "is not of the form SET=NUMBER".to_owned())
}

fn risk(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|risk| (0.0..=1.0).contains(risk)).ok_or_else(|| "is not from 0 to 1".to_owned())
}
