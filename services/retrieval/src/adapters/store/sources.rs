//! Sources as rows: what a step brought, and what a source brought at all.

use async_trait::async_trait;
use copydesk_store::{Row, StoreError, Tx, Value, params};
use copydesk_types::DocumentId;

use super::ingestions::{STAGE, item_row};
use super::{DatabaseStore, jobs, rows};
use crate::domain::origin::{IngestionSource, Miss, SourceState, Wish};
use crate::domain::records::StagedDocument;
use crate::domain::stages::Stage;
use crate::ports::{Fetched, Job, JobSource, SourceStore};

#[async_trait]
impl SourceStore for DatabaseStore {
    async fn store_step(&self, job: &Job, fetched: Fetched<'_>) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        let Some(changes) = jobs::holds(&mut tx, job).await? else { return Ok(false) };
        let mut ordinal = next_ordinal(&mut tx, job).await?;
        let mut bytes = 0;
        for document in fetched.documents {
            bytes += rows::size(document.content.len());
            let document = StagedDocument { ordinal, ..document.clone() };
            tx.execute(STAGE, &item_row(job.tenant, job.id, &document, fetched.now)).await?;
            ordinal += 1;
        }
        for miss in fetched.misses {
            tx.execute(MISS, &miss_row(job, miss, ordinal, changes + 1, fetched.now)).await?;
            ordinal += 1;
        }
        let values = params![
            job.tenant.to_string(),
            job.id.to_string(),
            ordinal,
            bytes,
            rows::size(fetched.misses.len()),
            fetched.state.word(),
            fetched.cursor,
            fetched.mark,
            fetched.lease_until,
        ];
        tx.execute(STEP, &values).await?;
        if fetched.state != SourceState::Fetching {
            tx.execute(AT_FIRST, &params![job.tenant.to_string(), job.id.to_string()]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn mark(&self, job: &Job, wish: &Wish) -> Result<String, StoreError> {
        let sql = "SELECT m.mark FROM source_mark m
            WHERE m.tenant = $1 AND m.knowledge_base_id = $2 AND m.name = $3 AND m.spec = $4 AND NOT EXISTS (
              SELECT 1 FROM source_document s LEFT JOIN document d
                ON d.tenant = s.tenant AND d.knowledge_base_id = s.knowledge_base_id AND d.key = s.key
              WHERE s.tenant = $1 AND s.knowledge_base_id = $2 AND s.name = $3 AND d.document_id IS NULL)";
        let (tenant, base) = (job.tenant.to_string(), job.knowledge_base.to_string());
        let row = self.database.query_opt(sql, &params![tenant, base, &wish.name, &wish.spec]).await?;
        row.map_or(Ok(String::new()), |row| row.get("mark"))
    }

    async fn settle(&self, job: &Job, wish: &Wish) -> Result<(), StoreError> {
        let (tenant, base) = (job.tenant.to_string(), job.knowledge_base.to_string());
        let mut tx = self.database.begin().await?;
        if jobs::holds(&mut tx, job).await?.is_none() {
            return Ok(());
        }
        let brought = "INSERT INTO source_document (tenant, knowledge_base_id, name, key, ingest_time)
            SELECT DISTINCT tenant, CAST($3 AS TEXT), CAST($4 AS TEXT), key, CAST($5 AS BIGINT) FROM ingestion_item
              WHERE tenant = $1 AND ingestion_id = $2 AND state IN ('done', 'unchanged')
            ON CONFLICT (tenant, knowledge_base_id, name, key) DO UPDATE SET ingest_time = excluded.ingest_time";
        let values = params![&tenant, job.id.to_string(), &base, &wish.name, job.create_time];
        tx.execute(brought, &values).await?;
        let mark = "SELECT source_mark FROM ingestion WHERE tenant = $1 AND ingestion_id = $2
            AND source_state = 'fetched' AND documents_failed = 0 AND source_mark <> ''";
        if let Some(row) = tx.query_opt(mark, &params![&tenant, job.id.to_string()]).await? {
            let keep = "INSERT INTO source_mark (tenant, knowledge_base_id, name, spec, mark)
                VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, knowledge_base_id, name)
                DO UPDATE SET spec = excluded.spec, mark = excluded.mark";
            let mark: String = row.get("source_mark")?;
            tx.execute(keep, &params![&tenant, &base, &wish.name, &wish.spec, mark]).await?;
        }
        tx.commit().await
    }

    async fn gone(&self, job: &Job, wish: &Wish, limit: u32) -> Result<Vec<DocumentId>, StoreError> {
        let sql = "SELECT d.document_id FROM source_document s JOIN document d
              ON d.tenant = s.tenant AND d.knowledge_base_id = s.knowledge_base_id AND d.key = s.key
            WHERE s.tenant = $1 AND s.knowledge_base_id = $2 AND s.name = $3 AND d.upload_time <= s.ingest_time
              AND NOT EXISTS (SELECT 1 FROM ingestion_item i
                WHERE i.tenant = $1 AND i.ingestion_id = $4 AND i.key = s.key)
            ORDER BY d.document_id LIMIT $5";
        let values = of(job, wish).into_iter().chain([limit.into()]).collect::<Vec<_>>();
        let found = self.database.query(sql, &values).await?;
        found.iter().map(|row| rows::parsed(row, "document_id")).collect()
    }

    async fn count_deleted(&self, job: &Job) -> Result<(), StoreError> {
        let sql = "UPDATE ingestion SET documents_deleted = documents_deleted + 1, changes = changes + 1
            WHERE tenant = $1 AND ingestion_id = $2";
        self.database.execute(sql, &params![job.tenant.to_string(), job.id.to_string()]).await?;
        Ok(())
    }

    async fn forget_gone(&self, job: &Job, wish: &Wish) -> Result<(), StoreError> {
        let sql = "DELETE FROM source_document WHERE tenant = $1 AND knowledge_base_id = $2 AND name = $3
            AND NOT EXISTS (SELECT 1 FROM ingestion_item i
              WHERE i.tenant = $1 AND i.ingestion_id = $4 AND i.key = source_document.key)";
        self.database.execute(sql, &of(job, wish)).await?;
        Ok(())
    }
}

fn of(job: &Job, wish: &Wish) -> Vec<Value> {
    let (tenant, base) = (job.tenant.to_string(), job.knowledge_base.to_string());
    params![tenant, base, &wish.name, job.id.to_string()].to_vec()
}

const MISS: &str = "INSERT INTO ingestion_item (tenant, ingestion_id, ordinal, state, key, title, format,
    source_kind, content_type, content_hash, content, size_bytes, reason, message, stage_time, update_time, change,
    attempts)
    VALUES ($1, $2, $3, $4, $5, '', 'text', 'document', 'blog', '', NULL, 0, $6, $7, $8, $8, $9, 1)";

fn miss_row(job: &Job, miss: &Miss, ordinal: u32, change: i64, now: i64) -> Vec<Value> {
    params![
        job.tenant.to_string(),
        job.id.to_string(),
        ordinal,
        Stage::Failed.word(),
        &miss.key,
        miss.reason,
        &miss.message,
        now,
        change,
    ]
    .to_vec()
}

const STEP: &str = "UPDATE ingestion SET documents_total = $3, bytes_total = bytes_total + $4,
      documents_failed = documents_failed + $5, changes = changes + 1, source_state = $6,
      source_cursor = CASE WHEN $6 = 'failed' THEN source_cursor ELSE $7 END,
      source_mark = CASE WHEN $8 = '' THEN source_mark ELSE $8 END, source_attempts = 0, lease_until = $9
    WHERE tenant = $1 AND ingestion_id = $2";

/// From now on the holder is at documents.
const AT_FIRST: &str = "UPDATE ingestion SET at_stage = '',
      at_ordinal = (SELECT MIN(ordinal) FROM ingestion_item w WHERE w.tenant = $1 AND w.ingestion_id = $2
        AND w.state = 'waiting' AND w.lost = 0)
    WHERE tenant = $1 AND ingestion_id = $2";

async fn next_ordinal(tx: &mut Tx, job: &Job) -> Result<u32, StoreError> {
    let sql = "SELECT documents_total FROM ingestion WHERE tenant = $1 AND ingestion_id = $2";
    let row = tx.query_opt(sql, &params![job.tenant.to_string(), job.id.to_string()]).await?;
    row.map_or(Ok(0), |row| row.get("documents_total"))
}

/// The source of an ingestion as callers see it; `None` for an upload.
pub(super) fn shown(row: &Row) -> Result<Option<IngestionSource>, StoreError> {
    let kind: String = row.get("source_kind")?;
    if kind.is_empty() {
        return Ok(None);
    }
    Ok(Some(IngestionSource {
        kind,
        name: row.get("source_name")?,
        state: rows::word(row, "source_state", SourceState::from_word)?,
        deleted: row.get("documents_deleted")?,
    }))
}

/// The source of a job; `None` for an upload.
pub(super) fn of_job(row: &Row) -> Result<Option<JobSource>, StoreError> {
    let kind: String = row.get("source_kind")?;
    if kind.is_empty() {
        return Ok(None);
    }
    let wish = Wish {
        kind,
        name: row.get("source_name")?,
        spec: row.get("source_spec")?,
        content_type: rows::word(row, "source_content_type", crate::domain::source::ContentType::from_word)?,
        mirror: row.get::<i64>("source_mirror")? != 0,
    };
    Ok(Some(JobSource {
        wish,
        state: rows::word(row, "source_state", SourceState::from_word)?,
        cursor: row.get("source_cursor")?,
        documents: row.get("documents_total")?,
        bytes: rows::unsigned(row, "bytes_total")?,
        attempts: row.get("source_attempts")?,
    }))
}
