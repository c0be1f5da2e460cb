//! `eval safety` and `guard fit-injection`: how well the guard finds attacks and personal data, and what it learned that
//! from. Files are read here; the counting and the learning are the guard's.
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use copydesk_guard::inject::{self, Corpus, FitSettings};
use copydesk_guard::measure::{Counts, Detection, Spans, auroc, measure_attacks, measure_spans, read_rows};
use serde_json::{Value, json};

use crate::cli::{FitInjectionArgs, SafetyEvalArgs};

/// Measures each file on its own and prints what came out.
pub(crate) fn eval(args: &SafetyEvalArgs) -> anyhow::Result<()> {
    let mut sets = Vec::new();
    for path in &args.data {
        let rows = read_rows(&read(path)?).map_err(|lines| {
            anyhow::anyhow!("{}: lines without text and label or spans: {}", path.display(), list(&lines))
        })?;
        let attacks =
            if rows.iter().any(|row| row.label.is_some()) { measure_attacks(&rows) } else { Vec::new() };
        let marked = rows.iter().any(|row| !row.spans.is_empty());
        sets.push(Measured {
            name: name(path),
            rows: rows.len(),
            attacks,
            spans: marked.then(|| measure_spans(&rows)),
        });
    }
    if args.json {
        outln!("{:#}", json!({ "sets": sets.iter().map(Measured::json).collect::<Vec<_>>() }))?;
    } else {
        outln!("{}", sets.iter().map(Measured::table).collect::<Vec<_>>().join("\n\n"))?;
    }
    Ok(())
}

/// Learns the weights, says how good such weights are on texts they did not see, and writes them.
pub(crate) fn fit_injection(args: &FitInjectionArgs) -> anyhow::Result<()> {
    let files: Vec<String> = args.data.iter().map(read).collect::<anyhow::Result<_>>()?;
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let corpus = Corpus::read(&files).map_err(|lines| {
        anyhow::anyhow!("lines (file:line) without text and label or context: {}", lines.join(", "))
    })?;
    let (examples, settings) = (corpus.examples(), FitSettings::default());
    let texts: Vec<&str> = examples.iter().map(|example| example.text).collect();
    let scores = inject::cross_validate(&examples, &inject::groups(&texts), &settings)?;
    let (mut counts, mut ranked) = (Counts::default(), Vec::new());
    let all = examples.iter().zip(&scores).zip(corpus.labelled());
    for ((example, score), _) in all.filter(|(_, labelled)| *labelled) {
        counts.add(example.injection, *score > f64::from(settings.threshold));
        ranked.push((*score, example.injection));
    }
    let model = inject::fit(&examples, corpus.hash(), &settings)?;
    std::fs::write(&args.out, model.to_bytes())
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    outln!("{} texts, of which {} have labels", examples.len(), ranked.len())?;
    outln!("in five parts by groups of near copies: {}", ratios(&counts, auroc(&ranked)))?;
    outln!("weights {} in {}", model.version(), args.out.display())?;
    Ok(())
}

struct Measured {
    name: String,
    rows: usize,
    attacks: Vec<Detection>,
    spans: Option<Spans>,
}

impl Measured {
    fn table(&self) -> String {
        let mut text = format!("{}: {} rows", self.name, self.rows);
        for found in &self.attacks {
            // Writing into a String cannot fail.
            let _ = write!(text, "\n  {:<16} {}", found.detector, ratios(&found.counts, found.auroc));
        }
        for (kind, exact) in self.spans.iter().flat_map(|spans| &spans.exact) {
            let _ = write!(text, "\n  {kind:<16} {}", span_ratios(exact));
        }
        if let Some(spans) = &self.spans {
            let _ = write!(text, "\n  {:<16} {}", "all, exact", span_ratios(&Spans::micro(&spans.exact)));
            let _ = write!(text, "\n  {:<16} {}", "all, overlap", span_ratios(&Spans::micro(&spans.overlap)));
        }
        text
    }

    fn json(&self) -> Value {
        let attack = |found: &Detection| {
            let mut of = figures(&found.counts);
            of["detector"] = json!(found.detector);
            of["false_positive_rate"] = json!(found.counts.false_positive_rate());
            of["auroc"] = json!(found.auroc);
            of
        };
        let by_kind = |counts: &std::collections::BTreeMap<&'static str, Counts>| {
            let kinds = counts.iter().map(|(kind, counts)| ((*kind).to_owned(), figures(counts)));
            json!({ "micro": figures(&Spans::micro(counts)), "kinds": Value::Object(kinds.collect()) })
        };
        json!({
            "set": self.name,
            "rows": self.rows,
            "attacks": self.attacks.iter().map(attack).collect::<Vec<_>>(),
            "personal_data": self.spans.as_ref().map(|spans| {
                json!({ "exact": by_kind(&spans.exact), "overlap": by_kind(&spans.overlap) })
            }),
        })
    }
}

fn figures(counts: &Counts) -> Value {
    json!({
        "true_positives": counts.true_positives,
        "false_positives": counts.false_positives,
        "false_negatives": counts.false_negatives,
        "precision": counts.precision(),
        "recall": counts.recall(),
        "f1": counts.f1(),
    })
}

fn ratios(counts: &Counts, area: Option<f64>) -> String {
    let area = area.map_or_else(|| "-".to_owned(), |area| format!("{area:.3}"));
    let fpr = counts.false_positive_rate();
    format!("{}  FPR {fpr:.3}  AUROC {area}", span_ratios(counts))
}

fn span_ratios(counts: &Counts) -> String {
    format!("P {:.3}  R {:.3}  F1 {:.3}", counts.precision(), counts.recall(), counts.f1())
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// `prompt_injections/dev` of a path that ends so.
fn name(path: &Path) -> String {
    let stem =
        |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match path.parent().map(stem).filter(|parent| !parent.is_empty()) {
        Some(parent) => format!("{parent}/{}", stem(path)),
        None => stem(path),
    }
}

fn list(lines: &[usize]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = lines.iter().take(SHOWN).map(usize::to_string).collect();
    let more = if lines.len() > SHOWN { format!(" and {} more", lines.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
