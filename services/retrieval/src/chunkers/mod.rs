//! The family of chunkers: one file per form of text, whatever bytes it was read from (`parsers/`). A chunker only says
//! where the blocks of a text are; packing them into passages is the same for all (`domain/packing.rs`).
//!
//! To add a format: one file with its `ENTRY`, one `mod` line and one list line here.

mod markdown;
mod text;

use crate::domain::packing::Outline;
use crate::domain::source::Format;

/// A member of the family.
#[derive(Debug, Clone, Copy)]
pub struct Chunker {
    /// The format it reads.
    pub format: Format,
    /// One line for a person.
    pub summary: &'static str,
    /// Finds the blocks of a document. Total: every text has an outline.
    pub outline: fn(&str) -> Outline,
}

/// All chunkers.
pub const ALL: &[Chunker] = &[text::ENTRY, markdown::ENTRY];

/// Finds the blocks of a document in this format.
pub fn outline(format: Format, document: &str) -> Outline {
    let chunker = ALL.iter().find(|chunker| chunker.format == format).unwrap_or(&text::ENTRY);
    (chunker.outline)(document)
}

/// Longest title, in characters.
const TITLE: usize = 500;

/// A text as a title: one line, single spaces, no control characters; `None` when nothing is left.
fn title(text: &str) -> Option<String> {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let line: String = words.join(" ").chars().take(TITLE).collect();
    (!line.is_empty()).then_some(line)
}

/// Where the text begins after a byte order mark.
fn after_mark(text: &str) -> usize {
    if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_text_has_a_chunker_and_every_file_is_listed() {
        for format in Format::ALL.iter().filter(|format| format.is_text()) {
            assert_eq!(ALL.iter().filter(|chunker| chunker.format == *format).count(), 1, "{format:?}");
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chunkers");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, ALL.len() + 1, "a chunker's file is not in the list");
    }
}
