//! Snapshots and originals as rows: what `SnapshotStore` promises.

use async_trait::async_trait;
use copydesk_store::{Row, StoreError, Tx, Value, params};
use copydesk_types::{DocumentId, KnowledgeBaseId, SnapshotId, TenantId};

use super::documents::{self, Write};
use super::usage::{self, Growth};
use super::{DatabaseStore, method, objects, pages, rows, take_request};
use crate::domain::records::{KnowledgeBase, StagedDocument};
use crate::domain::source::Format;
use crate::domain::stages::Allowance;
use crate::ports::{
    Created, KnowledgeStore, NewChunk, NewPassage, Original, RequestKey, Snapshot, SnapshotStore, Source,
    StoredObject, WholeDocument,
};

/// How often a document is read again when it was replaced between the reads of its parts.
const READS: usize = 8;

#[async_trait]
impl SnapshotStore for DatabaseStore {
    async fn original(&self, tenant: TenantId, id: DocumentId) -> Result<Option<Original>, StoreError> {
        let row = self.database.query_opt(ORIGINAL, &params![tenant.to_string(), id.to_string()]).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(match objects::joined(&row)? {
            Some(object) => Original::Object(object),
            None => Original::Text(row.get("content_hash")?, row.get::<Vec<u8>>("text")?.into()),
        }))
    }

    async fn document_ids(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
    ) -> Result<Vec<DocumentId>, StoreError> {
        let sql = "SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2
            ORDER BY document_id";
        let values = params![tenant.to_string(), knowledge_base.to_string()];
        let found = self.database.query(sql, &values).await?;
        found.iter().map(|row| rows::parsed(row, "document_id")).collect()
    }

    async fn whole_document(
        &self,
        tenant: TenantId,
        id: DocumentId,
    ) -> Result<Option<WholeDocument>, StoreError> {
        let of = params![tenant.to_string(), id.to_string()];
        for _ in 0..READS {
            let Some(row) = self.database.query_opt(DOCUMENT, &of).await? else { return Ok(None) };
            let version: i64 = row.get("version")?;
            let passages = self.database.query(PASSAGES, &of).await?;
            let chunks = params![tenant.to_string(), id.to_string(), version];
            let chunks = self.database.query(CHUNKS, &chunks).await?;
            let passages = joined(&passages, &chunks)?;
            let pages = pages::stored(self, &of).await?;
            let counted: usize = passages.iter().map(|passage| passage.chunks.len()).sum();
            if chunks.len() != counted || rows::size(counted) != row.get::<i64>("chunk_count")? {
                continue;
            }
            // Chunks have a version of their own, pages have not: they are of this one when it is still the last.
            let now = self.database.query_opt(VERSION, &of).await?;
            if now.map(|row| row.get::<i64>("version")).transpose()? != Some(version) {
                continue;
            }
            return Ok(Some(WholeDocument {
                document: rows::document(&row)?,
                upload_time: row.get("upload_time")?,
                text: rows::text(&row, "text")?,
                original: objects::joined(&row)?,
                passages,
                pages,
            }));
        }
        // Replaced faster than it can be read: as if it had come later.
        Ok(None)
    }

    async fn add_snapshot(
        &self,
        tenant: TenantId,
        snapshot: &Snapshot,
        file: &StoredObject,
    ) -> Result<(), StoreError> {
        let tenant = tenant.to_string();
        let mut tx = self.database.begin().await?;
        tx.execute(SNAPSHOT, &snapshot_row(&tenant, snapshot)).await?;
        objects::adopt(&mut tx, &tenant, file, &snapshot.id.to_string()).await?;
        tx.commit().await
    }

    async fn snapshot(&self, tenant: TenantId, id: SnapshotId) -> Result<Option<Snapshot>, StoreError> {
        let sql = "SELECT * FROM snapshot WHERE tenant = $1 AND snapshot_id = $2";
        let row = self.database.query_opt(sql, &params![tenant.to_string(), id.to_string()]).await?;
        row.as_ref().map(snapshot).transpose()
    }

    async fn snapshots(
        &self,
        tenant: TenantId,
        before: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<Snapshot>, StoreError> {
        let sql = "SELECT * FROM snapshot WHERE tenant = $1 AND ($2 = '' OR snapshot_id COLLATE \"C\" < $2)
            ORDER BY snapshot_id COLLATE \"C\" DESC LIMIT $3";
        let before = before.map(|id| id.to_string()).unwrap_or_default();
        let found = self.database.query(sql, &params![tenant.to_string(), before, limit]).await?;
        found.iter().map(snapshot).collect()
    }

    async fn delete_snapshot(&self, tenant: TenantId, id: SnapshotId) -> Result<bool, StoreError> {
        let of = params![tenant.to_string(), id.to_string()];
        let mut tx = self.database.begin().await?;
        let delete = "DELETE FROM snapshot WHERE tenant = $1 AND snapshot_id = $2";
        if tx.execute(delete, &of).await? == 0 {
            return Ok(false);
        }
        objects::release(&mut tx, &tenant.to_string(), &id.to_string()).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn restored_before(
        &self,
        tenant: TenantId,
        request_id: &str,
    ) -> Result<Option<(String, KnowledgeBase)>, StoreError> {
        let sql = "SELECT fingerprint, resource_id FROM request
            WHERE tenant = $1 AND method = $2 AND request_id = $3";
        let values = params![tenant.to_string(), method::RESTORE_SNAPSHOT, request_id];
        let Some(row) = self.database.query_opt(sql, &values).await? else { return Ok(None) };
        let made = self.knowledge_base(tenant, rows::parsed(&row, "resource_id")?).await?;
        made.map(|made| Ok((row.get("fingerprint")?, made))).transpose()
    }

    async fn restore(
        &self,
        tenant: TenantId,
        base: &KnowledgeBase,
        request: &RequestKey,
        documents: Source<'_, WholeDocument>,
        allowance: &Allowance,
    ) -> Result<Created<KnowledgeBase>, StoreError> {
        let (owner, id) = (tenant.to_string(), base.id.to_string());
        let mut tx = self.database.begin().await?;
        let taken = take_request(&mut tx, tenant, method::RESTORE_SNAPSHOT, request, &id).await?;
        if taken.is_some() {
            tx.rollback().await?;
            let before = self.restored_before(tenant, &request.id).await?;
            return Ok(before.map_or(Created::NoKnowledgeBase, |(fingerprint, before)| {
                if fingerprint == request.fingerprint { Created::Before(before) } else { Created::Reused }
            }));
        }
        let mut made = KnowledgeBase { documents: 0, chunks: 0, version: 1, ..base.clone() };
        let mut growth = Growth::default();
        tx.execute(KNOWLEDGE_BASE, &base_row(&owner, &made)).await?;
        for document in documents {
            let document = document?;
            made.version += 1;
            put(&mut tx, &owner, &document, rows::int(made.version)).await?;
            growth.documents += 1;
            growth.chunks += i64::from(document.document.chunks);
            growth.bytes += rows::int(uploaded(&document));
        }
        (made.documents, made.chunks) = (growth.documents as u64, growth.chunks as u64);
        let counts = "UPDATE knowledge_base SET version = $3, document_count = $4, chunk_count = $5
            WHERE tenant = $1 AND knowledge_base_id = $2";
        let version = rows::int(made.version);
        tx.execute(counts, &params![&owner, &id, version, growth.documents, growth.chunks]).await?;
        if let Some(over) = usage::add(&mut tx, &owner, growth, allowance).await? {
            tx.rollback().await?;
            return Ok(Created::OverQuota(over));
        }
        tx.commit().await?;
        Ok(Created::New(made))
    }
}

/// A document with its text and its object, if it has one.
macro_rules! document {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            ", t.text, o.object_id, o.place, o.size_bytes AS object_size, o.content_hash AS object_hash FROM document d
             JOIN document_text t ON t.tenant = d.tenant AND t.document_id = d.document_id
             LEFT JOIN object o ON o.tenant = d.tenant AND o.owner = d.document_id AND o.state = 'stored'
             WHERE d.tenant = $1 AND d.document_id = $2"
        )
    };
}

