//! What the worker does to rows. Every write checks the fence under a lock on the ingestion's row.

use copydesk_store::{Database, StoreError, Tx, params};

use super::documents::Write;
use super::ingestions::item;
use super::rows;
use crate::domain::records::{IngestionState, StagedDocument};
use crate::ports::{Item, ItemOutcome, Job};

pub(super) async fn claim(
    database: &Database,
    now: i64,
    lease_until: i64,
) -> Result<Option<Job>, StoreError> {
    // Looking first costs a read; claiming straight away would take the writer at every idle turn.
    let waiting = "SELECT 1 AS one FROM ingestion WHERE finish_time IS NULL AND lease_until < $1 LIMIT 1";
    if database.query_opt(waiting, &params![now]).await?.is_none() {
        return Ok(None);
    }
    let mut tx = database.begin().await?;
    // The latest lease of any of a tenant's ingestions tells when the tenant was served: it lies ahead while a worker
    // serves it, and is set to the moment at which the worker let go.
    let oldest = format!(
        "SELECT tenant, ingestion_id FROM ingestion WHERE finish_time IS NULL AND lease_until < $1
         ORDER BY (SELECT MAX(own.lease_until) FROM ingestion own WHERE own.tenant = ingestion.tenant),
            create_time, ingestion_id LIMIT 1{}",
        tx.dialect().for_update_skip_locked()
    );
    let Some(row) = tx.query_opt(oldest, &params![now]).await? else { return Ok(None) };
    let (tenant, id) = (row.get::<String>("tenant")?, row.get::<String>("ingestion_id")?);
    let take = "UPDATE ingestion SET state = $3, fence = fence + 1, lease_until = $4
        WHERE tenant = $1 AND ingestion_id = $2
        RETURNING tenant, ingestion_id, knowledge_base_id, delegation, fence";
    let row = tx.query_opt(take, &params![tenant, id, IngestionState::Running.word(), lease_until]).await?;
    tx.commit().await?;
    row.map(|row| {
        Ok(Job {
            tenant: rows::parsed(&row, "tenant")?,
            id: rows::parsed(&row, "ingestion_id")?,
            knowledge_base: rows::parsed(&row, "knowledge_base_id")?,
            delegation: row.get("delegation")?,
            fence: row.get("fence")?,
        })
    })
    .transpose()
}

pub(super) async fn next_item(database: &Database, job: &Job) -> Result<Option<Item>, StoreError> {
    let sql = "SELECT i.*, d.content_hash AS current_hash FROM ingestion_item i
        LEFT JOIN document d ON d.tenant = i.tenant AND d.knowledge_base_id = $3 AND d.key = i.key
        WHERE i.tenant = $1 AND i.ingestion_id = $2 AND i.state = $4 ORDER BY i.ordinal LIMIT 1";
    let values =
        params![job.tenant.to_string(), job.id.to_string(), job.knowledge_base.to_string(), item::WAITING];
    let Some(row) = database.query_opt(sql, &values).await? else { return Ok(None) };
    let staged = StagedDocument {
        ordinal: row.get("ordinal")?,
        key: row.get("key")?,
        title: row.get("title")?,
        format: rows::format(&row)?,
        source_kind: rows::source_kind(&row)?,
        content_type: rows::content_type(&row)?,
        content: row.get::<Vec<u8>>("content")?.into(),
        content_hash: row.get("content_hash")?,
    };
    Ok(Some(Item { staged, current_hash: row.get("current_hash")? }))
}

