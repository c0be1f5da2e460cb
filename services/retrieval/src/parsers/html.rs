//! Pages of HTML: their content as Markdown, without what stands around it.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::Parser;
use crate::domain::reading::draft::Draft;
use crate::domain::reading::markup::{Part, Seen, write};
use crate::domain::reading::{ReadFailure, ReadLimits, Reading, Signals};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser = Parser {
    format: Format::Html,
    summary: "HTML without navigation, footers and forms",
    apart: false,
    parse,
};

/// A main part with at least this part of the text is the content; a smaller one is a teaser.
const MAIN: usize = 4;
/// How far into the page its encoding is looked for.
const HEAD: usize = 2048;

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let html = decoded(bytes);
    let (whole, seen) = page(&html, Part::Whole, limits)?;
    for (there, part) in [(seen.main, Part::Inside("main")), (seen.article, Part::Inside("article"))] {
        if there {
            let (inside, _) = page(&html, part, limits)?;
            if inside.text.len() * MAIN >= whole.text.len() && !inside.text.is_empty() {
                return Ok(inside);
            }
        }
    }
    Ok(whole)
}

fn page(html: &str, part: Part, limits: &ReadLimits) -> Result<(Reading, Seen), ReadFailure> {
    let mut draft = Draft::new(limits);
    draft.begin_page()?;
    let seen = write(html, part, &mut draft)?;
    // Pictures of a page of HTML are not in it: nothing says how large they are.
    draft.end_page(Signals { tables: seen.tables, columns: 1, ..Signals::default() }, Vec::new());
    let mut reading = draft.finish();
    reading.pages.iter_mut().for_each(|page| page.path = page.path.without_picture());
    Ok((reading, seen))
}

/// By the byte order mark, else as the page says, else UTF-8 or the code page of the west.
fn decoded(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]).to_ascii_lowercase();
    let label = head.split("charset=").nth(1).map(|rest| {
        let rest = rest.trim_start_matches(['"', '\'', ' ']);
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || "-_:".contains(c))).next().unwrap_or_default()
    });
    let said = label.and_then(|label| Encoding::for_label(label.as_bytes()));
    let fits = || if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 };
    said.unwrap_or_else(fits).decode(bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Reading {
        parse(bytes, &ReadLimits::default()).unwrap()
    }

    #[test]
    fn the_main_part_is_the_content_and_the_head_has_the_title() {
        let page = read(
            b"<title>Vans &amp; more</title><body><p>around it</p><main><h1>Vans</h1><p>Words of it.</main>",
        );
        assert_eq!(
            (page.text.as_str(), page.title.as_deref()),
            ("# Vans\n\nWords of it.", Some("Vans & more"))
        );
        let teaser = read(b"<main>x</main><p>All of the content stands outside of it.</p>");
        assert!(teaser.text.contains("outside"));
    }

    #[test]
    fn encodings_are_heeded() {
        assert_eq!(read(b"<p>caf\xe9").text, "caf\u{e9}");
        assert_eq!(read("<p>caf\u{e9}".as_bytes()).text, "caf\u{e9}");
        assert_eq!(read(b"<meta charset=\"iso-8859-2\"><p>\xb9").text, "\u{161}");
    }
}
