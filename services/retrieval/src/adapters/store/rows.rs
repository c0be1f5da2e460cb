//! Rows into records and numbers into columns.

use std::ops::Range;
use std::str::FromStr;

use copydesk_store::{Row, StoreError};

use crate::domain::attributes::Attributes;
use crate::domain::records::{Document, Ingestion, IngestionState, KnowledgeBase, Passage, Reembedding};
use crate::domain::source::{ContentType, Format, KnowledgeBaseKind, SourceKind};
use crate::domain::stages::{IngestionDocument, Stage};
use crate::domain::token_weights::TokenWeights;

/// A column that holds something no build of ours wrote there.
fn odd(column: &str) -> StoreError {
    StoreError::Decode { column: column.to_owned(), reason: "is not a known value".to_owned() }
}

/// An id, or anything else with a text form.
pub(super) fn parsed<T: FromStr>(row: &Row, column: &str) -> Result<T, StoreError> {
    row.text(column)?.parse().map_err(|_| odd(column))
}

pub(super) fn word<T>(row: &Row, column: &str, from: fn(&str) -> Option<T>) -> Result<T, StoreError> {
    from(row.text(column)?).ok_or_else(|| odd(column))
}

pub(super) fn source_kind(row: &Row) -> Result<SourceKind, StoreError> {
    word(row, "source_kind", SourceKind::from_word)
}

pub(super) fn content_type(row: &Row) -> Result<ContentType, StoreError> {
    word(row, "content_type", ContentType::from_word)
}

pub(super) fn format(row: &Row) -> Result<Format, StoreError> {
    word(row, "format", Format::from_word)
}

pub(super) fn attributes(row: &Row) -> Result<Attributes, StoreError> {
    Attributes::from_json(row.text("attributes")?).map_err(|_| odd("attributes"))
}

pub(super) fn unsigned(row: &Row, column: &str) -> Result<u64, StoreError> {
    u64::try_from(row.get::<i64>(column)?).map_err(|_| odd(column))
}

pub(super) fn span(row: &Row) -> Result<Range<u64>, StoreError> {
    Ok(unsigned(row, "span_start")?..unsigned(row, "span_end")?)
}

pub(super) fn text(row: &Row, column: &str) -> Result<String, StoreError> {
    String::from_utf8(row.get(column)?).map_err(|_| odd(column))
}

/// A number as a column holds it; what is too large for it never comes out of this service.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A length as a column holds it.
pub(super) fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A vector as bytes: each value in four, lowest byte first.
pub(super) fn vector_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The vector in these bytes.
pub(super) fn vector(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// The learned weights of a chunk's tokens; `None` where it has none.
pub(super) fn token_weights(row: &Row) -> Result<Option<TokenWeights>, StoreError> {
    const COLUMN: &str = "token_weights";
    let bytes = row.bytes(COLUMN)?;
    bytes.map(|bytes| TokenWeights::from_bytes(bytes).ok_or_else(|| odd(COLUMN))).transpose()
}

pub(super) fn knowledge_base(row: &Row) -> Result<KnowledgeBase, StoreError> {
    Ok(KnowledgeBase {
        id: parsed(row, "knowledge_base_id")?,
        name: row.get("name")?,
        documents: unsigned(row, "document_count")?,
        chunks: unsigned(row, "chunk_count")?,
        version: unsigned(row, "version")?,
        create_time: row.get("create_time")?,
        embedder: row.get("embedder")?,
        dimensions: row.get("dimensions")?,
        kind: word(row, "kind", KnowledgeBaseKind::from_word)?,
        reembedding: reembedding(row)?,
    })
}

/// The reembedding that is joined to a knowledge base's row.
pub(super) fn reembedding(row: &Row) -> Result<Option<Reembedding>, StoreError> {
    let Some(embedder) = row.get::<Option<String>>("new_embedder")? else { return Ok(None) };
    Ok(Some(Reembedding {
        embedder,
        dimensions: row.get("new_dimensions")?,
        chunks_done: unsigned(row, "chunks_done")?,
        start_time: row.get("start_time")?,
        error: row.get("error")?,
    }))
}

pub(super) fn document(row: &Row) -> Result<Document, StoreError> {
    Ok(Document {
        id: parsed(row, "document_id")?,
        knowledge_base: parsed(row, "knowledge_base_id")?,
        key: row.get("key")?,
        title: row.get("title")?,
        source_kind: source_kind(row)?,
        content_type: content_type(row)?,
        version: row.get("version")?,
        size: unsigned(row, "size_bytes")?,
        content_hash: row.get("content_hash")?,
        chunks: row.get("chunk_count")?,
        format: Format::from_word(&row.get::<String>("format")?),
        create_time: row.get("create_time")?,
        update_time: row.get("update_time")?,
        attributes: attributes(row)?,
        source_uri: row.get("source_uri")?,
    })
}

pub(super) fn passage(row: &Row) -> Result<Passage, StoreError> {
    Ok(Passage {
        id: parsed(row, "passage_id")?,
        document: parsed(row, "document_id")?,
        version: row.get("version")?,
        title: row.get("title")?,
        source_kind: source_kind(row)?,
        span: span(row)?,
        // Earlier builds stored it as it came.
        text: text(row, "text")?.replace('\0', " "),
        source_uri: row.get("source_uri")?,
    })
}

/// An ingestion without its failures, which are rows of their own.
pub(super) fn ingestion(row: &Row) -> Result<Ingestion, StoreError> {
    Ok(Ingestion {
        id: parsed(row, "ingestion_id")?,
        knowledge_base: parsed(row, "knowledge_base_id")?,
        state: word(row, "state", IngestionState::from_word)?,
        total: row.get("documents_total")?,
        done: row.get("documents_done")?,
        unchanged: row.get("documents_unchanged")?,
        failed: row.get("documents_failed")?,
        cancelled: row.get("documents_cancelled")?,
        bytes_total: unsigned(row, "bytes_total")?,
        bytes_done: unsigned(row, "bytes_done")?,
        changes: unsigned(row, "changes")?,
        at: at(row)?,
        chunks: row.get("chunks_written")?,
        failures: Vec::new(),
        create_time: row.get("create_time")?,
        finish_time: row.get("finish_time")?,
        source: super::sources::shown(row)?,
    })
}

/// Where the holder of an ingestion is. A stage that it has not told yet is the first.
fn at(row: &Row) -> Result<Option<(u32, Stage)>, StoreError> {
    let stage = Stage::from_word(&row.get::<String>("at_stage")?).unwrap_or(Stage::Parsing);
    Ok(row.get::<Option<u32>>("at_ordinal")?.map(|ordinal| (ordinal, stage)))
}

/// A document of an upload. That it is at work stands with its ingestion.
pub(super) fn ingestion_document(row: &Row) -> Result<IngestionDocument, StoreError> {
    Ok(IngestionDocument {
        ordinal: row.get("ordinal")?,
        key: row.get("key")?,
        stage: word(row, "state", Stage::from_word)?,
        attempts: row.get("attempts")?,
        reason: row.get("reason")?,
        message: row.get("message")?,
        document: row.get::<String>("document_id")?.parse().ok(),
        chunks: row.get("chunks")?,
        size: unsigned(row, "size_bytes")?,
        update_time: row.get("update_time")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_as_they_were() {
        let values = [0.0, -1.5, f32::MIN_POSITIVE, f32::MAX];
        assert_eq!(vector(&vector_bytes(&values)), values);
    }
}
