//! The figures, for people and for programs.
use std::fmt::Write;

use serde_json::{Value, json};

use super::Report;
use super::dataset::Dataset;
use super::judge::Figures;
use crate::show::count;

/// One line on what is measured.
pub(super) fn about(set: &Dataset) -> String {
    let (documents, queries) = (count(set.documents.len(), "document"), set.queries.len());
    let all =
        if set.all_queries == 1 { "1 query".to_owned() } else { format!("{} queries", set.all_queries) };
    format!("{}: {documents}, {queries} of {all} with judgements", set.name)
}

pub(super) fn table(set: &Dataset, report: &Report) -> String {
    let mut text = about(set);
    let embedder = if report.embedder.is_empty() { "none, words alone" } else { &report.embedder };
    let _ = write!(text, "\n{} · embedder: {embedder}\n\n", count(report.chunks, "chunk"));
    let intents = set.intents();
    let _ = write!(text, "{:<24}{:>8}{:>12}", "", "nDCG@10", "recall@100");
    for intent in &intents {
        let _ = write!(text, "{intent:>12}");
    }
    for measured in &report.runs {
        let Figures { ndcg_10, recall_100 } = measured.all;
        let _ = write!(text, "\n{:<24}{ndcg_10:>8.4}{recall_100:>12.4}", measured.run.name);
        for intent in &intents {
            let of = measured.intents.get(*intent).map_or(0.0, |(_, figures)| figures.ndcg_10);
            let _ = write!(text, "{of:>12.4}");
        }
    }
    if let Some(origin) = report.weights {
        let _ = write!(
            text,
            "\n\nThe columns of intents are nDCG@10. Weights of intents are {}.",
            origin.words()
        );
    }
    text
}

pub(super) fn json(set: &Dataset, report: &Report) -> Value {
    let runs = report.runs.iter().map(|measured| {
        let intents = measured.intents.iter().map(|(intent, (queries, figures))| {
            let mut of = values(*figures);
            of["queries"] = json!(queries);
            (intent.clone(), of)
        });
        let mut run = values(measured.all);
        run["name"] = json!(measured.run.name);
        run["intent_weights"] = json!(measured.run.weighed);
        run["intents"] = Value::Object(intents.collect());
        run
    });
    json!({
        "set": set.name,
        "documents": set.documents.len(),
        "queries": set.queries.len(),
        "chunks": report.chunks,
        "embedder": report.embedder,
        "ingestion_seconds": report.ingestion.as_secs_f64(),
        "intent_weights": report.weights.map(super::weights::Origin::words),
        "runs": runs.collect::<Vec<_>>(),
    })
}

fn values(figures: Figures) -> Value {
    json!({ "ndcg_at_10": figures.ndcg_10, "recall_at_100": figures.recall_100 })
}
