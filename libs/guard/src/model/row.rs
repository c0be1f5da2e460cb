//! Judged texts, one JSON object a line.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;

use crate::text::{sentences, words};

/// Faults of a file that are named; more are counted.
const NAMED: usize = 10;

/// A text with the source it was written from, and whether the source supports it.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    /// Names the row.
    pub id: String,
    /// The source.
    pub context: String,
    /// The text.
    pub response: String,
    /// 1 when the source supports all of the text, 0 when not.
    #[serde(deserialize_with = "label")]
    pub label: bool,
    /// A text that the source supports and of which `response` is an edit: its sentences are supported.
    #[serde(default)]
    pub original: Option<String>,
    /// Characters of `response` that the source does not support, `[start, end)`.
    #[serde(default)]
    pub spans: Option<Vec<[usize; 2]>>,
    /// The sentences of `response` with labels of their own.
    #[serde(default)]
    pub sentences: Option<Vec<LabelledSentence>>,
    /// Positions of the lines of `context` that support the text; sets of which each suffices.
    #[serde(default)]
    pub supporting: Vec<Vec<usize>>,
}

/// A sentence with a label of its own.
#[derive(Debug, Clone, Deserialize)]
pub struct LabelledSentence {
    /// As it stands in the text.
    pub text: String,
    /// 1 when the source supports it, 0 when not.
    #[serde(deserialize_with = "label")]
    pub label: bool,
}

/// The rows of one set.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The set's name.
    pub set: String,
    /// At least one.
    pub rows: Vec<Row>,
}

/// Why a file is refused; every faulty line is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// One sentence a fault.
    pub faults: Vec<String>,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.faults.join("; "))
    }
}

impl std::error::Error for RowError {}

fn label<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match u8::deserialize(deserializer)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(serde::de::Error::custom(format!("label {other} is neither 0 nor 1"))),
    }
}

/// Reads JSON lines; fields that are not known are passed over.
///
/// # Errors
/// When a line is no row, or there is none.
pub fn read_rows(set: &str, lines: &str) -> Result<Rows, RowError> {
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(lines.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Row>(line) {
            Ok(row) => rows.push(row),
            Err(error) => faults.push(format!("line {number}: {error}")),
        }
    }
    if faults.len() > NAMED {
        let more = faults.len() - NAMED;
        faults.truncate(NAMED);
        faults.push(format!("and {more} more"));
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push("there is no row".to_owned());
    }
    if faults.is_empty() { Ok(Rows { set: set.to_owned(), rows }) } else { Err(RowError { faults }) }
}

impl Row {
    /// Whether the source supports the sentence at these bytes of the response; `None` when the row does not say.
    pub(crate) fn supports(&self, span: &Range<usize>) -> Option<bool> {
        if self.label {
            return Some(true);
        }
        let raw = self.response.get(span.clone())?;
        if let Some(labelled) = &self.sentences {
            let own = plain(raw);
            return labelled
                .iter()
                .find(|sentence| plain(&sentence.text) == own)
                .map(|sentence| sentence.label);
        }
        if let Some(spans) = &self.spans {
            let start = self.response[..span.start].chars().count();
            let end = start + raw.chars().count();
            return Some(!spans.iter().any(|[from, to]| *from < end && start < *to));
        }
        if let Some(original) = &self.original {
            let own = plain(raw);
            return Some(sentences(original).iter().any(|s| plain(&original[s.span.clone()]) == own));
        }
        (sentences(&self.response).len() == 1).then_some(false)
    }

    /// Bytes of the context that support the response.
    pub(crate) fn gold(&self) -> Vec<Range<usize>> {
        let mut at = 0;
        let places = self.context.split('\n').map(|line| {
            let place = at..at + line.len();
            at = place.end + 1;
            place
        });
        let places: Vec<Range<usize>> = places.collect();
        let mut wanted: Vec<usize> = self.supporting.iter().flatten().copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.into_iter().filter_map(|position| places.get(position).cloned()).collect()
    }
}

fn plain(text: &str) -> String {
    words(text).into_iter().map(|word| word.lower).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_sentences_come_from_what_the_row_has() -> Result<(), RowError> {
        let rows = read_rows(
            "own",
            r#"{"id":"a","context":"A. B.","response":"It is. It was.","label":0,"original":"It is. It may be."}
               {"id":"b","context":"A.","response":"It is. It was.","label":0,"spans":[[0,3]]}
               {"id":"c","context":"A.","response":"It is. It was.","label":0}
               {"id":"d","context":"A.","response":"It is.","label":0,"mood":1}
               {"id":"e","context":"A.","response":"It is. It was.","label":0,"sentences":[{"text":"It was.","label":1}]}
               {"id":"f","context":"A.","response":"It is. It was.","label":1}"#,
        )?;
        let of = |row: usize, span: Range<usize>| rows.rows[row].supports(&span);
        assert_eq!((of(0, 0..6), of(0, 7..14)), (Some(true), Some(false)));
        assert_eq!((of(1, 0..6), of(1, 7..14)), (Some(false), Some(true)));
        assert_eq!(of(2, 0..6), None);
        assert_eq!(of(3, 0..6), Some(false));
        assert_eq!((of(4, 0..6), of(4, 7..14)), (None, Some(true)));
        assert_eq!(of(5, 0..6), Some(true));
        Ok(())
    }

    #[test]
    fn every_faulty_line_is_named() {
        let error = read_rows("own", "{}\nno\n{\"id\":\"a\",\"context\":\"\",\"response\":\"\",\"label\":2}");
        let text = error.map_err(|error| error.to_string()).err().unwrap_or_default();
        assert!(
            text.contains("line 1") && text.contains("line 2") && text.contains("neither 0 nor 1"),
            "{text}"
        );
        assert!(read_rows("own", "\n").is_err());
    }
}
