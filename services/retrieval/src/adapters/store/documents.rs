//! The statements that change a document and tell its knowledge base of it.

use copydesk_store::{StoreError, Tx, Value, params};
use copydesk_types::DocumentId;

use super::rows::{self, BATCH};
use super::pages;
use crate::domain::records::StagedDocument;
use crate::domain::source::Format;
use crate::ports::{NewPassage, StoredPage};

/// Moves a knowledge base's version and gives the new one; `None` when it is absent. The row stays locked until the
/// transaction ends, so the writers of one knowledge base come one after the other.
pub(super) async fn next_version(
    tx: &mut Tx,
    tenant: &str,
    knowledge_base: &str,
) -> Result<Option<i64>, StoreError> {
    let sql = "UPDATE knowledge_base SET version = version + 1
        WHERE tenant = $1 AND knowledge_base_id = $2 RETURNING version";
    let row = tx.query_opt(sql, &params![tenant, knowledge_base]).await?;
    row.map(|row| row.get("version")).transpose()
}

/// Adds to a knowledge base's counts.
pub(super) async fn count(
    tx: &mut Tx,
    tenant: &str,
    knowledge_base: &str,
    documents: i64,
    chunks: i64,
) -> Result<(), StoreError> {
    let sql = "UPDATE knowledge_base SET document_count = document_count + $3, chunk_count = chunk_count + $4
        WHERE tenant = $1 AND knowledge_base_id = $2";
    tx.execute(sql, &params![tenant, knowledge_base, documents, chunks]).await?;
    Ok(())
}

/// Remembers which version of the knowledge base last changed a document.
pub(super) async fn record_change(
    tx: &mut Tx,
    tenant: &str,
    knowledge_base: &str,
    document: &str,
    version: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO document_change (tenant, knowledge_base_id, document_id, version)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant, knowledge_base_id, document_id) DO UPDATE SET version = excluded.version";
    tx.execute(sql, &params![tenant, knowledge_base, document, version]).await?;
    Ok(())
}

/// Deletes a document's text, passages, chunks and pages, and what was read from pictures that only it showed.
pub(super) async fn delete_content(tx: &mut Tx, tenant: &str, document: &str) -> Result<(), StoreError> {
    let shown = delete_rows(tx, tenant, document).await?;
    pages::forget_pictures(tx, tenant, &shown).await
}

/// Deletes a document's rows and gives the pictures that it showed.
async fn delete_rows(tx: &mut Tx, tenant: &str, document: &str) -> Result<Vec<String>, StoreError> {
    let shown = pages::pictures(tx, tenant, document).await?;
    for statement in [
        "DELETE FROM document_page WHERE tenant = $1 AND document_id = $2",
        "DELETE FROM chunk WHERE tenant = $1 AND document_id = $2",
        "DELETE FROM passage WHERE tenant = $1 AND document_id = $2",
        "DELETE FROM document_text WHERE tenant = $1 AND document_id = $2",
    ] {
        tx.execute(statement, &params![tenant, document]).await?;
    }
    Ok(shown)
}

/// A document to be written.
pub(super) struct Write<'a> {
    pub tenant: &'a str,
    pub knowledge_base: &'a str,
    /// Its id if its key is new.
    pub new_id: DocumentId,
    pub staged: &'a StagedDocument,
    pub title: &'a str,
    pub format: Format,
    pub text: &'a str,
    pub pages: &'a [StoredPage],
    pub passages: &'a [NewPassage],
    pub now: i64,
}

