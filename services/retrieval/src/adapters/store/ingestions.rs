//! Uploads as rows: staging, commit, state. The worker's half of `IngestionStore` is in `jobs.rs`.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use copydesk_store::{Dialect, StoreError, Tx, Value, params};
use copydesk_types::{IngestionId, TenantId};

use super::ends::Retried;
use super::{DatabaseStore, ends, items, jobs, method, rows, take_request, usage};
use crate::domain::origin::{IngestionSource, Wish};
use crate::domain::records::{Failure, Ingestion, IngestionState, StagedDocument};
use crate::domain::stages::{Allowance, IngestionDocument, Stage};
use crate::ports::{
    Created, Finish, Finished, IngestionFilter, IngestionStore, Item, Job, NewIngestion, RequestKey, Retry,
};

/// Most failures that an ingestion shows: an answer must stay below the size limit of a message.
const SHOWN: u32 = 1000;

#[async_trait]
impl IngestionStore for DatabaseStore {
    async fn ingestion_of_request(
        &self,
        tenant: TenantId,
        request_id: &str,
    ) -> Result<Option<(String, Ingestion)>, StoreError> {
        let sql = "SELECT r.fingerprint, i.* FROM request r
            JOIN ingestion i ON i.tenant = r.tenant AND i.ingestion_id = r.resource_id
            WHERE r.tenant = $1 AND r.method = $2 AND r.request_id = $3";
        let values = params![tenant.to_string(), method::INGEST, request_id];
        let Some(row) = self.database.query_opt(sql, &values).await? else { return Ok(None) };
        let ingestion = self.with_failures(tenant, rows::ingestion(&row)?).await?;
        Ok(Some((row.get("fingerprint")?, ingestion)))
    }

    async fn stage(
        &self,
        tenant: TenantId,
        id: IngestionId,
        documents: &[StagedDocument],
        time: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        for document in documents {
            tx.execute(STAGE, &item_row(tenant, id, document, time)).await?;
        }
        tx.commit().await
    }

    async fn abandon(&self, tenant: TenantId, id: IngestionId) -> Result<(), StoreError> {
        let sql = "DELETE FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2
            AND NOT EXISTS (SELECT 1 FROM ingestion WHERE tenant = $1 AND ingestion_id = $2)";
        self.database.execute(sql, &params![tenant.to_string(), id.to_string()]).await?;
        Ok(())
    }

    async fn commit(
        &self,
        tenant: TenantId,
        new: &NewIngestion,
        request: &RequestKey,
        allowance: &Allowance,
    ) -> Result<Created<Ingestion>, StoreError> {
        let id = new.id.to_string();
        let mut tx = self.database.begin().await?;
        if !knowledge_base_exists(&mut tx, tenant, new).await? {
            return Ok(Created::NoKnowledgeBase);
        }
        if let Some((fingerprint, resource)) =
            take_request(&mut tx, tenant, method::INGEST, request, &id).await?
        {
            tx.rollback().await?;
            if fingerprint != request.fingerprint {
                return Ok(Created::Reused);
            }
            let before = resource.parse().ok();
            let before = match before {
                Some(id) => self.ingestion(tenant, id).await?,
                None => None,
            };
            return Ok(before.map_or(Created::NoKnowledgeBase, Created::Before));
        }
        if let Some(over) = usage::check(&mut tx, tenant, new, allowance).await? {
            tx.rollback().await?;
            return Ok(Created::OverQuota(over));
        }
        let ingestion = queued(new);
        tx.execute(INSERT, &ingestion_row(tenant, new)).await?;
        tx.commit().await?;
        Ok(Created::New(ingestion))
    }

    async fn ingestion(&self, tenant: TenantId, id: IngestionId) -> Result<Option<Ingestion>, StoreError> {
        let sql = "SELECT * FROM ingestion WHERE tenant = $1 AND ingestion_id = $2";
        let row = self.database.query_opt(sql, &params![tenant.to_string(), id.to_string()]).await?;
        match row {
            Some(row) => self.with_failures(tenant, rows::ingestion(&row)?).await.map(Some),
            None => Ok(None),
        }
    }

