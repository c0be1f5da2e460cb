//! The words of `eval`.
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::guard::GuardEvalArgs;
use super::{SafetyEvalArgs, key_value};

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub enum EvalAction {
    /// How well search finds what it should, on a set of documents, queries and judgements in BEIR's layout.
    Retrieval(RetrievalEvalArgs),
    /// How well the guard tells texts that their source supports from those it does not, on judged texts.
    Guard(GuardEvalArgs),
    /// How well attacks and personal data are found, on labelled texts.
    Safety(SafetyEvalArgs),
}

/// What to measure search on.
#[derive(Debug, Clone, Args)]
pub struct RetrievalEvalArgs {
    /// A folder with corpus.jsonl (`_id`, `title`, `text`, and if wanted `source`), queries.jsonl (`_id`, `text`, and if
    /// wanted `intent` and `exclude`) and qrels.tsv (query, document, grade; also as qrels/test.tsv).
    pub dir: PathBuf,
    /// Print one JSON document instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Keep what was ingested in this folder and take it from there the next time: only documents that changed are read
    /// and embedded again. Without it the measurement leaves nothing behind.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// One setting, as for `up`, for example an embedder. Database and identity are the measurement's own.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub settings: Vec<(String, String)>,
}
