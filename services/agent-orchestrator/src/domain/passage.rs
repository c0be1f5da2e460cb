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
    /// The URL that the document was given with; empty when none was, and in runs that were stored before there was one.
    #[serde(default)]
    pub source_uri: String,
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

/// What a page of the web says, in the words of strangers: no evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebNote {
    /// The page's title.
    pub title: String,
    /// Its URL.
    pub url: String,
    /// What of it answers the question.
    pub content: String,
}

/// The smoothing of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009).
const RANK_SMOOTHING: f64 = 60.0;

/// One ranking of several: every passage once, by reciprocal rank fusion, ties by passage id; `most` at most.
pub fn fuse(rankings: Vec<Vec<Passage>>, most: usize) -> Vec<Passage> {
    let mut fused: Vec<(f64, Passage)> = Vec::new();
    for (rank, passage) in rankings.into_iter().flat_map(|ranking| ranking.into_iter().enumerate()) {
        let worth = 1.0 / (RANK_SMOOTHING + rank as f64 + 1.0);
        match fused.iter_mut().find(|(_, known)| known.passage_id == passage.passage_id) {
            Some((sum, _)) => *sum += worth,
            None => fused.push((worth, passage)),
        }
    }
    fused.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.passage_id.cmp(&y.passage_id)));
    fused.into_iter().take(most).map(|(_, passage)| passage).collect()
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
    fn what_several_rankings_find_comes_first_and_once() {
        let passage = |id: &str| Passage { passage_id: id.into(), ..Passage::default() };
        let rankings =
            vec![vec![passage("a"), passage("b")], vec![passage("c"), passage("b")], vec![passage("b")]];
        let ids: Vec<_> = fuse(rankings, 2).into_iter().map(|p| p.passage_id).collect();
        assert_eq!(ids, ["b", "a"], "b in three rankings; a and c tie, a first by its id");
    }

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