const DOCUMENT: &str = document!("d.*");

const ORIGINAL: &str = document!("d.content_hash");

const VERSION: &str = "SELECT version FROM document WHERE tenant = $1 AND document_id = $2";

const PASSAGES: &str = "SELECT passage_id, span_start, span_end, token_count FROM passage
    WHERE tenant = $1 AND document_id = $2 ORDER BY ordinal";

const CHUNKS: &str = "SELECT passage_id, span_start, span_end, token_count, vector, text_hash, token_weights
    FROM chunk
    WHERE tenant = $1 AND document_id = $2 AND document_version = $3 ORDER BY span_start, ordinal";

const SNAPSHOT: &str = "INSERT INTO snapshot (tenant, snapshot_id, knowledge_base_id, name, document_count,
    chunk_count, size_bytes, content_hash, create_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

const KNOWLEDGE_BASE: &str =
    "INSERT INTO knowledge_base (tenant, knowledge_base_id, name, version, document_count,
    chunk_count, embedder, create_time, dimensions, kind) VALUES ($1, $2, $3, $4, 0, 0, $5, $6, $7, $8)";

const RESTORED: &str = "INSERT INTO document (tenant, document_id, knowledge_base_id, key, title, source_kind,
    content_type, version, size_bytes, content_hash, chunk_count, create_time, update_time, upload_bytes, upload_time,
    attributes, source_uri, format)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

