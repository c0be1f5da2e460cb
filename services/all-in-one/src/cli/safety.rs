//! The words of `eval safety` and `guard fit-injection`.
use std::path::PathBuf;

use clap::Args;

/// What to learn from.
#[derive(Debug, Clone, Args)]
pub struct FitInjectionArgs {
    /// Files in JSON lines: rows with `text` and `label` (1 is an injection), or rows with `context`, which are ordinary
    /// passages.
    #[arg(required = true)]
    pub data: Vec<PathBuf>,
    /// Where the weights go.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// What to measure safety on.
#[derive(Debug, Clone, Args)]
pub struct SafetyEvalArgs {
    /// Files in JSON lines: rows with `text` and `label` (1 is an attack), or rows with `text` and `spans`
    /// (`[first character, one past the last, type]`) of personal data.
    #[arg(required = true)]
    pub data: Vec<PathBuf>,
    /// Print one JSON document instead of the tables.
    #[arg(long)]
    pub json: bool,
}
