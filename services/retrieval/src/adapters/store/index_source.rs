//! What an index in memory is built from: what `IndexSource` promises.

use std::collections::HashMap;
use std::mem::take;

use async_trait::async_trait;
use copydesk_store::{Row, Sql, StoreError, Value, params, placeholders};
use copydesk_types::{DocumentId, KnowledgeBaseId, TenantId};

use super::terms::{self, Unread};
use super::{DatabaseStore, rows};
use crate::domain::filter::Facts;
use crate::ports::{Change, ChunkedDocument, IndexSource, StoredChunk};

/// How often documents are read again that were replaced between the reads of their texts and of their chunks.
const READS: usize = 8;

#[async_trait]
impl IndexSource for DatabaseStore {
    async fn changes(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        after: u64,
    ) -> Result<Vec<Change>, StoreError> {
        let sql =
            "SELECT c.document_id, c.version, COALESCE(d.chunk_count, 0) AS chunks FROM document_change c
            LEFT JOIN document d ON d.tenant = c.tenant AND d.document_id = c.document_id
            WHERE c.tenant = $1 AND c.knowledge_base_id = $2 AND c.version > $3 ORDER BY c.version";
        let values = params![tenant.to_string(), knowledge_base.to_string(), rows::int(after)];
        let found = self.database.query(sql, &values).await?;
        found.iter().map(change).collect()
    }

    async fn chunked(
        &self,
        tenant: TenantId,
        ids: &[DocumentId],
    ) -> Result<Vec<ChunkedDocument>, StoreError> {
        let mut whole = Vec::with_capacity(ids.len());
        let mut wanted = ids.to_vec();
        for _ in 0..READS {
            let (read, torn) = self.read(tenant, &wanted).await?;
            whole.extend(read);
            wanted = torn;
            if wanted.is_empty() {
                break;
            }
        }
        // What is left was replaced faster than it can be read: the change after this one brings it.
        Ok(whole)
    }

    async fn last_changes(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        ids: &[DocumentId],
    ) -> Result<HashMap<DocumentId, u64>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = "SELECT document_id, version FROM document_change
            WHERE tenant = $1 AND knowledge_base_id = $2 AND document_id IN (LIST)";
        let mut values: Vec<Value> = params![tenant.to_string(), knowledge_base.to_string()].to_vec();
        values.extend(ids.iter().map(|id| Value::from(id.to_string())));
        let found = self.database.query(statement(sql, &placeholders(3, ids.len()), ids), &values).await?;
        let pair = |row: &Row| Ok((rows::parsed(row, "document_id")?, rows::unsigned(row, "version")?));
        found.iter().map(pair).collect()
    }

    async fn every_knowledge_base(&self) -> Result<Vec<(TenantId, KnowledgeBaseId, u64)>, StoreError> {
        let sql = "SELECT tenant, knowledge_base_id, version FROM knowledge_base";
        let found = self.database.query(sql, &[]).await?;
        let base = |row: &Row| {
            let (tenant, id) = (rows::parsed(row, "tenant")?, rows::parsed(row, "knowledge_base_id")?);
            Ok((tenant, id, rows::unsigned(row, "version")?))
        };
        found.iter().map(base).collect()
    }
}

