//! Plain text: stays as it is.

use super::{Parser, utf8};
use crate::domain::reading::{Page, ReadFailure, ReadLimits, Reading, Signals, router};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser =
    Parser { format: Format::Text, summary: "plain text as it is", apart: false, parse };

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    whole(bytes, false, limits)
}

/// A text that is one page and needs no more reading.
pub(super) fn whole(bytes: &[u8], markdown: bool, limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let text = utf8(bytes)?;
    if text.len() as u64 > limits.unpacked_bytes {
        return Err(ReadFailure::too_large(limits.unpacked_bytes));
    }
    let (characters, unmapped) = router::characters(&text);
    // Whatever is odd about it, a text has no picture to look at instead.
    let signals = Signals { characters, unmapped, columns: 1, ..Signals::default() };
    let (complexity, _, reasons) = signals.judge();
    let page = Page { number: 1, span: 0..text.len(), complexity, reasons, path: router::Path::Text };
    Ok(Reading { text, markdown, pages: vec![page], ..Reading::default() })
}