    async fn ingestions(
        &self,
        tenant: TenantId,
        filter: IngestionFilter,
        before: Option<IngestionId>,
        limit: u32,
    ) -> Result<Vec<Ingestion>, StoreError> {
        let sql = "SELECT * FROM ingestion WHERE tenant = $1 AND ($2 = '' OR knowledge_base_id = $2)
              AND ($3 = '' OR state = $3) AND ($4 = '' OR ingestion_id COLLATE \"C\" < $4)
            ORDER BY ingestion_id COLLATE \"C\" DESC LIMIT $5";
        let text = |id: Option<String>| id.unwrap_or_default();
        let values = params![
            tenant.to_string(),
            text(filter.knowledge_base.map(|id| id.to_string())),
            filter.state.map_or("", IngestionState::word),
            text(before.map(|id| id.to_string())),
            limit,
        ];
        self.database.query(sql, &values).await?.iter().map(rows::ingestion).collect()
    }

    async fn ingestion_documents(
        &self,
        tenant: TenantId,
        id: IngestionId,
        state: Option<Stage>,
        from: u32,
        limit: u32,
    ) -> Result<Vec<IngestionDocument>, StoreError> {
        items::list(&self.database, tenant, id, state, from, limit).await
    }

    async fn changed_documents(
        &self,
        tenant: TenantId,
        id: IngestionId,
        changes: RangeInclusive<u64>,
        limit: u32,
    ) -> Result<Vec<IngestionDocument>, StoreError> {
        items::changed(&self.database, tenant, id, changes, limit).await
    }

    async fn cancel(
        &self,
        tenant: TenantId,
        id: IngestionId,
        now: i64,
    ) -> Result<Option<Ingestion>, StoreError> {
        if ends::cancel(&self.database, tenant, id, now).await? {
            return self.ingestion(tenant, id).await;
        }
        Ok(None)
    }

    async fn retry(
        &self,
        tenant: TenantId,
        retry: &Retry,
        request: &RequestKey,
    ) -> Result<Created<Ingestion>, StoreError> {
        match ends::retry(&self.database, tenant, retry, request).await? {
            Retried::Reused => Ok(Created::Reused),
            Retried::Absent => Ok(Created::NoKnowledgeBase),
            Retried::Yes => {
                let now = self.ingestion(tenant, retry.id).await?;
                Ok(now.map_or(Created::NoKnowledgeBase, Created::Before))
            }
        }
    }

    async fn expire(&self, ended_before: i64, limit: u32) -> Result<u32, StoreError> {
        ends::expire(&self.database, ended_before, limit).await
    }

    async fn recover(&self, started: i64, stale: i64) -> Result<(), StoreError> {
        // SQLite's data folder is locked by this process: what is older than it, or leased, is of one that is gone.
        let alone = self.database.dialect() == Dialect::Sqlite;
        let sql = "DELETE FROM ingestion_item WHERE stage_time < $1 AND NOT EXISTS (SELECT 1 FROM ingestion i
            WHERE i.tenant = ingestion_item.tenant AND i.ingestion_id = ingestion_item.ingestion_id)";
        self.database.execute(sql, &params![if alone { started } else { stale }]).await?;
        if alone {
            self.database
                .execute("UPDATE ingestion SET lease_until = 0 WHERE finish_time IS NULL", &[])
                .await?;
        }
        Ok(())
    }

    async fn claim(&self, now: i64, lease_until: i64, busy: &[TenantId]) -> Result<Option<Job>, StoreError> {
        jobs::claim(&self.database, now, lease_until, busy).await
    }

    async fn next_item(&self, job: &Job) -> Result<Option<Item>, StoreError> {
        jobs::next_item(&self.database, job).await
    }

    async fn begin_suspect(&self, job: &Job, ordinal: u32) -> Result<bool, StoreError> {
        jobs::begin_suspect(&self.database, job, ordinal).await
    }

    async fn renew(&self, job: &Job, stage: Stage, lease_until: i64) -> Result<bool, StoreError> {
        jobs::renew(&self.database, job, stage, lease_until).await
    }

    async fn finish_item(&self, job: &Job, finish: Finish<'_>) -> Result<Finished, StoreError> {
        jobs::finish_item(&self.database, job, finish).await
    }

    async fn give_way(&self, job: &Job, now: i64) -> Result<bool, StoreError> {
        jobs::give_way(&self.database, job, now).await
    }

    async fn release(&self, job: &Job, now: i64) -> Result<(), StoreError> {
        jobs::release(&self.database, job, now).await.map(|_| ())
    }

