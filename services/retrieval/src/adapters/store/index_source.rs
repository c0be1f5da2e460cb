//! What an index in memory is built from: what `IndexSource` promises.

use async_trait::async_trait;
use copydesk_store::{Row, StoreError, params};
use copydesk_types::{DocumentId, KnowledgeBaseId, TenantId};

use super::{DatabaseStore, rows};
use crate::ports::{ChunkedDocument, IndexSource, StoredChunk};

/// How often a document is read again when it was replaced between the reads of its text and of its chunks.
const READS: usize = 8;

#[async_trait]
impl IndexSource for DatabaseStore {
    async fn changes(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        after: u64,
    ) -> Result<Vec<(DocumentId, u64)>, StoreError> {
        let sql = "SELECT document_id, version FROM document_change
            WHERE tenant = $1 AND knowledge_base_id = $2 AND version > $3 ORDER BY version";
        let values = params![tenant.to_string(), knowledge_base.to_string(), rows::int(after)];
        let found = self.database.query(sql, &values).await?;
        found
            .iter()
            .map(|row| Ok((rows::parsed(row, "document_id")?, rows::unsigned(row, "version")?)))
            .collect()
    }

    async fn chunked(&self, tenant: TenantId, id: DocumentId) -> Result<Option<ChunkedDocument>, StoreError> {
        let of = params![tenant.to_string(), id.to_string()];
        for _ in 0..READS {
            let Some(row) = self.database.query_opt(DOCUMENT, &of).await? else { return Ok(None) };
            let version: i64 = row.get("version")?;
            let values = params![tenant.to_string(), id.to_string(), version];
            let found = self.database.query(CHUNKS, &values).await?;
            if rows::size(found.len()) != row.get::<i64>("chunk_count")? {
                continue;
            }
            return Ok(Some(ChunkedDocument {
                title: row.get("title")?,
                kind: rows::source_kind(&row)?,
                text: rows::text(&row, "text")?,
                chunks: found.iter().map(chunk).collect::<Result<_, _>>()?,
            }));
        }
        // Replaced faster than it can be read: the change after this one brings it.
        Ok(None)
    }
}

const DOCUMENT: &str = "SELECT d.version, d.chunk_count, d.title, d.source_kind, t.text FROM document d
    JOIN document_text t ON t.tenant = d.tenant AND t.document_id = d.document_id
    WHERE d.tenant = $1 AND d.document_id = $2";

const CHUNKS: &str = "SELECT passage_id, ordinal, span_start, span_end, vector FROM chunk
    WHERE tenant = $1 AND document_id = $2 AND document_version = $3 ORDER BY span_start";

fn chunk(row: &Row) -> Result<StoredChunk, StoreError> {
    Ok(StoredChunk {
        passage: rows::parsed(row, "passage_id")?,
        ordinal: row.get("ordinal")?,
        span: rows::span(row)?,
        vector: row.get::<Option<Vec<u8>>>("vector")?.map(|bytes| rows::vector(&bytes)),
    })
}
