//! Plain text: stays as it is.

use super::{Parser, utf8};
use crate::domain::reading::{Page, ReadFailure, ReadLimits, Reading, Signals, router};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser =
    Parser { format: Format::Text, summary: "plain text as it is", apart: false, parse };

fn parse(bytes: &[u8], _: &ReadLimits) -> Result<Reading, ReadFailure> {
    Ok(whole(utf8(bytes)?, false))
}

/// A text that is one page and needs no more reading.
pub(super) fn whole(text: String, markdown: bool) -> Reading {
    let (characters, unmapped) = router::characters(&text);
    // Whatever is odd about it, a text has no picture to look at instead.
    let signals = Signals { characters, unmapped, columns: 1, ..Signals::default() };
    let (complexity, _, reasons) = signals.judge();
    let page = Page { number: 1, span: 0..text.len(), complexity, reasons, path: router::Path::Text };
    Reading { text, markdown, pages: vec![page], ..Reading::default() }
}
