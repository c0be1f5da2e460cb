//! The family of parsers: one file per kind of bytes. A parser turns a document's bytes into the text that is stored,
//! cited and cut, and says where the blocks of that text are.
//!
//! To add a format: one file with its `ENTRY`, one `mod` line and one list line here.

mod text;

use crate::domain::packing::Outline;
use crate::domain::source::Format;

/// What a parser may spend on one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseLimits {
    /// Bytes of the text that comes out.
    pub text_bytes: usize,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Its text. All spans are ranges of bytes of it.
    pub text: String,
    /// Its title and blocks.
    pub outline: Outline,
}

/// A document that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct ParseFailure {
    /// A stable word of [`crate::domain::records::reason`].
    pub reason: &'static str,
    /// For the person who uploaded it. Never holds text of the document.
    pub message: String,
}

/// A member of the family.
#[derive(Debug, Clone, Copy)]
pub struct Parser {
    /// The formats that it reads.
    pub formats: &'static [Format],
    /// One line for a person.
    pub summary: &'static str,
    /// Reads a document.
    pub parse: fn(Format, &[u8], &ParseLimits) -> Result<Parsed, ParseFailure>,
}

/// All parsers.
pub const ALL: &[Parser] = &[text::ENTRY];

/// Reads a document's bytes in this format. May take seconds: call it beside the runtime's own threads.
///
/// # Errors
/// When the bytes are not what the format says, or reading them would cost more than the limits allow.
pub fn parse(format: Format, bytes: &[u8], limits: &ParseLimits) -> Result<Parsed, ParseFailure> {
    let parser = ALL.iter().find(|parser| parser.formats.contains(&format)).unwrap_or(&text::ENTRY);
    (parser.parse)(format, bytes, limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_parser_and_every_file_is_listed() {
        for format in Format::ALL {
            let readers = ALL.iter().filter(|parser| parser.formats.contains(format));
            assert_eq!(readers.count(), 1, "{format:?}");
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/parsers");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, ALL.len() + 1, "a parser's file is not in the list");
    }
}