impl DatabaseStore {
    /// The documents of these ids that exist, and the ids of those whose chunks are of another version than their texts.
    async fn read(
        &self,
        tenant: TenantId,
        ids: &[DocumentId],
    ) -> Result<(Vec<ChunkedDocument>, Vec<DocumentId>), StoreError> {
        let list = placeholders(2, ids.len());
        let mut values: Vec<Value> = vec![tenant.to_string().into()];
        values.extend(ids.iter().map(|id| Value::from(id.to_string())));
        let documents = self.database.query(statement(DOCUMENTS, &list, ids), &values).await?;
        let mut chunks: HashMap<String, Vec<Row>> = HashMap::new();
        for row in self.database.query(statement(CHUNKS, &list, ids), &values).await? {
            match chunks.get_mut(row.text("document_id")?) {
                Some(rows) => rows.push(row),
                None => _ = chunks.insert(row.get("document_id")?, vec![row]),
            }
        }
        let (mut whole, mut torn, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        for row in &documents {
            let own = chunks.remove(row.text("document_id")?).unwrap_or_default();
            let Some((document, known)) = together(row, &own)? else {
                torn.push(rows::parsed(row, "document_id")?);
                continue;
            };
            if !known {
                unread.push(unread_of(row, &document)?);
            }
            whole.push(document);
        }
        if !unread.is_empty() {
            let mut found = self.find_terms(tenant, unread).await?;
            for document in &mut whole {
                document.terms =
                    found.remove(&document.facts.id).unwrap_or_else(|| take(&mut document.terms));
            }
        }
        Ok((whole, torn))
    }
}

/// Statements for one document, which come again and again, are kept by the driver; the others are not.
fn statement(sql: &str, list: &str, ids: &[DocumentId]) -> Sql {
    let sql = sql.replace("LIST", list);
    if ids.len() == 1 { sql.into() } else { Sql::once(sql) }
}

const DOCUMENTS: &str =
    "SELECT d.document_id, d.key, d.title, d.source_kind, d.content_type, d.version, d.chunk_count,
      d.update_time, d.attributes, t.terms FROM document d
    LEFT JOIN document_terms t
      ON t.tenant = d.tenant AND t.document_id = d.document_id AND t.document_version = d.version
    WHERE d.tenant = $1 AND d.document_id IN (LIST)";

const CHUNKS: &str =
    "SELECT document_id, passage_id, ordinal, document_version, span_start, span_end, vector, token_weights FROM chunk
    WHERE tenant = $1 AND document_id IN (LIST)";

fn change(row: &Row) -> Result<Change, StoreError> {
    Ok(Change {
        document: rows::parsed(row, "document_id")?,
        version: rows::unsigned(row, "version")?,
        chunks: rows::unsigned(row, "chunks")?,
    })
}

/// A document with its chunks, and whether its terms are known; `None` when they are of different versions.
fn together(row: &Row, chunks: &[Row]) -> Result<Option<(ChunkedDocument, bool)>, StoreError> {
    let (version, count) = (row.get::<i64>("version")?, row.get::<i64>("chunk_count")?);
    for chunk in chunks {
        if chunk.get::<i64>("document_version")? != version {
            return Ok(None);
        }
    }
    if rows::size(chunks.len()) != count {
        return Ok(None);
    }
    let mut chunks = chunks.iter().map(chunk).collect::<Result<Vec<_>, _>>()?;
    // Here and not by the database, which would sort the vectors too.
    chunks.sort_unstable_by_key(|chunk| (chunk.span.start, chunk.ordinal));
    let terms = terms::read(row, chunks.len())?;
    let known = terms.is_some();
    Ok(Some((ChunkedDocument { facts: facts(row)?, terms: terms.unwrap_or_default(), chunks }, known)))
}

fn unread_of(row: &Row, document: &ChunkedDocument) -> Result<Unread, StoreError> {
    Ok(Unread {
        id: document.facts.id,
        version: row.get("version")?,
        title: row.get("title")?,
        spans: document.chunks.iter().map(|chunk| chunk.span.clone()).collect(),
    })
}

fn facts(row: &Row) -> Result<Facts, StoreError> {
    Ok(Facts {
        id: rows::parsed(row, "document_id")?,
        key: row.text("key")?.into(),
        title: row.text("title")?.into(),
        kind: rows::source_kind(row)?,
        content_type: rows::content_type(row)?,
        update_time: row.get("update_time")?,
        attributes: crate::domain::attributes::Flat::of(&rows::attributes(row)?),
    })
}

fn chunk(row: &Row) -> Result<StoredChunk, StoreError> {
    Ok(StoredChunk {
        passage: rows::parsed(row, "passage_id")?,
        ordinal: row.get("ordinal")?,
        span: rows::span(row)?,
        vector: row.bytes("vector")?.map(rows::vector),
        weights: rows::token_weights(row)?,
    })
}