impl Write<'_> {
    /// Puts the document in place of the one that has its key now, if any. Gives the number of chunks written, or
    /// `None` when the bytes are those that are stored already: then nothing is written.
    pub(super) async fn run(&self, tx: &mut Tx) -> Result<Option<i64>, StoreError> {
        let find = "SELECT document_id, version, content_hash, chunk_count FROM document
            WHERE tenant = $1 AND knowledge_base_id = $2 AND key = $3";
        let found = tx.query_opt(find, &params![self.tenant, self.knowledge_base, &self.staged.key]).await?;
        let (id, version, old_chunks) = match &found {
            Some(row) if row.get::<String>("content_hash")? == self.staged.content_hash => return Ok(None),
            Some(row) => (row.get("document_id")?, row.get::<i64>("version")? + 1, row.get("chunk_count")?),
            None => (self.new_id.to_string(), 1, 0),
        };
        let chunks = rows::size(self.passages.iter().map(|passage| passage.chunks.len()).sum());
        self.write_document(tx, &id, version, chunks).await?;
        self.write_content(tx, &id, version).await?;
        if let Some(change) = next_version(tx, self.tenant, self.knowledge_base).await? {
            record_change(tx, self.tenant, self.knowledge_base, &id, change).await?;
        }
        let new = i64::from(found.is_none());
        count(tx, self.tenant, self.knowledge_base, new, chunks - old_chunks).await?;
        Ok(Some(chunks))
    }

    async fn write_document(
        &self,
        tx: &mut Tx,
        id: &str,
        version: i64,
        chunks: i64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO document (tenant, document_id, knowledge_base_id, key, title, source_kind,
              content_type, version, size_bytes, content_hash, chunk_count, create_time, update_time, format)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13)
            ON CONFLICT (tenant, document_id) DO UPDATE SET title = excluded.title,
              source_kind = excluded.source_kind, content_type = excluded.content_type,
              version = excluded.version, size_bytes = excluded.size_bytes,
              content_hash = excluded.content_hash, chunk_count = excluded.chunk_count,
              update_time = excluded.update_time, format = excluded.format";
        let values = params![
            self.tenant,
            id,
            self.knowledge_base,
            &self.staged.key,
            self.title,
            self.staged.source_kind.word(),
            self.staged.content_type.word(),
            version,
            rows::size(self.text.len()),
            &self.staged.content_hash,
            chunks,
            self.now,
            self.format.word(),
        ];
        tx.execute(sql, &values).await?;
        Ok(())
    }

    async fn write_content(&self, tx: &mut Tx, id: &str, version: i64) -> Result<(), StoreError> {
        let shown = delete_rows(tx, self.tenant, id).await?;
        let sql = "INSERT INTO document_text (tenant, document_id, text) VALUES ($1, $2, $3)";
        tx.execute(sql, &params![self.tenant, id, self.text.as_bytes()]).await?;
        let (mut passages, mut chunks) = (Vec::new(), Vec::new());
        for (ordinal, passage) in self.passages.iter().enumerate() {
            passages.push(self.passage_row(id, ordinal, passage));
            chunks.extend(self.chunk_rows(id, version, passage));
        }
        write_rows(tx, PASSAGE, &passages).await?;
        write_rows(tx, CHUNK, &chunks).await?;
        pages::write(tx, self.tenant, id, self.pages).await?;
        pages::forget_pictures(tx, self.tenant, &shown).await
    }

    fn passage_row(&self, id: &str, ordinal: usize, passage: &NewPassage) -> Vec<Value> {
        params![
            self.tenant,
            passage.id.to_string(),
            id,
            rows::size(ordinal),
            rows::int(passage.span.start),
            rows::int(passage.span.end),
            passage.tokens,
        ]
        .to_vec()
    }

    fn chunk_rows(&self, id: &str, version: i64, passage: &NewPassage) -> Vec<Vec<Value>> {
        let row = |(ordinal, chunk): (usize, &crate::ports::NewChunk)| {
            params![
                self.tenant,
                id,
                passage.id.to_string(),
                rows::size(ordinal),
                version,
                rows::int(chunk.span.start),
                rows::int(chunk.span.end),
                chunk.tokens,
                chunk.vector.as_deref().map(rows::vector_bytes),
            ]
            .to_vec()
        };
        passage.chunks.iter().enumerate().map(row).collect()
    }
}

const PASSAGE: &str = "passage (tenant, passage_id, document_id, ordinal, span_start, span_end, token_count)";
const CHUNK: &str = "chunk (tenant, document_id, passage_id, ordinal, document_version, span_start, span_end,
    token_count, vector)";

pub(super) async fn write_rows(tx: &mut Tx, into: &'static str, all: &[Vec<Value>]) -> Result<(), StoreError> {
    for batch in all.chunks(BATCH) {
        let (sql, values) = rows::insert(into, batch);
        // Full batches all have the same text; only the last is one of its kind.
        let sql = if batch.len() == BATCH { sql.into() } else { copydesk_store::Sql::once(sql) };
        tx.execute(sql, &values).await?;
    }
    Ok(())
}
