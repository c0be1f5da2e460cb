//! Documents as they stand in the rows and as they stand in a snapshot's file, each made of the other.

use copydesk_proto::retrieval::v1::{
    SnapshotChunk, SnapshotDocument, SnapshotPage, SnapshotPassage, SnapshotTokenWeights,
};
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId};

use crate::domain::attributes::Attributes;
use crate::domain::reading::{Complexity, Page, Path};
use crate::domain::records::Document;
use crate::domain::source::{ContentType, Format, SourceKind};
use crate::domain::token_weights::TokenWeights;
use crate::ports::{NewChunk, NewPassage, StoredObject, StoredPage, WholeDocument};

/// A document as it stands in a snapshot's file.
pub(super) fn record(whole: WholeDocument, original: Option<Vec<u8>>) -> SnapshotDocument {
    let document = whole.document;
    SnapshotDocument {
        key: document.key,
        title: document.title,
        source_kind: document.source_kind.word().to_owned(),
        content_type: document.content_type.word().to_owned(),
        version: document.version,
        content_hash: document.content_hash,
        create_time_ms: document.create_time,
        update_time_ms: document.update_time,
        upload_time_ms: whole.upload_time,
        text: whole.text.into_bytes(),
        original,
        attributes: document.attributes.json(),
        source_uri: document.source_uri,
        passages: whole.passages.into_iter().map(passage_record).collect(),
        format: document.format.map(|format| format.word().to_owned()).unwrap_or_default(),
        pages: whole.pages.into_iter().map(page_record).collect(),
    }
}

fn page_record(StoredPage { page, picture_hash }: StoredPage) -> SnapshotPage {
    SnapshotPage {
        number: page.number,
        start: page.span.start as u64,
        end: page.span.end as u64,
        complexity: page.complexity.word().to_owned(),
        path: page.path.word().to_owned(),
        reasons: page.reasons,
        picture_hash: picture_hash.unwrap_or_default(),
    }
}

fn passage_record(passage: NewPassage) -> SnapshotPassage {
    let chunk = |chunk: NewChunk| SnapshotChunk {
        start: chunk.span.start,
        end: chunk.span.end,
        tokens: chunk.tokens,
        vector: chunk.vector.unwrap_or_default(),
        text_hash: chunk.text_hash.map(|hash| hash.to_vec()).unwrap_or_default(),
        weights: chunk.weights.map(|weights| {
            let (tokens, weights) = weights.weights().unzip();
            SnapshotTokenWeights { tokens, weights }
        }),
    };
    SnapshotPassage {
        start: passage.span.start,
        end: passage.span.end,
        tokens: passage.tokens,
        chunks: passage.chunks.into_iter().map(chunk).collect(),
    }
}

/// A checked record as a document; `None` would mean that it was not checked.
/// A document out of a checked file, with a new id; `None` when it says what no check lets pass.
pub(super) fn whole(
    record: SnapshotDocument,
    original: Option<StoredObject>,
    base: KnowledgeBaseId,
) -> Option<WholeDocument> {
    let text = String::from_utf8(record.text).ok()?;
    let chunks: usize = record.passages.iter().map(|passage| passage.chunks.len()).sum();
    let document = Document {
        id: DocumentId::generate(),
        knowledge_base: base,
        key: record.key,
        title: record.title,
        source_kind: SourceKind::from_word(&record.source_kind)?,
        content_type: ContentType::from_word(&record.content_type)?,
        version: record.version,
        size: text.len() as u64,
        content_hash: record.content_hash,
        chunks: u32::try_from(chunks).ok()?,
        create_time: record.create_time_ms,
        update_time: record.update_time_ms,
        attributes: Attributes::from_json(&record.attributes).ok()?,
        source_uri: record.source_uri,
        format: Format::from_word(&record.format),
    };
    let upload_time = record.upload_time_ms;
    let passages = record.passages.into_iter().map(passage).collect();
    let pages = record.pages.into_iter().map(stored_page).collect::<Option<_>>()?;
    Some(WholeDocument { document, upload_time, text, original, passages, pages })
}

fn stored_page(record: SnapshotPage) -> Option<StoredPage> {
    let page = Page {
        number: record.number,
        span: usize::try_from(record.start).ok()?..usize::try_from(record.end).ok()?,
        complexity: Complexity::from_word(&record.complexity)?,
        path: Path::from_word(&record.path)?,
        reasons: record.reasons,
    };
    let picture_hash = (!record.picture_hash.is_empty()).then_some(record.picture_hash);
    Some(StoredPage { page, picture_hash })
}

fn passage(record: SnapshotPassage) -> NewPassage {
    let chunk = |chunk: SnapshotChunk| NewChunk {
        span: chunk.start..chunk.end,
        tokens: chunk.tokens,
        vector: (!chunk.vector.is_empty()).then_some(chunk.vector),
        weights: chunk.weights.map(|own| TokenWeights::of(own.tokens.into_iter().zip(own.weights))),
        text_hash: chunk.text_hash.try_into().ok(),
    };
    NewPassage {
        id: PassageId::generate(),
        span: record.start..record.end,
        tokens: record.tokens,
        chunks: record.chunks.into_iter().map(chunk).collect(),
    }
}
