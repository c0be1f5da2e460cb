//! What reading a document gives, whatever its format: text, pages with their places in it, and how hard each was.

pub mod archive;
pub mod draft;
pub mod layout;
pub mod markup;
pub mod pictures;
pub mod png;
pub mod router;
pub mod sniff;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use router::{Complexity, Path, Signals};

use super::records::reason;

/// What a page says that was not read because nothing is configured that reads pictures. Stored documents are asked for
/// it: the same bytes are read again once there is a model.
pub const NO_MODEL: &str = "not read: no vision model is configured (retrieval.ocr.model)";

/// A document that was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Its text: Markdown where `markdown` says so. Every span points into it.
    pub text: String,
    /// Whether the text is Markdown; plain text else.
    pub markdown: bool,
    /// Its own title, if it has one.
    pub title: Option<String>,
    /// Its pages, slides or sheets in order; one for a format without them.
    pub pages: Vec<Page>,
    /// Pictures of pages whose text stands in the picture, at most one a page.
    pub pictures: Vec<Picture>,
}

impl Reading {
    /// Puts a space in the place of every U+0000, which is no character of a text: others refuse it. Spans stay right.
    #[must_use]
    pub fn without_nul(mut self) -> Self {
        for text in std::iter::once(&mut self.text).chain(&mut self.title) {
            if text.contains('\0') {
                *text = text.replace('\0', " ");
            }
        }
        self
    }
}

/// A page of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// Its bytes of the text.
    pub span: Range<usize>,
    /// How hard it is to read.
    pub complexity: Complexity,
    /// The measurements that made it so, for a person to read.
    pub reasons: Vec<String>,
    /// How it was read, or has to be.
    pub path: Path,
}

/// A page as a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The page's number.
    pub page: u32,
    /// `image/png`, `image/jpeg`, `image/webp` or `image/gif`.
    pub media_type: String,
    /// The file.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// What reading one document may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadLimits {
    /// Pages, slides or sheets.
    pub pages: u32,
    /// Bytes of the text that comes out, and of what is unpacked on the way to it.
    pub unpacked_bytes: u64,
    /// Bytes of memory of a reader that runs apart.
    pub memory_bytes: u64,
    /// Milliseconds of a reader that runs apart.
    pub millis: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { pages: 2_000, unpacked_bytes: 256 << 20, memory_bytes: 1 << 30, millis: 60_000 }
    }
}

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{reason}: {message}")]
pub struct ReadFailure {
    /// A stable word of [`reason`].
    pub reason: String,
    /// For a person to read; never the document's own words.
    pub message: String,
}

impl ReadFailure {
    /// The stable word; what no build of ours says is a fault of ours.
    pub fn word(&self) -> &'static str {
        reason::READING.into_iter().find(|word| *word == self.reason).unwrap_or(reason::INTERNAL)
    }

    /// A failure with a word of [`reason`].
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }

    /// The bytes are not what they should be.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::new(reason::UNREADABLE, message)
    }

    /// More comes out than may.
    pub fn too_large(limit: u64) -> Self {
        Self::new(reason::TOO_LARGE, format!("unpacks to more than {} MiB", limit >> 20))
    }

    /// There are more pages than may be.
    pub fn too_many_pages(limit: u32) -> Self {
        Self::new(reason::TOO_MANY_PAGES, format!("has more than {limit} pages"))
    }
}

impl Reading {
    /// The pages that can be read from a picture only, in order.
    pub fn unread(&self) -> impl Iterator<Item = &Page> {
        self.pages.iter().filter(|page| page.path == Path::Ocr)
    }

    /// Puts the texts of pages, given by number and in order, in the place of what they had.
    pub fn put(&mut self, texts: &[(u32, String)]) {
        if texts.is_empty() {
            return;
        }
        let mut whole = String::with_capacity(self.text.len());
        let mut at = 0;
        for page in &mut self.pages {
            whole.push_str(&self.text[at..page.span.start]);
            at = page.span.end;
            let given = texts.iter().find(|(number, _)| *number == page.number);
            let own = given.map_or(&self.text[page.span.clone()], |(_, text)| text.trim());
            if !own.is_empty() && !whole.is_empty() && !whole.ends_with("\n\n") {
                whole.push_str("\n\n");
            }
            let start = whole.len();
            whole.push_str(own);
            page.span = start..whole.len();
        }
        whole.push_str(&self.text[at..]);
        self.text = whole;
        self.markdown = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u32, span: Range<usize>, path: Path) -> Page {
        Page { number, span, complexity: Complexity::Low, reasons: Vec::new(), path }
    }

    #[test]
    fn texts_of_pictures_take_their_pages_places() {
        let mut reading = Reading {
            text: "first\n\nlast".into(),
            pages: vec![
                page(1, 0..5, Path::Text),
                page(2, 7..7, Path::Ocr),
                page(3, 7..11, Path::Text),
                page(4, 11..11, Path::Ocr),
            ],
            ..Reading::default()
        };
        assert_eq!(reading.unread().map(|page| page.number).collect::<Vec<_>>(), [2, 4]);
        reading.put(&[(2, " | a |\n".into()), (4, "end".into())]);
        let pages: Vec<&str> = reading.pages.iter().map(|page| &reading.text[page.span.clone()]).collect();
        assert_eq!(pages, ["first", "| a |", "last", "end"]);
        assert_eq!(reading.text, "first\n\n| a |\n\nlast\n\nend");
    }
}