pub(super) async fn finish_item(
    database: &Database,
    job: &Job,
    staged: &StagedDocument,
    outcome: &ItemOutcome,
    now: i64,
    lease_until: i64,
) -> Result<bool, StoreError> {
    let mut tx = database.begin().await?;
    // Writers of one knowledge base come one after the other, and a deletion of it comes before or after this.
    let (tenant, knowledge_base) = (job.tenant.to_string(), job.knowledge_base.to_string());
    if !holds(&mut tx, job).await? {
        return Ok(false);
    }
    let mut written = None;
    if let ItemOutcome::Indexed { new_id, title, format, text, pages, passages } = outcome {
        let (tenant, knowledge_base, new_id) = (&tenant, &knowledge_base, *new_id);
        let format = *format;
        let write =
            Write { tenant, knowledge_base, new_id, staged, title, format, text, pages, passages, now };
        written = write.run(&mut tx).await?;
    }
    let (state, reason, message) = match outcome {
        ItemOutcome::Failed { reason, message } => (item::FAILED, *reason, message.as_str()),
        ItemOutcome::Unchanged | ItemOutcome::Indexed { .. } => (item::DONE, "", ""),
    };
    let done = i64::from(written.is_some());
    let unchanged = i64::from(state == item::DONE) - done;
    let (id, chunks) = (job.id.to_string(), written.unwrap_or(0));
    tx.execute(CLOSE_ITEM, &params![&tenant, &id, staged.ordinal, state, reason, message]).await?;
    tx.execute(COUNT, &params![&tenant, &id, done, unchanged, chunks, lease_until]).await?;
    tx.commit().await?;
    Ok(true)
}

pub(super) async fn give_way(database: &Database, job: &Job, now: i64) -> Result<bool, StoreError> {
    let waiting = "SELECT 1 AS one FROM ingestion
        WHERE finish_time IS NULL AND lease_until < $1 AND tenant <> $2 LIMIT 1";
    if database.query_opt(waiting, &params![now, job.tenant.to_string()]).await?.is_none() {
        return Ok(false);
    }
    let mut tx = database.begin().await?;
    // The fence grows here too: whoever gave the job back writes nothing more.
    let give = "UPDATE ingestion SET lease_until = $3, fence = fence + 1
        WHERE tenant = $1 AND ingestion_id = $2 AND fence = $4 AND finish_time IS NULL";
    let values = params![job.tenant.to_string(), job.id.to_string(), now - 1, job.fence];
    let given = tx.execute(give, &values).await? == 1;
    tx.commit().await?;
    Ok(given)
}

pub(super) async fn finish_job(database: &Database, job: &Job, now: i64) -> Result<bool, StoreError> {
    let mut tx = database.begin().await?;
    if !holds(&mut tx, job).await? {
        return Ok(false);
    }
    let (tenant, id) = (job.tenant.to_string(), job.id.to_string());
    let failed = "SELECT 1 AS one FROM ingestion_item
        WHERE tenant = $1 AND ingestion_id = $2 AND state = $3 LIMIT 1";
    let failed = tx.query_opt(failed, &params![&tenant, &id, item::FAILED]).await?.is_some();
    let state = if failed { IngestionState::Failed } else { IngestionState::Succeeded };
    let clean = "DELETE FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2 AND state <> $3";
    tx.execute(clean, &params![&tenant, &id, item::FAILED]).await?;
    let end = "UPDATE ingestion SET state = $3, finish_time = $4, lease_until = $4
        WHERE tenant = $1 AND ingestion_id = $2";
    tx.execute(end, &params![&tenant, &id, state.word(), now]).await?;
    tx.commit().await?;
    Ok(true)
}

/// The bytes go with the item's work: a finished upload takes no room twice.
const CLOSE_ITEM: &str = "UPDATE ingestion_item SET state = $4, reason = $5, message = $6, content = NULL
    WHERE tenant = $1 AND ingestion_id = $2 AND ordinal = $3";

const COUNT: &str = "UPDATE ingestion SET documents_done = documents_done + $3,
    documents_unchanged = documents_unchanged + $4, chunks_written = chunks_written + $5, lease_until = $6
    WHERE tenant = $1 AND ingestion_id = $2";

/// Locks the knowledge base, then the ingestion, in the order in which every transaction here takes them, and tells
/// whether this worker still holds the job.
async fn holds(tx: &mut Tx, job: &Job) -> Result<bool, StoreError> {
    let lock = tx.dialect().for_update();
    let (tenant, id) = (job.tenant.to_string(), job.id.to_string());
    let sql =
        format!("SELECT version FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id = $2{lock}");
    if tx.query_opt(sql, &params![&tenant, job.knowledge_base.to_string()]).await?.is_none() {
        return Ok(false);
    }
    let sql = format!("SELECT fence FROM ingestion WHERE tenant = $1 AND ingestion_id = $2{lock}");
    let row = tx.query_opt(sql, &params![&tenant, &id]).await?;
    Ok(row.map(|row| row.get::<i64>("fence")).transpose()? == Some(job.fence))
}
