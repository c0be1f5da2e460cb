//! What an answer says of its content, and how that is read.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::domain::source::Format;

/// The media type of a `Content-Type` header, in small letters, and the encoding that it names.
pub fn media_type(header: &str) -> (String, Option<&'static Encoding>) {
    let mut parts = header.split(';');
    let media = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    (media, charset.and_then(|label| Encoding::for_label(label.as_bytes())))
}

/// How content of a media type is read; `None` when it is not taken. What names no type is looked at.
pub fn format(media: &str) -> Option<Format> {
    Some(match media {
        "" => Format::Auto,
        "text/html" | "application/xhtml+xml" => Format::Html,
        "text/markdown" | "text/x-markdown" => Format::Markdown,
        "text/csv" | "text/tab-separated-values" => Format::Csv,
        "text/plain" | "application/json" | "application/xml" | "text/xml" | "text/x-rst" => Format::Text,
        "application/pdf" => Format::Pdf,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Format::Docx,
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" => Format::Pptx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => Format::Xlsx,
        _ => return None,
    })
}

/// Content as its reader wants it: texts in UTF-8, whatever the site has them in. A page of HTML that the header names
/// an encoding for gets a byte order mark, because what the page says of itself counts less.
pub fn readable<'a>(format: Format, bytes: &'a [u8], said: Option<&'static Encoding>) -> Cow<'a, [u8]> {
    let text = match format {
        Format::Html | Format::Csv if said.is_none() => return Cow::Borrowed(bytes),
        Format::Html | Format::Csv | Format::Text | Format::Markdown => {
            let fits = || if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 };
            said.unwrap_or_else(fits).decode(bytes).0
        }
        _ => return Cow::Borrowed(bytes),
    };
    match format {
        Format::Html => Cow::Owned(format!("\u{feff}{text}").into_bytes()),
        _ => Cow::Owned(text.into_owned().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_types_and_encodings() {
        let (media, charset) = media_type("Text/HTML; x=y; Charset=\"ISO-8859-2\"");
        assert_eq!((media.as_str(), charset.map(Encoding::name)), ("text/html", Some("ISO-8859-2")));
        assert_eq!(media_type("").0, "");
        assert_eq!(media_type("text/plain; charset=klingon").1, None);
        assert_eq!(
            (format("text/html"), format(""), format("video/mp4")),
            (Some(Format::Html), Some(Format::Auto), None)
        );
    }

    #[test]
    fn texts_come_out_in_utf_8() {
        let latin = media_type("text/plain; charset=iso-8859-1").1;
        assert_eq!(readable(Format::Text, b"caf\xe9", latin).as_ref(), "caf\u{e9}".as_bytes());
        assert_eq!(readable(Format::Text, b"caf\xe9", None).as_ref(), "caf\u{e9}".as_bytes());
        assert_eq!(readable(Format::Html, b"<p>\xe9", latin).as_ref(), "\u{feff}<p>\u{e9}".as_bytes());
        assert_eq!(readable(Format::Pdf, b"\xe9", latin).as_ref(), b"\xe9");
    }
}
