//! Pictures: one page, whose text a model reads.

use super::Parser;
use crate::domain::reading::draft::Draft;
use crate::domain::reading::{Picture, ReadFailure, ReadLimits, Reading, Signals, sniff};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser = Parser {
    format: Format::Image,
    summary: "PNG, JPEG, WebP and GIF, by a vision model",
    apart: false,
    parse,
};

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let media_type = sniff::media_type(bytes)
        .ok_or_else(|| ReadFailure::unreadable("is not a PNG, JPEG, WebP or GIF picture"))?;
    let mut draft = Draft::new(limits);
    draft.begin_page()?;
    draft.end_page(Signals { pictures: 1, covered: 1.0, columns: 1, ..Signals::default() }, Vec::new());
    draft.picture(Picture { page: 1, media_type: media_type.to_owned(), bytes: bytes.to_vec() });
    Ok(draft.finish())
}
