//! The family of parsers: one file per format. A parser makes text with pages of a document's bytes; it is a pure
//! function, whatever the bytes are, and keeps to the limits that it is given.
//!
//! What the limits here cannot hold (a library's memory, a loop that does not end) is held around it: formats that are
//! [`apart`](Parser::apart) are read in a process of their own (`adapters/reader.rs`).
//!
//! To add a format: one file with its `ENTRY`, one `mod` line and one list line here, and a value of
//! [`Format`](crate::domain::source::Format).

mod csv;
mod docx;
mod html;
mod image;
mod markdown;
mod pdf;
mod pptx;
mod text;
mod xlsx;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::domain::reading::{ReadFailure, ReadLimits, Reading, archive, sniff};
use crate::domain::records::reason;
use crate::domain::source::Format;

/// A member of the family.
#[derive(Debug, Clone, Copy)]
pub struct Parser {
    /// The format it reads.
    pub format: Format,
    /// One line for a person.
    pub summary: &'static str,
    /// True when hostile bytes could take more time or memory than they may: it is run in a process of its own.
    pub apart: bool,
    /// Reads a document. Never sees bytes that are plainly of another format.
    pub parse: fn(&[u8], &ReadLimits) -> Result<Reading, ReadFailure>,
}

/// All parsers.
pub const ALL: &[Parser] = &[
    text::ENTRY,
    markdown::ENTRY,
    html::ENTRY,
    pdf::ENTRY,
    docx::ENTRY,
    pptx::ENTRY,
    xlsx::ENTRY,
    csv::ENTRY,
    image::ENTRY,
];

/// What is known of a document before it is read.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Its format.
    pub format: Format,
    /// Something odd that its reader should know, such as a name that says another format.
    pub note: Option<String>,
}

/// Chooses the parser: the given format, or, when that is `Auto`, what the bytes and then the key say.
///
/// # Errors
/// `EMPTY`, `UNSUPPORTED` and `ENCRYPTED`; `UNREADABLE` when the bytes are not of the given format.
pub fn choose(given: Format, key: &str, bytes: &[u8]) -> Result<Choice, ReadFailure> {
    if bytes.trim_ascii().is_empty() {
        return Err(ReadFailure::new(reason::EMPTY, "there is no text to index"));
    }
    let (format, note) = match (given, sniff::contradiction(given, bytes)) {
        (Format::Auto, _) => sniff::decide(key, bytes, archive::office)?,
        (_, Some(failure)) => return Err(failure),
        (format, None) => (format, None),
    };
    Ok(Choice { format, note })
}

/// Reads a document in this process. A panic of a library is a failure of the document.
///
/// # Errors
/// With the reason, see [`ReadFailure`].
pub fn parse(format: Format, bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let parse = entry(format).parse;
    catch_unwind(AssertUnwindSafe(|| parse(bytes, limits)))
        .unwrap_or_else(|_| Err(ReadFailure::unreadable("its reader gave up on it")))
}

/// Whether documents of this format are read in a process of their own.
pub fn apart(format: Format) -> bool {
    entry(format).apart
}

fn entry(format: Format) -> &'static Parser {
    ALL.iter().find(|parser| parser.format == format).unwrap_or(&text::ENTRY)
}

/// Bytes as text: by a byte order mark, else UTF-8. What is UTF-8 stays as it is, mark included: its spans are those of
/// its bytes.
fn utf8(bytes: &[u8]) -> Result<String, ReadFailure> {
    let wide = |pairs: &[u8], decode: fn([u8; 2]) -> u16| {
        let units = pairs.as_chunks::<2>().0.iter().map(|pair| decode(*pair));
        let text = char::decode_utf16(units).collect::<Result<String, _>>();
        text.map_err(|_| ReadFailure::unreadable("is not valid UTF-16"))
    };
    match bytes {
        [0xff, 0xfe, pairs @ ..] => wide(pairs, u16::from_le_bytes),
        [0xfe, 0xff, pairs @ ..] => wide(pairs, u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
            ReadFailure::unreadable(format!("is not valid UTF-8 at byte {}", error.valid_up_to()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_parser_and_every_file_is_listed() {
        for format in Format::ALL.iter().filter(|format| **format != Format::Auto) {
            assert_eq!(ALL.iter().filter(|parser| parser.format == *format).count(), 1, "{format:?}");
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/parsers");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, ALL.len() + 1, "a parser's file is not in the list");
    }

    #[test]
    fn nothing_at_all_and_noise_are_read_or_refused_by_every_parser() {
        let noise: Vec<u8> = (0..4000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for parser in ALL {
            for bytes in [&[][..], &noise, b"PK\x03\x04", b"%PDF-1.7\n", b"\xff\xfe\x00"] {
                let _ = parse(parser.format, bytes, &ReadLimits::default());
            }
        }
    }

    #[test]
    fn marks_of_byte_order_are_heeded() {
        assert_eq!(utf8(b"\xff\xfeh\0i\0").unwrap(), "hi");
        assert_eq!(utf8(b"\xfe\xff\0h\0i").unwrap(), "hi");
        assert_eq!(utf8(b"\xef\xbb\xbf# T").unwrap(), "\u{feff}# T");
        assert_eq!(utf8(b"a\xff").unwrap_err().reason, "UNREADABLE");
    }
}
