//! The statements that change a document and tell its knowledge base of it.

use copydesk_store::{Row, StoreError, Tx, Value, params};
use copydesk_types::DocumentId;

use super::objects;
use super::pages;
use super::rows;
use super::terms;
use super::usage::Growth;
use super::vectors;
use crate::domain::records::StagedDocument;
use crate::domain::source::Format;
use crate::domain::terms::DocumentTerms;
use crate::domain::token_weights::TokenWeights;
use crate::ports::{NewPassage, StoredObject, StoredPage};

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

/// Writes what an upload says of a document whose bytes are those that are stored: nothing is cut or embedded again, but
/// the index must read it again. Gives the document's id; `None`, with nothing written, when that is what is stored too
/// or a later upload has said something else.
pub(super) async fn describe(
    tx: &mut Tx,
    tenant: &str,
    knowledge_base: &str,
    staged: &StagedDocument,
    upload_time: i64,
) -> Result<Option<String>, StoreError> {
    let find = "SELECT document_id, title, source_kind, attributes, source_uri FROM document
        WHERE tenant = $1 AND knowledge_base_id = $2 AND key = $3 AND content_hash = $4 AND upload_time <= $5";
    let values = params![tenant, knowledge_base, &staged.key, &staged.content_hash, upload_time];
    let Some(row) = tx.query_opt(find, &values).await? else { return Ok(None) };
    let id: String = row.get("document_id")?;
    let stored: [String; 4] =
        [row.get("title")?, row.get("source_kind")?, row.get("attributes")?, row.get("source_uri")?];
    // Without a title in the upload, the one that was found in the text stays.
    let title = if staged.title.is_empty() { stored[0].clone() } else { staged.title.clone() };
    let said =
        [title, staged.source_kind.word().to_owned(), staged.attributes.json(), staged.source_uri.clone()];
    if said == stored {
        return Ok(None);
    }
    let [title, source_kind, attributes, source_uri] = said;
    if title != stored[0] {
        terms::retitle(tx, tenant, &id, &title).await?;
        // Made under the old title by a reembedding.
        tx.execute("DELETE FROM new_vector WHERE tenant = $1 AND document_id = $2", &params![tenant, &id])
            .await?;
    }
    let update =
        "UPDATE document SET title = $3, source_kind = $4, attributes = $5, source_uri = $6, upload_time = $7
        WHERE tenant = $1 AND document_id = $2";
    tx.execute(update, &params![tenant, &id, title, source_kind, attributes, source_uri, upload_time])
        .await?;
    if let Some(change) = next_version(tx, tenant, knowledge_base).await? {
        record_change(tx, tenant, knowledge_base, &id, change).await?;
    }
    Ok(Some(id))
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
        "DELETE FROM new_vector WHERE tenant = $1 AND document_id = $2",
        "DELETE FROM chunk WHERE tenant = $1 AND document_id = $2",
        "DELETE FROM passage WHERE tenant = $1 AND document_id = $2",
        "DELETE FROM document_text WHERE tenant = $1 AND document_id = $2",
        "DELETE FROM document_terms WHERE tenant = $1 AND document_id = $2",
    ] {
        tx.execute(statement, &params![tenant, document]).await?;
    }
    objects::release(tx, tenant, document).await?;
    Ok(shown)
}

/// Deletes what uploads remember of a document, kept bytes of failed ones included. What still waits is left: it will be
/// a document of its own.
pub(super) async fn delete_traces(
    tx: &mut Tx,
    tenant: &str,
    knowledge_base: &str,
    key: &str,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM ingestion_item WHERE tenant = $1 AND key = $3 AND state <> 'waiting'
          AND ingestion_id IN (SELECT ingestion_id FROM ingestion WHERE tenant = $1 AND knowledge_base_id = $2)";
    tx.execute(sql, &params![tenant, knowledge_base, key]).await?;
    Ok(())
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
    /// The pending object of its bytes, unless they are its text.
    pub original: Option<&'a StoredObject>,
    pub pages: &'a [StoredPage],
    pub passages: &'a [NewPassage],
    /// Absent: an index that reads the document finds them.
    pub terms: Option<&'a DocumentTerms>,
    /// When it was uploaded.
    pub upload_time: i64,
    pub now: i64,
}

/// What became of a document to be written.
pub(super) enum Put {
    /// All of it is stored already.
    Same,
    /// The bytes are those that are stored; what is said of this document is written.
    Described(String),
    /// A later upload has stored its key.
    Superseded,
    /// It is written.
    Written { id: String, growth: Growth, chunks: i64 },
}

/// The document that has the key now.
struct Before {
    id: String,
    version: i64,
    chunks: i64,
    bytes: i64,
}

