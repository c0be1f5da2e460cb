//! Markdown: stays as it is; its chunker knows what its marks mean.

use super::Parser;
use super::text::whole;
use crate::domain::reading::{ReadFailure, ReadLimits, Reading};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser =
    Parser { format: Format::Markdown, summary: "CommonMark as it is", apart: false, parse };

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    whole(bytes, true, limits)
}
