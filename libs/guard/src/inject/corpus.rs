//! Texts to learn from, out of files in JSON lines.

use std::collections::HashSet;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fit::Example;

/// What an injection counts beside an ordinary text: there are fewer of them.
const INJECTION: f64 = 5.0;
/// Most ordinary passages taken from a file of contexts.
const PASSAGES: usize = 400;

/// Texts with what they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corpus {
    rows: Vec<(String, bool, bool)>,
    hash: [u8; 32],
}

impl Corpus {
    /// Reads files of JSON lines: rows with `text` and `label` (1 is an injection), or rows with `context`, which are
    /// ordinary passages; of those, each once and at most 400 a file, evenly from the sorted list.
    ///
    /// Names every line that is neither, as `file:line`, counted from 1.
    pub fn read(files: &[&str]) -> Result<Self, Vec<String>> {
        let mut corpus = Self::default();
        let (mut faults, mut digest) = (Vec::new(), Sha256::new());
        for (number, file) in files.iter().enumerate() {
            digest.update(file.as_bytes());
            let mut passages: HashSet<String> = HashSet::new();
            for (line, text) in file.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let row: Value = serde_json::from_str(text).unwrap_or_default();
                match (row["text"].as_str(), row["label"].as_i64(), row["context"].as_str()) {
                    (Some(text), Some(label @ (0 | 1)), _) => {
                        corpus.rows.push((text.to_owned(), label == 1, true))
                    }
                    (_, _, Some(context)) => {
                        passages.insert(context.to_owned());
                    }
                    _ => faults.push(format!("{}:{}", number + 1, line + 1)),
                }
            }
            let mut passages: Vec<String> = passages.into_iter().collect();
            passages.sort();
            let step = (passages.len() / PASSAGES).max(1);
            corpus.rows.extend(passages.into_iter().step_by(step).map(|text| (text, false, false)));
        }
        corpus.hash = digest.finalize().into();
        if faults.is_empty() { Ok(corpus) } else { Err(faults) }
    }

    /// The examples, in the order of the files.
    pub fn examples(&self) -> Vec<Example<'_>> {
        let weight = |injection: bool| if injection { INJECTION } else { 1.0 };
        let rows = self.rows.iter();
        rows.map(|(text, injection, _)| Example { text, injection: *injection, weight: weight(*injection) })
            .collect()
    }

    /// For each example, whether it had a label of its own: those are what a measurement is about.
    pub fn labelled(&self) -> Vec<bool> {
        self.rows.iter().map(|(_, _, labelled)| *labelled).collect()
    }

    /// SHA-256 over the files, one after the other.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_every_bad_line_is_named() {
        let labelled = "{\"text\":\"a\",\"label\":1}\n\n{\"text\":\"b\",\"label\":0}\n";
        let contexts = "{\"context\":\"c\",\"label\":0}\n{\"context\":\"c\"}\n";
        let corpus = Corpus::read(&[labelled, contexts]);
        let kinds =
            corpus.map(|c| (c.examples().iter().map(|e| e.injection).collect::<Vec<_>>(), c.labelled()));
        assert_eq!(kinds, Ok((vec![true, false, false], vec![true, true, false])));
        assert_eq!(
            Corpus::read(&["{}\nx", "{\"text\":\"a\"}"]),
            Err(vec!["1:1".into(), "1:2".into(), "2:1".into()])
        );
    }
}
