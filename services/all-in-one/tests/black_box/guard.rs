//! `copydesk guard fit` and `copydesk eval guard` with the real program, on a few judged texts of our own.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use crate::support::commands::*;
use serde_json::{Value, json};

const FACTS: [(&str, &str); 4] = [
    ("Acme cut build times by 40 % in 2024.", "Acme cut build times by 70 % in 2024."),
    ("The cache keeps every artefact for 30 days.", "The cache keeps every artefact for 90 days."),
    ("The Team plan costs $20 per month.", "The Team plan costs $90 per month."),
    ("Maria Chen leads the platform team in Berlin.", "Paolo Rossi leads the platform team in Berlin."),
];

fn rows() -> String {
    let judged = FACTS.iter().enumerate().flat_map(|(at, (fact, forged))| {
        [(fact, 1), (forged, 0)].map(|(text, label)| {
            let row =
                json!({ "id": format!("{at}-{label}"), "context": fact, "response": text, "label": label });
            format!("{row}\n")
        })
    });
    judged.collect()
}

#[test]
fn weights_are_fitted_and_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    std::fs::create_dir(at("own")).expect("a folder");
    std::fs::write(at("own/dev.jsonl"), rows()).expect("rows");
    let (first, again) = (at("first.json"), at("again.json"));
    let said = good(&["guard", "fit", &at("own"), "--out", &first, "--folds", "2", "--ablate", "--json"]);
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(report["cross_validated"]["figures"]["sets"][0]["set"], "own");
    assert_eq!(report["ablation"].as_array().map(Vec::len), Some(9), "{report:#}");
    good(&["guard", "fit", &at("own/dev.jsonl"), "--out", &again, "--folds", "2"]);
    let read = |path: &str| std::fs::read_to_string(path).expect("weights");
    assert_eq!(read(&first), read(&again), "the same data, the same bytes");

    let said = good(&["eval", "guard", &at("own"), "--weights", &first, "--json"]);
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert!(report["figures"]["macro_auroc"].as_f64().expect("a number") > 0.8, "{report:#}");
    assert_eq!(report["figures"]["sets"][0]["rows"], 8);
}

#[test]
fn what_cannot_be_used_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own.jsonl");
    std::fs::write(&file, rows() + "{}\n").expect("rows");
    let file = file.to_str().expect("UTF-8");
    assert!(bad(&["eval", "guard", file]).contains("line 9"));
    std::fs::write(file, rows()).expect("rows");
    assert!(bad(&["eval", "guard", file, "--weights", file]).contains("weights"));
    assert!(bad(&["eval", "guard", file, file]).contains("two sets"));
}
