//! Labelled rows out of JSON lines.

use serde::Deserialize;

/// One labelled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The text.
    pub text: String,
    /// Whether it is or holds an attack, where the set says so.
    pub label: Option<bool>,
    /// First character, one past the last, and type of each piece of personal data.
    pub spans: Vec<(usize, usize, String)>,
}

#[derive(Deserialize)]
struct Line {
    text: String,
    label: Option<u8>,
    spans: Option<Vec<(usize, usize, String)>>,
}

/// Reads a file of JSON lines; names every line (from 1) that has no `text`, or neither `label` (0 or 1) nor `spans`.
pub fn read_rows(file: &str) -> Result<Vec<Row>, Vec<usize>> {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (at, line) in file.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Line>(line) {
            Ok(Line { text, label, spans })
                if label.is_none_or(|l| l < 2) && (label.is_some() || spans.is_some()) =>
            {
                rows.push(Row {
                    text,
                    label: label.map(|label| label == 1),
                    spans: spans.unwrap_or_default(),
                });
            }
            _ => faults.push(at + 1),
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_every_bad_line_is_named() {
        let good = "{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"spans\":[[0,1,\"X\"]],\"id\":\"7\"}\n";
        let rows = read_rows(good).unwrap_or_default();
        assert_eq!((rows[0].label, rows[1].label, rows[1].spans.len()), (Some(true), None, 1));
        assert_eq!(read_rows("{\"text\":\"a\"}\n\nx\n{\"text\":\"a\",\"label\":2}"), Err(vec![1, 3, 4]));
    }
}
