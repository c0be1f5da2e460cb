//! Tells what a document is by its first bytes, and by its name where bytes cannot tell.

use super::ReadFailure;
use crate::domain::records::reason;
use crate::domain::source::Format;

/// What bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A format that can be read.
    Known(Format),
    /// A zip archive; its entries say of what.
    Archive,
    /// Some text.
    Words,
    /// Something that cannot be read, and its name.
    Other(&'static str),
    /// Locked by a password.
    Locked,
}

/// How far into the file a PDF's mark may stand, and how much is looked at to tell text from bytes.
const HEAD: usize = 1024;

/// What these bytes are.
pub fn kind(bytes: &[u8]) -> Kind {
    let head = &bytes[..bytes.len().min(HEAD)];
    match head {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Kind::Archive,
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] | [b'G', b'I', b'F', b'8', ..] => {
            Kind::Known(Format::Image)
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::Known(Format::Image),
        [0xd0, 0xcf, 0x11, 0xe0, ..] if holds(bytes, &wide("EncryptedPackage")) => Kind::Locked,
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Kind::Other("an Office document of before 2007"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Kind::Other("a TIFF picture"),
        [0x1f, 0x8b, ..] => Kind::Other("a gzip file"),
        [b'7', b'z', 0xbc, 0xaf, ..] => Kind::Other("a 7z archive"),
        [0x7f, b'E', b'L', b'F', ..] => Kind::Other("a program"),
        [b'{', b'\\', b'r', b't', b'f', ..] => Kind::Other("an RTF document"),
        _ if holds(head, b"%PDF-") => Kind::Known(Format::Pdf),
        _ if is_html(head) => Kind::Known(Format::Html),
        // A byte order mark: text of two bytes a character.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Kind::Words,
        _ if head.contains(&0) => Kind::Other("bytes of no known kind"),
        _ => Kind::Words,
    }
}

/// The media type of a picture's bytes.
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// The format that a key's ending names.
pub fn by_name(key: &str) -> Option<Format> {
    let path = key.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match ending.as_str() {
        "txt" | "text" | "log" => Format::Text,
        "md" | "markdown" | "mdx" | "mkd" => Format::Markdown,
        "html" | "htm" | "xhtml" => Format::Html,
        "pdf" => Format::Pdf,
        "docx" | "docm" => Format::Docx,
        "pptx" | "pptm" => Format::Pptx,
        "xlsx" | "xlsm" => Format::Xlsx,
        "csv" | "tsv" => Format::Csv,
        "png" | "jpg" | "jpeg" | "webp" | "gif" => Format::Image,
        _ => return None,
    })
}

/// The format of a document whose caller leaves it open, and a note when its name says another. `archive` tells what
/// a zip archive holds.
///
/// # Errors
/// `UNSUPPORTED` and `ENCRYPTED`.
pub fn decide(
    key: &str,
    bytes: &[u8],
    archive: impl FnOnce(&[u8]) -> Option<Format>,
) -> Result<(Format, Option<String>), ReadFailure> {
    let named = by_name(key);
    let format = match kind(bytes) {
        Kind::Known(format) => format,
        Kind::Archive => archive(bytes).ok_or_else(|| unsupported("a zip archive"))?,
        Kind::Locked => return Err(locked()),
        Kind::Other(what) => return Err(unsupported(what)),
        // Bytes do not tell text from Markdown from a table; they do tell it from a picture.
        Kind::Words => match named {
            Some(named @ (Format::Text | Format::Markdown | Format::Csv | Format::Html)) => named,
            _ => Format::Text,
        },
    };
    let other = named.filter(|named| *named != format && !(is_text(*named) && is_text(format)));
    Ok((format, other.map(|named| format!("named as {}, is {}", named.word(), format.word()))))
}

