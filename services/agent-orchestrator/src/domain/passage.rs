//! Evidence: passages of documents and exact places in them.
use serde::{Deserialize, Serialize};

/// A half-open range of bytes `[start, end)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// A piece of a document that a text may rest on, as retrieval gave it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// `psg_…`.
    pub passage_id: String,
    /// `doc_…`.
    pub document_id: String,
    /// Version of the document, from 1.
    pub document_version: u32,
    /// The document's title.
    pub title: String,
    /// Number of the source kind in the contract; carried along, never decided on.
    pub source_kind: i32,
    /// Place of `text` in the document.
    pub span: Span,
    /// The text, exactly as in the document.
    pub text: String,
    /// Relevance for the query, 0 or more.
    pub score: f64,
}

/// Where a sentence comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// `psg_…`.
    pub passage_id: String,
    /// `doc_…`.
    pub document_id: String,
    /// Version of the document, from 1.
    pub document_version: u32,
    /// The document's title.
    pub title: String,
    /// Number of the source kind in the contract.
    pub source_kind: i32,
    /// Place of `quote` in the document.
    pub span: Span,
    /// The document's own words.
    pub quote: String,
}

impl Passage {
    /// Cites the bytes `start..end` of the passage's text; `None` when they are no range of it.
    pub fn cite(&self, start: usize, end: usize) -> Option<Citation> {
        let quote = self.text.get(start..end)?;
        Some(Citation {
            passage_id: self.passage_id.clone(),
            document_id: self.document_id.clone(),
            document_version: self.document_version,
            title: self.title.clone(),
            source_kind: self.source_kind,
            span: Span { start: self.span.start + start as u64, end: self.span.start + end as u64 },
            quote: quote.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_counts_from_the_start_of_the_document() {
        let passage = Passage {
            text: "Tea. Überall.".into(),
            span: Span { start: 100, end: 114 },
            ..Passage::default()
        };
        let citation = passage.cite(5, 14).expect("in range");
        assert_eq!((citation.quote.as_str(), citation.span), ("Überall.", Span { start: 105, end: 114 }));
        assert_eq!(passage.cite(6, 14), None, "inside a character");
        assert_eq!(passage.cite(5, 99), None, "beyond the end");
    }
}
