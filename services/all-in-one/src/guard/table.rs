//! The figures for people.
use std::fmt::Write;
use std::path::Path;

use copydesk_guard::Thresholds;
use copydesk_guard::model::{Ablation, CrossValidated, Figures, Weights};

use super::Pace;

pub(super) fn fitted(found: &CrossValidated, ablation: &[Ablation], weights: &Weights, out: &Path) -> String {
    let mut text = format!("Cross-validated in {} parts, split by context:\n\n", found.folds);
    figures(&mut text, &found.figures);
    if !found.left_out.is_empty() {
        text.push_str("\n\nAUROC of each set by weights fitted on the others only:");
        for (set, auroc) in &found.left_out {
            let _ = write!(text, "\n{set:<16}{auroc:>8.3}");
        }
    }
    if !ablation.is_empty() {
        text.push_str("\n\nChange of macro AUROC without a family of features:");
        for Ablation { family, change } in ablation {
            let _ = write!(text, "\n{family:<16}{change:>+8.4}");
        }
    }
    let _ = write!(text, "\n\nWrote {}, fitted on {}.", out.display(), weights.fitted_on);
    text
}

pub(super) fn measured(figures: &Figures, pace: &Pace, weights: &Weights, thresholds: &Thresholds) -> String {
    let mut text = format!("Weights fitted on {}, threshold {}.\n\n", weights.fitted_on, thresholds.t_high);
    self::figures(&mut text, figures);
    for set in &figures.sets {
        if !set.reasons.is_empty() {
            let _ = write!(
                text,
                "\n\n{:<26}{:>10}{:>10}{:>10}{:>10}",
                set.set, "sentences", "contexts", "precision", "recall"
            );
        }
        for (reason, of) in &set.reasons {
            let _ = write!(
                text,
                "\n  {reason:<24}{:>10}{:>10}{:>10.3}{:>10.3}",
                of.fired, of.contexts, of.precision, of.recall
            );
        }
        let (verbatim, flagged) = set.verbatim;
        if verbatim > 0 {
            let _ = write!(text, "\n  {flagged} of {verbatim} word-for-word sentences are flagged");
        }
        let (claims, ours, bm25) = set.evidence;
        if claims > 0 {
            let _ =
                write!(text, "\n  evidence is gold for {ours} of {claims} claims, BM25's best for {bm25}");
        }
    }
    let _ = write!(
        text,
        "\n\nTime per response: mean {:?}, median {:?}, p99 {:?}.",
        pace.mean, pace.median, pace.p99
    );
    text
}

fn figures(text: &mut String, figures: &Figures) {
    let _ = write!(
        text,
        "{:<16}{:>7}{:>13}{:>8}{:>10}{:>8}{:>16}",
        "", "rows", "unsupported", "AUROC", "balanced", "F1", "sentence AUROC"
    );
    for set in &figures.sets {
        let sentence = set.sentence_auroc.map_or_else(|| "-".to_owned(), |auroc| format!("{auroc:.3}"));
        let _ = write!(
            text,
            "\n{:<16}{:>7}{:>13.3}{:>8.3}{:>10.3}{:>8.3}{sentence:>16}",
            set.set, set.rows, set.unsupported, set.auroc, set.balanced_accuracy, set.f1
        );
    }
    let _ = write!(
        text,
        "\n{:<16}{:>28.3}{:>10.3}",
        "macro", figures.macro_auroc, figures.macro_balanced_accuracy
    );
}