/// Passages with their chunks.
fn joined(passages: &[Row], chunks: &[Row]) -> Result<Vec<NewPassage>, StoreError> {
    let mut all = Vec::with_capacity(passages.len());
    let mut places = std::collections::HashMap::new();
    for row in passages {
        let id = rows::parsed(row, "passage_id")?;
        places.insert(id, all.len());
        all.push(NewPassage {
            id,
            span: rows::span(row)?,
            tokens: row.get("token_count")?,
            chunks: Vec::new(),
        });
    }
    for row in chunks {
        let vector: Option<Vec<u8>> = row.get("vector")?;
        let chunk = NewChunk {
            span: rows::span(row)?,
            tokens: row.get("token_count")?,
            vector: vector.map(|bytes| rows::vector(&bytes)),
            weights: rows::token_weights(row)?,
            text_hash: row.get::<Option<Vec<u8>>>("text_hash")?.and_then(|hash| hash.try_into().ok()),
        };
        if let Some(place) = places.get(&rows::parsed(row, "passage_id")?) {
            all[*place].chunks.push(chunk);
        }
    }
    Ok(all)
}

fn snapshot(row: &Row) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        id: rows::parsed(row, "snapshot_id")?,
        knowledge_base: rows::parsed(row, "knowledge_base_id")?,
        name: row.get("name")?,
        documents: rows::unsigned(row, "document_count")?,
        chunks: rows::unsigned(row, "chunk_count")?,
        size: rows::unsigned(row, "size_bytes")?,
        content_hash: row.get("content_hash")?,
        create_time: row.get("create_time")?,
    })
}

fn snapshot_row(tenant: &str, snapshot: &Snapshot) -> Vec<Value> {
    params![
        tenant,
        snapshot.id.to_string(),
        snapshot.knowledge_base.to_string(),
        &snapshot.name,
        rows::int(snapshot.documents),
        rows::int(snapshot.chunks),
        rows::int(snapshot.size),
        &snapshot.content_hash,
        snapshot.create_time,
    ]
    .to_vec()
}

fn base_row(tenant: &str, base: &KnowledgeBase) -> Vec<Value> {
    params![
        tenant,
        base.id.to_string(),
        &base.name,
        rows::int(base.version),
        &base.embedder,
        base.create_time,
        base.dimensions,
        base.kind.word(),
    ]
    .to_vec()
}

/// How many bytes a document had when it was uploaded.
fn uploaded(document: &WholeDocument) -> u64 {
    document.original.as_ref().map_or(document.text.len() as u64, |original| original.size)
}

/// Writes a restored document. Each gets a change of its own, so that an index may stop between two.
async fn put(tx: &mut Tx, tenant: &str, whole: &WholeDocument, change: i64) -> Result<(), StoreError> {
    let document = &whole.document;
    let (id, base) = (document.id.to_string(), document.knowledge_base.to_string());
    let values = params![
        tenant,
        &id,
        &base,
        &document.key,
        &document.title,
        document.source_kind.word(),
        document.content_type.word(),
        document.version,
        rows::size(whole.text.len()),
        &document.content_hash,
        document.chunks,
        document.create_time,
        document.update_time,
        rows::int(uploaded(whole)),
        whole.upload_time,
        document.attributes.json(),
        &document.source_uri,
        document.format.map(Format::word).unwrap_or_default(),
    ];
    tx.execute(RESTORED, &values).await?;
    let staged = StagedDocument {
        ordinal: 0,
        key: document.key.clone(),
        title: document.title.clone(),
        format: document.format.unwrap_or(Format::Text),
        source_kind: document.source_kind,
        content_type: document.content_type,
        content: bytes::Bytes::new(),
        content_hash: document.content_hash.clone(),
        attributes: document.attributes.clone(),
        source_uri: document.source_uri.clone(),
    };
    let write = Write {
        tenant,
        knowledge_base: &base,
        new_id: document.id,
        staged: &staged,
        title: &document.title,
        format: staged.format,
        text: &whole.text,
        original: whole.original.as_ref(),
        pages: &whole.pages,
        passages: &whole.passages,
        terms: None,
        upload_time: whole.upload_time,
        now: document.update_time,
    };
    write.write_content(tx, &id, i64::from(document.version)).await?;
    documents::record_change(tx, tenant, &base, &id, change).await
}
