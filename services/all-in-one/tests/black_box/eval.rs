//! `copydesk eval retrieval` with the real program: what it measures, and what it says of data that it cannot use.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use crate::support::commands::*;
use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/retrieval_sample");

fn figures(args: &[&str]) -> Value {
    let said = good(&[&["eval", "retrieval", SAMPLE, "--json"], args].concat());
    serde_json::from_str(&said).expect("JSON")
}

fn run<'a>(report: &'a Value, name: &str) -> &'a Value {
    let runs = report["runs"].as_array().expect("runs");
    runs.iter().find(|run| run["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn ndcg(run: &Value) -> f64 {
    run["ndcg_at_10"].as_f64().expect("a number")
}

#[test]
fn search_is_measured_by_words_and_with_weights_of_intents() {
    let report = figures(&[]);
    assert_eq!((&report["set"], &report["documents"]), (&"retrieval_sample".into(), &22.into()));
    assert_eq!((&report["queries"], &report["embedder"]), (&12.into(), &"".into()));
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(2), "no embedder, no dense leg: {report}");
    let (plain, weighed) = (run(&report, "bm25"), run(&report, "bm25 x intent weights"));
    assert_eq!(plain["recall_at_100"], 1.0);
    assert!(ndcg(plain) > 0.7 && ndcg(weighed) > ndcg(plain), "{report:#}");
    for of in [plain, weighed] {
        let (howto, history) = (&of["intents"]["howto"], &of["intents"]["history"]);
        assert_eq!((&howto["queries"], &history["queries"]), (&6.into(), &6.into()));
        assert!((ndcg(howto) + ndcg(history) - 2.0 * ndcg(of)).abs() < 1e-9, "both have six queries");
    }
    let again = figures(&[]);
    assert_eq!(again["runs"], report["runs"], "the same data, the same figures");
}

#[test]
fn what_is_kept_is_not_ingested_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let keep = folder.path().join("library");
    let keep = ["--keep", keep.to_str().expect("UTF-8")];
    let (first, again) = (figures(&keep), figures(&keep));
    assert_eq!((&again["runs"], &again["chunks"]), (&first["runs"], &first["chunks"]));
    assert!(folder.path().join("library").is_dir(), "it is still there");
}

#[test]
fn configured_intents_are_used() {
    let wrong = "retrieval.intents.howto={document=0.25,issue=4.0}";
    let right = "retrieval.intents.history={commit=1.5,document=0.5}";
    let report = figures(&["--set", wrong, "--set", right]);
    assert!(report["intent_weights"].as_str().expect("an origin").contains("configuration"), "{report}");
    let of = |name: &str, intent: &str| ndcg(&run(&report, name)["intents"][intent]);
    assert!(
        of("bm25 x intent weights", "howto") < of("bm25", "howto"),
        "a wrong weight does harm: {report:#}"
    );
    assert!(of("bm25 x intent weights", "history") >= of("bm25", "history"));
}

#[test]
fn the_table_is_for_people() {
    let said = good(&["eval", "retrieval", SAMPLE]);
    for word in
        ["22 documents", "12 of 13 queries", "words alone", "nDCG@10", "recall@100", "howto", "history"]
    {
        assert!(said.contains(word), "{word} in {said}");
    }
    assert!(said.contains("the other half"), "{said}");
}

#[test]
fn data_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let dir = folder.path().to_str().expect("UTF-8");
    assert!(bad(&["eval", "retrieval", dir]).contains("corpus.jsonl"));
    for file in ["corpus.jsonl", "queries.jsonl", "qrels.tsv"] {
        std::fs::copy(format!("{SAMPLE}/{file}"), folder.path().join(file)).expect("copied");
    }
    std::fs::write(folder.path().join("queries.jsonl"), "{\"_id\": \"h1\"\n").expect("written");
    let said = bad(&["eval", "retrieval", dir]);
    assert!(said.contains("queries.jsonl, line 1"), "{said}");
    let kept = bad(&["eval", "retrieval", SAMPLE, "--set", "database.url=postgres://h/d"]);
    assert!(kept.contains("database.url"), "{kept}");
}