impl Write<'_> {
    /// Puts the document in place of the one that has its key now, if any.
    pub(super) async fn run(&self, tx: &mut Tx) -> Result<Put, StoreError> {
        let find =
            "SELECT document_id, title, version, content_hash, chunk_count, upload_bytes, upload_time FROM document
            WHERE tenant = $1 AND knowledge_base_id = $2 AND key = $3";
        let found = tx.query_opt(find, &params![self.tenant, self.knowledge_base, &self.staged.key]).await?;
        let before = match &found {
            Some(row) if self.is_stored(row)? && !self.reads_more(tx, row).await? => {
                let described =
                    describe(tx, self.tenant, self.knowledge_base, self.staged, self.upload_time).await?;
                return Ok(described.map_or(Put::Same, Put::Described));
            }
            Some(row) if row.get::<i64>("upload_time")? > self.upload_time => return Ok(Put::Superseded),
            Some(row) => Before {
                id: row.get("document_id")?,
                version: row.get("version")?,
                chunks: row.get("chunk_count")?,
                bytes: row.get("upload_bytes")?,
            },
            None => Before { id: self.new_id.to_string(), version: 0, chunks: 0, bytes: 0 },
        };
        let chunks = rows::size(self.passages.iter().map(|passage| passage.chunks.len()).sum());
        self.write_document(tx, &before.id, before.version + 1, chunks).await?;
        self.write_content(tx, &before.id, before.version + 1).await?;
        if let Some(change) = next_version(tx, self.tenant, self.knowledge_base).await? {
            record_change(tx, self.tenant, self.knowledge_base, &before.id, change).await?;
        }
        let growth = Growth {
            documents: i64::from(found.is_none()),
            chunks: chunks - before.chunks,
            bytes: rows::size(self.staged.content.len()) - before.bytes,
        };
        count(tx, self.tenant, self.knowledge_base, growth.documents, growth.chunks).await?;
        Ok(Put::Written { id: before.id, growth, chunks })
    }

    /// Whether a document's row is of the same bytes, and so are its vectors: they are of its title too.
    fn is_stored(&self, row: &Row) -> Result<bool, StoreError> {
        let mut chunks = self.passages.iter().flat_map(|passage| &passage.chunks);
        let retitled = !self.staged.title.is_empty() && row.get::<String>("title")? != self.staged.title;
        let same = row.get::<String>("content_hash")? == self.staged.content_hash;
        Ok(same && !(retitled && chunks.any(|chunk| chunk.vector.is_some())))
    }

    /// Whether it has the text of a page that was not read when the document was stored.
    async fn reads_more(&self, tx: &mut Tx, row: &Row) -> Result<bool, StoreError> {
        let read: Vec<&String> = self.pages.iter().filter_map(|page| page.picture_hash.as_ref()).collect();
        if read.is_empty() {
            return Ok(false);
        }
        let id: String = row.get("document_id")?;
        let before = pages::pictures(tx, self.tenant, &id).await?;
        Ok(read.iter().any(|hash| !before.contains(hash)))
    }

    async fn write_document(
        &self,
        tx: &mut Tx,
        id: &str,
        version: i64,
        chunks: i64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO document (tenant, document_id, knowledge_base_id, key, title, source_kind,
              content_type, version, size_bytes, content_hash, chunk_count, create_time, update_time, upload_bytes,
              upload_time, attributes, source_uri, format)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15, $16, $17)
            ON CONFLICT (tenant, document_id) DO UPDATE SET title = excluded.title,
              source_kind = excluded.source_kind, content_type = excluded.content_type,
              version = excluded.version, size_bytes = excluded.size_bytes,
              content_hash = excluded.content_hash, chunk_count = excluded.chunk_count,
              update_time = excluded.update_time, upload_bytes = excluded.upload_bytes,
              upload_time = excluded.upload_time, attributes = excluded.attributes,
              source_uri = excluded.source_uri, format = excluded.format";
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
            rows::size(self.staged.content.len()),
            self.upload_time,
            self.staged.attributes.json(),
            &self.staged.source_uri,
            self.format.word(),
        ];
        tx.execute(sql, &values).await?;
        Ok(())
    }

    /// Puts text, original, passages, chunks and pages in place of those that the document has.
    pub(super) async fn write_content(&self, tx: &mut Tx, id: &str, version: i64) -> Result<(), StoreError> {
        // A new document has none.
        let shown = if version == 1 { Vec::new() } else { delete_rows(tx, self.tenant, id).await? };
        let sql = "INSERT INTO document_text (tenant, document_id, text) VALUES ($1, $2, $3)";
        tx.execute(sql, &params![self.tenant, id, self.text.as_bytes()]).await?;
        if let Some(original) = self.original {
            objects::adopt(tx, self.tenant, original, id).await?;
        }
        let (mut passages, mut chunks) = (Vec::new(), Vec::new());
        for (ordinal, passage) in self.passages.iter().enumerate() {
            passages.push(self.passage_row(id, ordinal, passage));
            chunks.extend(self.chunk_rows(id, version, passage));
        }
        tx.insert_rows(PASSAGE, passages, "").await?;
        tx.insert_rows(CHUNK, chunks, "").await?;
        if let Some(terms) = self.terms {
            terms::write(tx, self.tenant, id, version, terms).await?;
        }
        pages::write(tx, self.tenant, id, self.pages).await?;
        pages::forget_pictures(tx, self.tenant, &shown).await?;
        let mut chunks = self.passages.iter().flat_map(|passage| &passage.chunks);
        if chunks.any(|chunk| chunk.vector.is_some()) {
            vectors::drop_kept(tx, self.tenant, self.knowledge_base, id).await?;
        }
        Ok(())
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
                chunk.text_hash.map(|hash| hash.to_vec()),
                chunk.weights.as_ref().map(TokenWeights::to_bytes),
            ]
            .to_vec()
        };
        passage.chunks.iter().enumerate().map(row).collect()
    }
}

const PASSAGE: &str = "passage (tenant, passage_id, document_id, ordinal, span_start, span_end, token_count)";
const CHUNK: &str = "chunk (tenant, document_id, passage_id, ordinal, document_version, span_start, span_end,
    token_count, vector, text_hash, token_weights)";
