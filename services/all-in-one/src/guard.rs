//! `guard fit` and `eval guard`: the guard's model is fitted and measured on files; all that counts is in the guard.
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use copydesk_guard::model::{
    FitOptions, Rows, Weights, ablate, cross_validate, fit as fit_weights, measure, read_rows,
};
use copydesk_guard::{Source, Thresholds, check_by};
use serde_json::json;

use crate::cli::{GuardEvalArgs, GuardFitArgs};

mod table;

/// File names that say which part of a set it is; the set's name is then the folder's.
const PARTS: [&str; 5] = ["dev", "test", "train", "heldout", "held_out"];

pub(crate) fn fit(args: &GuardFitArgs) -> anyhow::Result<()> {
    let sets = read(&args.data)?;
    let options = FitOptions { emphasis: args.emphasis.clone() };
    let found = cross_validate(&sets, &options, args.folds)?;
    let ablation = if args.ablate { ablate(&sets, &options, args.folds)? } else { Vec::new() };
    let weights = fit_weights(&sets, &options)?;
    std::fs::write(&args.out, weights.to_json())
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    if args.json {
        let ablation = args.ablate.then_some(ablation);
        let report = json!({
            "cross_validated": found, "ablation": ablation, "fitted_on": weights.fitted_on,
            "out": args.out.display().to_string(),
        });
        outln!("{report:#}")?;
    } else {
        outln!("{}", table::fitted(&found, &ablation, &weights, &args.out))?;
    }
    Ok(())
}

pub(crate) fn eval(args: &GuardEvalArgs) -> anyhow::Result<()> {
    let sets = read(&args.data)?;
    let read_weights = args.weights.as_deref().map(weights).transpose()?;
    let weights = read_weights.as_ref().unwrap_or_else(|| Weights::built_in());
    let mut thresholds = Thresholds { t_low: weights.t_low, t_high: weights.t_high, ..Thresholds::default() };
    if let Some(risk) = args.threshold {
        thresholds = Thresholds { t_low: thresholds.t_low.min(risk), t_high: risk, ..thresholds };
    }
    let figures = measure(&sets, weights, &thresholds);
    let pace = pace(&sets, weights, &thresholds);
    if args.json {
        let report = json!({
            "figures": figures, "threshold": thresholds.t_high, "fitted_on": weights.fitted_on,
            "microseconds_per_response": {
                "mean": pace.mean.as_micros(), "p50": pace.median.as_micros(), "p99": pace.p99.as_micros(),
            },
        });
        outln!("{report:#}")?;
    } else {
        outln!("{}", table::measured(&figures, &pace, weights, &thresholds))?;
    }
    Ok(())
}

fn weights(path: &Path) -> anyhow::Result<Weights> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Weights::parse(&text).with_context(|| path.display().to_string())
}

/// # Errors
/// When a file cannot be read, a line is no row, or two sets have the same name.
fn read(data: &[PathBuf]) -> anyhow::Result<Vec<Rows>> {
    let mut sets: Vec<Rows> = Vec::new();
    for path in data {
        let file = if path.is_dir() { path.join("dev.jsonl") } else { path.clone() };
        let lines =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let set = name(&file);
        if sets.iter().any(|other| other.set == set) {
            bail!("two sets are named `{set}`");
        }
        sets.push(read_rows(&set, &lines).with_context(|| file.display().to_string())?);
    }
    Ok(sets)
}

fn name(file: &Path) -> String {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let text =
        |part: Option<&std::ffi::OsStr>| part.map_or_else(String::new, |p| p.to_string_lossy().into_owned());
    let stem = text(file.file_stem());
    if PARTS.contains(&stem.as_str()) { text(file.parent().and_then(Path::file_name)) } else { stem }
}

/// How long a check takes.
struct Pace {
    mean: Duration,
    median: Duration,
    p99: Duration,
}

fn pace(sets: &[Rows], weights: &Weights, thresholds: &Thresholds) -> Pace {
    let rows = sets.iter().flat_map(|set| &set.rows);
    let mut times: Vec<Duration> = rows
        .map(|row| {
            let sources = [Source { id: &row.id, text: &row.context }];
            let began = Instant::now();
            std::hint::black_box(check_by(weights, &row.response, &sources, thresholds));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX).max(1);
    Pace { mean: times.iter().sum::<Duration>() / count, median: at(50), p99: at(99) }
}
