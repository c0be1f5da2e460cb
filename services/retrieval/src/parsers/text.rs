//! Text and Markdown: the bytes are the text.

use super::{ParseFailure, ParseLimits, Parsed, Parser};
use crate::chunkers;
use crate::domain::records::reason;
use crate::domain::source::Format;

/// This file's entry in the list.
pub const ENTRY: Parser = Parser {
    formats: &[Format::Text, Format::Markdown],
    summary: "UTF-8 text and Markdown, as they are",
    parse,
};

fn parse(format: Format, bytes: &[u8], limits: &ParseLimits) -> Result<Parsed, ParseFailure> {
    if bytes.len() > limits.text_bytes {
        let message = format!("the text has more than {} bytes", limits.text_bytes);
        return Err(ParseFailure { reason: reason::TOO_LARGE, message });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ParseFailure {
        reason: reason::UNREADABLE,
        message: format!("is not valid UTF-8 at byte {}", error.valid_up_to()),
    })?;
    Ok(Parsed { text: text.to_owned(), outline: chunkers::outline(format, text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ParseLimits = ParseLimits { text_bytes: 12 };

    #[test]
    fn the_bytes_are_the_text() {
        let parsed = parse(Format::Markdown, b"# One\n\ntwo", &LIMITS).unwrap();
        assert_eq!((parsed.text.as_str(), parsed.outline.title.as_deref()), ("# One\n\ntwo", Some("One")));
    }

    #[test]
    fn what_is_no_text_or_too_long_is_told() {
        let failed = |bytes: &[u8]| parse(Format::Text, bytes, &LIMITS).unwrap_err().reason;
        assert_eq!(failed(b"ok \xff no"), reason::UNREADABLE);
        assert_eq!(failed(&[b'x'; 13]), reason::TOO_LARGE);
    }
}