/// Why bytes are not of the format that their caller says; `None` when they can be.
pub fn contradiction(format: Format, bytes: &[u8]) -> Option<ReadFailure> {
    // Whatever a caller calls text is text: it was looked at when it was uploaded.
    if matches!(format, Format::Text | Format::Markdown) {
        return None;
    }
    let what = match (kind(bytes), format) {
        (Kind::Locked, Format::Docx | Format::Pptx | Format::Xlsx) => return Some(locked()),
        (Kind::Known(found), _) if found == format => return None,
        // A table may hold marks of HTML, and a page may begin with anything.
        (Kind::Known(Format::Html) | Kind::Words, Format::Csv | Format::Html) => return None,
        (Kind::Archive, Format::Docx | Format::Pptx | Format::Xlsx) => return None,
        (Kind::Known(found), _) => found.word(),
        (Kind::Archive, _) => "a zip archive",
        (Kind::Words, _) => "text",
        (Kind::Locked, _) => "a locked Office document",
        (Kind::Other(what), _) => what,
    };
    Some(ReadFailure::unreadable(format!("is not {}: its bytes are {what}", format.word())))
}

fn is_text(format: Format) -> bool {
    matches!(format, Format::Text | Format::Markdown | Format::Csv | Format::Html)
}

fn unsupported(what: &str) -> ReadFailure {
    ReadFailure::new(reason::UNSUPPORTED, format!("is {what}, which cannot be read"))
}

/// The document is locked by a password.
pub fn locked() -> ReadFailure {
    ReadFailure::new(reason::ENCRYPTED, "is locked by a password")
}

fn is_html(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    begins(b"<!doctype html") || begins(b"<html") || begins(b"<head") || begins(b"<body")
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

fn wide(word: &str) -> Vec<u8> {
    word.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_before_names() {
        let decide = |key: &str, bytes: &[u8]| decide(key, bytes, |_| Some(Format::Docx));
        for (key, bytes, format, noted) in [
            ("a.pdf", b"\n%PDF-1.7 ...".as_slice(), Format::Pdf, false),
            ("a.html", b"%PDF-1.7 ...", Format::Pdf, true),
            ("a.pdf", b"<!DOCTYPE HTML><p>x", Format::Html, true),
            ("https://x.example/a.csv?raw=1#top", b"a,b\n", Format::Csv, false),
            ("notes.md", b"# T", Format::Markdown, false),
            ("notes.md", b"<html>", Format::Html, false),
            ("README", b"words", Format::Text, false),
            ("a.png", b"words", Format::Text, true),
            ("a.png", b"\x89PNG....", Format::Image, false),
            ("a.zip", b"PK\x03\x04....", Format::Docx, false),
            ("a.csv", b"\xff\xfea\0,\0b\0", Format::Csv, false),
        ] {
            let (found, note) = decide(key, bytes).unwrap();
            assert_eq!((found, note.is_some()), (format, noted), "{key}: {note:?}");
        }
        let (_, note) = decide("a.pdf", b"words").unwrap();
        assert_eq!(note.as_deref(), Some("named as pdf, is text"));
        assert_eq!(decide("a.doc", b"\xd0\xcf\x11\xe0 old").unwrap_err().reason, "UNSUPPORTED");
        let mut package = b"\xd0\xcf\x11\xe0".to_vec();
        package.extend(wide("EncryptedPackage"));
        assert_eq!(decide("a.docx", &package).unwrap_err().reason, "ENCRYPTED");
        assert_eq!(super::decide("a", b"PK\x03\x04", |_| None).unwrap_err().reason, "UNSUPPORTED");
        assert_eq!(decide("a.txt", b"a\0b").unwrap_err().reason, "UNSUPPORTED");
    }

    #[test]
    fn what_was_said_and_is_not_so_is_named() {
        assert_eq!(contradiction(Format::Pdf, b"%PDF-1.4"), None);
        assert_eq!(contradiction(Format::Markdown, b"<html>"), None);
        assert_eq!(contradiction(Format::Xlsx, b"PK\x03\x04"), None);
        let failure = contradiction(Format::Docx, b"%PDF-1.4").unwrap();
        assert_eq!(failure.message, "is not docx: its bytes are pdf");
        assert_eq!(contradiction(Format::Pdf, b"words").unwrap().reason, "UNREADABLE");
    }
}