    async fn finish_job(&self, job: &Job, now: i64) -> Result<bool, StoreError> {
        jobs::finish_job(&self.database, job, now).await
    }
}

impl DatabaseStore {
    async fn with_failures(
        &self,
        tenant: TenantId,
        mut ingestion: Ingestion,
    ) -> Result<Ingestion, StoreError> {
        if ingestion.failed == 0 {
            return Ok(ingestion);
        }
        let sql = "SELECT key, reason, message FROM ingestion_item
            WHERE tenant = $1 AND ingestion_id = $2 AND state IN ('failed', 'poisoned') ORDER BY ordinal LIMIT $3";
        let values = params![tenant.to_string(), ingestion.id.to_string(), SHOWN];
        for row in self.database.query(sql, &values).await? {
            let (key, reason, message) = (row.get("key")?, row.get("reason")?, row.get("message")?);
            ingestion.failures.push(Failure { key, reason, message });
        }
        Ok(ingestion)
    }
}

pub(super) const STAGE: &str =
    "INSERT INTO ingestion_item (tenant, ingestion_id, ordinal, state, key, title, format,
    source_kind, content_type, content_hash, content, size_bytes, reason, message, stage_time, update_time,
    attributes, source_uri)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', '', $13, $13, $14, $15)";

pub(super) fn item_row(
    tenant: TenantId,
    id: IngestionId,
    document: &StagedDocument,
    time: i64,
) -> Vec<Value> {
    params![
        tenant.to_string(),
        id.to_string(),
        document.ordinal,
        Stage::Waiting.word(),
        &document.key,
        &document.title,
        document.format.word(),
        document.source_kind.word(),
        document.content_type.word(),
        &document.content_hash,
        &document.content[..],
        rows::size(document.content.len()),
        time,
        document.attributes.json(),
        &document.source_uri,
    ]
    .to_vec()
}

const INSERT: &str = "INSERT INTO ingestion (tenant, ingestion_id, knowledge_base_id, state, documents_total,
    bytes_total, documents_done, documents_unchanged, chunks_written, create_time, delegation, fence, lease_until,
    source_kind, source_name, source_spec, source_content_type, source_mirror, source_state)
    VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, $7, $8, 0, 0, $9, $10, $11, $12, $13, $14)";

fn ingestion_row(tenant: TenantId, new: &NewIngestion) -> Vec<Value> {
    let wish = new.source.as_ref().map(|(wish, _)| wish);
    let said = |what: fn(&Wish) -> &str| wish.map(what).unwrap_or_default();
    params![
        tenant.to_string(),
        new.id.to_string(),
        new.knowledge_base.to_string(),
        IngestionState::Queued.word(),
        new.documents,
        rows::int(new.bytes),
        new.time,
        &new.delegation,
        said(|wish| &wish.kind),
        said(|wish| &wish.name),
        said(|wish| &wish.spec),
        said(|wish| wish.content_type.word()),
        i64::from(wish.is_some_and(|wish| wish.mirror)),
        new.source.as_ref().map_or("", |(_, state)| state.word()),
    ]
    .to_vec()
}

/// The knowledge base is held until the commit, so that a concurrent deletion sees the ingestion or comes first.
async fn knowledge_base_exists(
    tx: &mut Tx,
    tenant: TenantId,
    new: &NewIngestion,
) -> Result<bool, StoreError> {
    let lock = tx.dialect().for_update();
    let sql =
        format!("SELECT version FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id = $2{lock}");
    let found = tx.query_opt(sql, &params![tenant.to_string(), new.knowledge_base.to_string()]).await?;
    Ok(found.is_some())
}

fn queued(new: &NewIngestion) -> Ingestion {
    Ingestion {
        id: new.id,
        knowledge_base: new.knowledge_base,
        state: IngestionState::Queued,
        total: new.documents,
        done: 0,
        unchanged: 0,
        failed: 0,
        cancelled: 0,
        bytes_total: new.bytes,
        bytes_done: 0,
        changes: 0,
        at: None,
        chunks: 0,
        failures: Vec::new(),
        create_time: new.time,
        finish_time: None,
        source: new.source.as_ref().map(|(wish, state)| IngestionSource {
            kind: wish.kind.clone(),
            name: wish.name.clone(),
            state: *state,
            deleted: 0,
        }),
    }
}
