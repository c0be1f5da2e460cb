//! Where documents are fetched from: what is asked for, how far it is, and what comes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::attributes::Attributes;
use super::source::{ContentType, Format, SourceKind};
use super::upload::Header;

/// Longest key of a document, in bytes.
const LONGEST_KEY: usize = 1024;
/// Longest title, in characters.
const LONGEST_TITLE: usize = 500;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The source's kind: the name of its file.
    pub kind: String,
    /// Its name within the knowledge base.
    pub name: String,
    /// What its kind wants to know, as JSON.
    pub spec: String,
    /// What kind of content its documents are.
    pub content_type: ContentType,
    /// Whether documents that it has no more are deleted.
    pub mirror: bool,
}

/// How far the fetching is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// Documents are still coming.
    Fetching,
    /// All of it is here.
    Fetched,
    /// It cannot be fetched any further.
    Failed,
}

impl SourceState {
    /// The word that is stored in rows.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Fetched => "fetched",
            Self::Failed => "failed",
        }
    }

    /// The state with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Fetching, Self::Fetched, Self::Failed].into_iter().find(|state| state.word() == word)
    }
}

/// The source of an ingestion as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestionSource {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: SourceState,
    /// Documents that were deleted because it has them no more.
    pub deleted: u32,
}

/// A document as a source has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceDocument {
    /// Its key.
    pub key: String,
    /// Its title; empty: what its text says.
    pub title: String,
    /// How it is read.
    pub format: Format,
    /// What kind of source it is.
    pub kind: SourceKind,
    /// What is known of it.
    pub attributes: BTreeMap<&'static str, Value>,
    /// Where it can be read.
    pub uri: String,
    /// Its bytes.
    pub content: Bytes,
}

/// A document, or a whole source, that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The document's key; empty for the whole source.
    pub key: String,
    /// A stable word.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
    /// When it may be tried again: at once (zero), after so long, or never.
    pub again: Option<Duration>,
}

/// What one step of fetching brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// Documents.
    pub documents: Vec<SourceDocument>,
    /// Documents that cannot be had.
    pub misses: Vec<Miss>,
    /// Where the next step goes on; `None` when this was the last.
    pub next: Option<String>,
    /// What the source said of its state as a whole, to be asked with the next time.
    pub mark: Option<String>,
    /// Whether the source says that nothing has changed since the mark before: then nothing else is here, and what it
    /// brought before is what it has.
    pub unchanged: bool,
}

impl Miss {
    /// A document that cannot be had, for good.
    pub fn new(key: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { key: key.into(), reason, message: message.into(), again: None }
    }

    /// The whole source cannot be had, for good.
    pub fn source(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new("", reason, message)
    }
}

impl SourceDocument {
    /// What an upload would say of it.
    pub fn header(&self, content_type: ContentType) -> Header {
        let attributes: Map<String, Value> =
            self.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Header {
            key: self.key.clone(),
            title: one_line(&self.title),
            format: Some(self.format),
            source_kind: Some(self.kind),
            content_type: Some(content_type),
            // Too many labels are no reason to lose a document.
            attributes: Ok(Attributes::new(attributes).unwrap_or_default()),
            source_uri: self.uri.clone(),
        }
    }

    /// What keeps it from being stored under its key.
    pub fn fault(&self) -> Option<&'static str> {
        let good =
            !self.key.is_empty() && self.key.len() <= LONGEST_KEY && !self.key.contains(char::is_control);
        (!good).then_some("its name is no key: 1 to 1,024 bytes without control characters")
    }
}

/// A title without breaks, as long as one may be.
fn one_line(text: &str) -> String {
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    line.collect::<Vec<_>>().join(" ").chars().take(LONGEST_TITLE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_mended_or_told() {
        let document = SourceDocument {
            key: "k".into(),
            title: format!(" a\n\u{7}b {}", "x".repeat(600)),
            format: Format::Text,
            kind: SourceKind::Code,
            attributes: BTreeMap::from([("labels", Value::from("x".repeat(20_000)))]),
            uri: String::new(),
            content: Bytes::new(),
        };
        let header = document.header(ContentType::Blog);
        assert!(header.title.starts_with("a b x") && header.title.chars().count() == 500);
        assert_eq!(header.attributes, Ok(Attributes::default()));
        assert_eq!(document.fault(), None);
        assert!(SourceDocument { key: "x\n".into(), ..document.clone() }.fault().is_some());
        assert!(SourceDocument { key: "x".repeat(1025), ..document }.fault().is_some());
        for state in [SourceState::Fetching, SourceState::Fetched, SourceState::Failed] {
            assert_eq!(SourceState::from_word(state.word()), Some(state));
        }
    }
}
