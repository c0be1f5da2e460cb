use super::super::attributes::Flat;
use super::super::source::{ContentType, SourceKind};
use super::*;

/// What filters see of a document whose key is its id.
pub(crate) fn facts(id: u128, kind: SourceKind) -> Facts {
    Facts {
        id: DocumentId::from_u128(id),
        key: id.to_string().into(),
        title: "".into(),
        kind,
        content_type: ContentType::Blog,
        update_time: 0,
        attributes: Flat::default(),
    }
}

/// A document of one-chunk passages with these texts; its id and its passages' ids are `id` and what follows.
pub(crate) fn document(id: u128, kind: SourceKind, texts: &[&str]) -> IndexedDocument {
    let chunks = texts.iter().enumerate().map(|(at, text)| IndexedChunk {
        passage: PassageId::from_u128(id + at as u128),
        ordinal: 0,
        span: 0..text.len() as u64,
        vector: None,
        weights: None,
    });
    let terms = DocumentTerms::of("", texts.iter().copied());
    IndexedDocument { facts: facts(id, kind), terms, chunks: chunks.collect() }
}
