//! What benches of ingestion share: their documents, the processor's clock, and llama-index's splitter on the same texts
//! in the same run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python interpreter that has `llama-index-core`.
const PYTHON: &str = "COPYDESK_BENCH_PYTHON";

/// Every argument that is a file or a folder, folders gone through, or the documents of the demo.
pub fn documents(arguments: &[String]) -> Vec<String> {
    let given: Vec<&String> =
        arguments.iter().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut found = Vec::new();
    for path in &given {
        gather(Path::new(path), &mut found);
    }
    if given.is_empty() {
        gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../all-in-one/samples"), &mut found);
    }
    found
}

fn gather(path: &Path, found: &mut Vec<String>) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| gather(entry, found));
    } else if path.extension().is_some_and(|end| end == "md" || end == "txt") {
        found.push(std::fs::read_to_string(path).unwrap());
    }
}

/// MB for each second of processor time that the splitter takes for these texts, where there is an interpreter.
pub fn llama_index(documents: &[String], tokens: usize, overlap: usize) -> Option<f64> {
    let python = std::env::var_os(PYTHON)?;
    let folder = tempfile::tempdir().unwrap();
    for (at, text) in documents.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{at:06}.md")), text).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer/sentence_splitter.py");
    let mut command = Command::new(python);
    command.arg(script).arg(folder.path()).arg(tokens.to_string()).arg(overlap.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<f64> = line.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    Some(figures[0] / 1e6 / figures[2])
}
