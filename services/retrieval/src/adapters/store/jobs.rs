//! What the worker does to rows. Every write checks the fence under a lock on the ingestion's row.

use copydesk_store::{Database, StoreError, Tx, Value, params};
use copydesk_types::TenantId;

use super::documents::{self, Put, Write};
use super::items::{self, Close};
use super::{rows, sources, usage};
use crate::domain::reading::{NO_MODEL, Path};
use crate::domain::records::{IngestionState, StagedDocument, reason};
use crate::domain::stages::{LOSSES, OverQuota, Stage};
use crate::ports::{Finish, Finished, Item, ItemOutcome, Job};

pub(super) async fn claim(
    database: &Database,
    now: i64,
    lease_until: i64,
    busy: &[TenantId],
) -> Result<Option<Job>, StoreError> {
    let free = free_jobs(busy.len());
    let mut values: Vec<Value> = vec![now.into()];
    values.extend(busy.iter().map(|tenant| Value::from(tenant.to_string())));
    // Looking first costs a read; claiming straight away would take the writer at every idle turn.
    let waiting = format!("SELECT 1 AS one FROM ingestion i WHERE {free} LIMIT 1");
    if database.query_opt(waiting, &values).await?.is_none() {
        return Ok(None);
    }
    let mut tx = database.begin().await?;
    // The latest lease of any of a tenant's ingestions tells when the tenant was served: it lies ahead while a worker
    // serves it, and is set to the moment at which the worker let go.
    let oldest = format!(
        "SELECT i.tenant, i.ingestion_id, i.at_ordinal FROM ingestion i WHERE {free}
         ORDER BY (SELECT MAX(own.lease_until) FROM ingestion own WHERE own.tenant = i.tenant),
            i.create_time, i.ingestion_id LIMIT 1{}",
        tx.dialect().for_update_skip_locked()
    );
    let Some(row) = tx.query_opt(oldest, &values).await? else { return Ok(None) };
    let (tenant, id) = (row.get::<String>("tenant")?, row.get::<String>("ingestion_id")?);
    if let Some(ordinal) = row.get::<Option<u32>>("at_ordinal")? {
        lose(&mut tx, &tenant, &id, ordinal, now).await?;
    }
    let row = tx.query_opt(TAKE, &params![tenant, id, IngestionState::Running.word(), lease_until]).await?;
    tx.commit().await?;
    row.as_ref().map(job).transpose()
}

/// Ingestions that may be taken at `$1`, of tenants other than `$2` and on: those before them in their knowledge base
/// have ended, so that the later of two uploads of a document is the one that stays.
fn free_jobs(busy: usize) -> String {
    let others = match busy {
        0 => String::new(),
        n => format!(" AND i.tenant NOT IN ({})", copydesk_store::placeholders(2, n)),
    };
    format!(
        "i.finish_time IS NULL AND i.lease_until < $1{others} AND NOT EXISTS (SELECT 1 FROM ingestion e
            WHERE e.tenant = i.tenant AND e.knowledge_base_id = i.knowledge_base_id AND e.finish_time IS NULL
              AND (e.create_time < i.create_time
                OR (e.create_time = i.create_time AND e.ingestion_id < i.ingestion_id)))"
    )
}

/// The first document that waits, unless its work was lost before: that one is noted when it is begun.
const TAKE: &str = "UPDATE ingestion SET state = $3, fence = fence + 1, lease_until = $4, at_stage = '',
      source_attempts = source_attempts + CASE WHEN source_state = 'fetching' THEN 1 ELSE 0 END,
      at_ordinal = CASE WHEN source_state = 'fetching' THEN NULL ELSE
        (SELECT MIN(ordinal) FROM ingestion_item w WHERE w.tenant = $1 AND w.ingestion_id = $2
          AND w.state = 'waiting' AND w.lost = 0) END
    WHERE tenant = $1 AND ingestion_id = $2
    RETURNING tenant, ingestion_id, knowledge_base_id, create_time, delegation, fence, source_kind, source_name,
      source_spec, source_content_type, source_mirror, source_state, source_cursor, source_attempts, documents_total,
      bytes_total";

fn job(row: &copydesk_store::Row) -> Result<Job, StoreError> {
    Ok(Job {
        tenant: rows::parsed(row, "tenant")?,
        id: rows::parsed(row, "ingestion_id")?,
        knowledge_base: rows::parsed(row, "knowledge_base_id")?,
        create_time: row.get("create_time")?,
        delegation: row.get("delegation")?,
        fence: row.get("fence")?,
        source: sources::of_job(row)?,
    })
}

/// The holder of the job was lost while it was at this document.
async fn lose(tx: &mut Tx, tenant: &str, id: &str, ordinal: u32, now: i64) -> Result<(), StoreError> {
    let find = "SELECT i.changes, w.lost, w.size_bytes FROM ingestion i JOIN ingestion_item w
          ON w.tenant = i.tenant AND w.ingestion_id = i.ingestion_id
        WHERE i.tenant = $1 AND i.ingestion_id = $2 AND w.ordinal = $3 AND w.state = $4";
    let values = params![tenant, id, ordinal, Stage::Waiting.word()];
    let Some(row) = tx.query_opt(find, &values).await? else { return Ok(()) };
    let poisoned = row.get::<u32>("lost")? + 1 >= LOSSES;
    let close = Close {
        tenant,
        id,
        ordinal,
        change: row.get::<i64>("changes")? + 1,
        stage: if poisoned { Stage::Poisoned } else { Stage::Waiting },
        reason: reason::LOST,
        message: "the process ended while it was at work on this document",
        lost: true,
        document: "",
        chunks: 0,
        now,
    };
    close.run(tx).await?;
    items::count(tx, tenant, id, close.stage, row.get("size_bytes")?, 0).await
}

pub(super) async fn next_item(database: &Database, job: &Job) -> Result<Option<Item>, StoreError> {
    let sql = "SELECT i.*, CASE WHEN i.title <> '' AND i.title <> d.title AND k.embedder <> ''
          THEN NULL ELSE d.content_hash END AS current_hash,
          CAST(CASE WHEN EXISTS (SELECT 1 FROM document_page p WHERE p.tenant = d.tenant
            AND p.document_id = d.document_id AND p.path = $5 AND p.picture_hash = '' AND p.reasons LIKE $6)
            THEN 1 ELSE 0 END AS BIGINT) AS waits_for_model
        FROM ingestion_item i
        LEFT JOIN document d ON d.tenant = i.tenant AND d.knowledge_base_id = $3 AND d.key = i.key
        LEFT JOIN knowledge_base k ON k.tenant = i.tenant AND k.knowledge_base_id = $3
        WHERE i.tenant = $1 AND i.ingestion_id = $2 AND i.state = $4 ORDER BY i.lost, i.ordinal LIMIT 1";
    let (tenant, id) = (job.tenant.to_string(), job.id.to_string());
    let unread = format!("%{NO_MODEL}%");
    let values =
        params![tenant, id, job.knowledge_base.to_string(), Stage::Waiting.word(), Path::Ocr.word(), unread];
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
        attributes: rows::attributes(&row)?,
        source_uri: row.get("source_uri")?,
    };
    Ok(Some(Item {
        staged,
        lost: row.get("lost")?,
        current_hash: row.get("current_hash")?,
        waits_for_model: row.get("waits_for_model")?,
    }))
}

pub(super) async fn finish_item(
    database: &Database,
    job: &Job,
    finish: Finish<'_>,
) -> Result<Finished, StoreError> {
    let mut tx = database.begin().await?;
    // Writers of one knowledge base come one after the other, and a deletion of it comes before or after this.
    let Some(changes) = holds(&mut tx, job).await? else { return Ok(Finished::NotHeld) };
    if let ItemOutcome::Indexed { embedder, .. } = finish.outcome
        && embedder_of(&mut tx, job).await? != *embedder
    {
        return Ok(Finished::EmbedderChanged);
    }
    let end = match finish.outcome {
        ItemOutcome::Indexed { .. } => match store(&mut tx, job, finish).await? {
            Ok(end) => end,
            Err(over) => {
                tx.rollback().await?;
                return Ok(Finished::OverQuota(over));
            }
        },
        ItemOutcome::Unchanged => described(&mut tx, job, finish.item).await?,
        ItemOutcome::Failed { reason, message } => End { reason, message, ..End::of(Stage::Failed) },
        ItemOutcome::Lost { reason, message } => {
            let lost = lost(&mut tx, job, finish.item.ordinal).await? + 1;
            let stage = if lost >= LOSSES { Stage::Poisoned } else { Stage::Waiting };
            End { reason, message, lost: true, ..End::of(stage) }
        }
    };
    let (tenant, id) = (job.tenant.to_string(), job.id.to_string());
    let document = match end.stage {
        Stage::Unchanged => current(&mut tx, job, &finish.item.key).await?,
        _ => end.document,
    };
    let close = Close {
        tenant: &tenant,
        id: &id,
        ordinal: finish.item.ordinal,
        change: changes + 1,
        stage: end.stage,
        reason: end.reason,
        message: end.message,
        lost: end.lost,
        document: &document,
        chunks: end.chunks,
        now: finish.now,
    };
    close.run(&mut tx).await?;
    items::count(&mut tx, &tenant, &id, end.stage, rows::size(finish.item.content.len()), end.chunks).await?;
    tx.execute(ADVANCE, &params![&tenant, &id, finish.lease_until]).await?;
    tx.commit().await?;
    Ok(Finished::Written)
}

/// How an item ends.
struct End<'a> {
    stage: Stage,
    reason: &'a str,
    message: &'a str,
    lost: bool,
    document: String,
    chunks: i64,
}

impl End<'_> {
    const fn of(stage: Stage) -> Self {
        Self { stage, reason: "", message: "", lost: false, document: String::new(), chunks: 0 }
    }
}

/// Writes what is said of a document whose bytes are stored already.
async fn described(tx: &mut Tx, job: &Job, item: &StagedDocument) -> Result<End<'static>, StoreError> {
    let (tenant, knowledge_base) = (job.tenant.to_string(), job.knowledge_base.to_string());
    let described = documents::describe(tx, &tenant, &knowledge_base, item, job.create_time).await?;
    Ok(described.map_or(End::of(Stage::Unchanged), |document| End { document, ..End::of(Stage::Done) }))
}

/// Writes a document's rows, or says which quota they would exceed.
async fn store(
    tx: &mut Tx,
    job: &Job,
    finish: Finish<'_>,
) -> Result<Result<End<'static>, OverQuota>, StoreError> {
    let ItemOutcome::Indexed { new_id, title, format, text, original, pages, passages, terms, .. } =
        finish.outcome
    else {
        return Ok(Ok(End::of(Stage::Unchanged)));
    };
    let (tenant, knowledge_base) = (job.tenant.to_string(), job.knowledge_base.to_string());
    let write = Write {
        tenant: &tenant,
        knowledge_base: &knowledge_base,
        new_id: *new_id,
        staged: finish.item,
        title,
        format: *format,
        text,
        original: original.as_ref(),
        pages,
        passages,
        terms: Some(terms),
        upload_time: job.create_time,
        now: finish.now,
    };
    Ok(Ok(match write.run(tx).await? {
        Put::Same => End::of(Stage::Unchanged),
        Put::Described(id) => End { document: id, ..End::of(Stage::Done) },
        Put::Superseded => End {
            reason: reason::SUPERSEDED,
            message: "a later upload has stored this key",
            ..End::of(Stage::Unchanged)
        },
        Put::Written { id, growth, chunks } => {
            if let Some(over) = usage::add(tx, &tenant, growth, finish.allowance).await? {
                return Ok(Err(over));
            }
            End { document: id, chunks, ..End::of(Stage::Done) }
        }
    }))
}

async fn lost(tx: &mut Tx, job: &Job, ordinal: u32) -> Result<u32, StoreError> {
    let sql = "SELECT lost FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2 AND ordinal = $3";
    let row = tx.query_opt(sql, &params![job.tenant.to_string(), job.id.to_string(), ordinal]).await?;
    row.map_or(Ok(0), |row| row.get("lost"))
}

/// The id of the document that has a key, or nothing.
async fn current(tx: &mut Tx, job: &Job, key: &str) -> Result<String, StoreError> {
    let sql = "SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2 AND key = $3";
    let values = params![job.tenant.to_string(), job.knowledge_base.to_string(), key];
    let row = tx.query_opt(sql, &values).await?;
    row.map_or_else(|| Ok(String::new()), |row| row.get("document_id"))
}

/// The holder goes on to the next document, as `TAKE` has it begin.
const ADVANCE: &str = "UPDATE ingestion SET lease_until = $3, at_stage = '',
      at_ordinal = (SELECT MIN(ordinal) FROM ingestion_item w WHERE w.tenant = $1 AND w.ingestion_id = $2
        AND w.state = 'waiting' AND w.lost = 0)
    WHERE tenant = $1 AND ingestion_id = $2";

pub(super) async fn begin_suspect(database: &Database, job: &Job, ordinal: u32) -> Result<bool, StoreError> {
    let sql = "UPDATE ingestion SET at_ordinal = $4, at_stage = ''
        WHERE tenant = $1 AND ingestion_id = $2 AND fence = $3 AND finish_time IS NULL";
    let values = params![job.tenant.to_string(), job.id.to_string(), job.fence, ordinal];
    Ok(database.execute(sql, &values).await? == 1)
}

pub(super) async fn renew(
    database: &Database,
    job: &Job,
    stage: Stage,
    lease_until: i64,
) -> Result<bool, StoreError> {
    let sql = "UPDATE ingestion SET lease_until = $4, at_stage = $5
        WHERE tenant = $1 AND ingestion_id = $2 AND fence = $3 AND finish_time IS NULL";
    let values = params![job.tenant.to_string(), job.id.to_string(), job.fence, lease_until, stage.word()];
    Ok(database.execute(sql, &values).await? == 1)
}

pub(super) async fn give_way(database: &Database, job: &Job, now: i64) -> Result<bool, StoreError> {
    let waiting = format!("SELECT 1 AS one FROM ingestion i WHERE {} LIMIT 1", free_jobs(1));
    if database.query_opt(waiting, &params![now, job.tenant.to_string()]).await?.is_none() {
        return Ok(false);
    }
    release(database, job, now).await
}

/// The fence grows here too: whoever gave the job back writes nothing more.
pub(super) async fn release(database: &Database, job: &Job, now: i64) -> Result<bool, StoreError> {
    let give = "UPDATE ingestion SET lease_until = $3, fence = fence + 1, at_ordinal = NULL, at_stage = '',
          source_attempts = CASE WHEN source_attempts > 0 THEN source_attempts - 1 ELSE 0 END
        WHERE tenant = $1 AND ingestion_id = $2 AND fence = $4 AND finish_time IS NULL";
    let values = params![job.tenant.to_string(), job.id.to_string(), now - 1, job.fence];
    Ok(database.execute(give, &values).await? == 1)
}

pub(super) async fn finish_job(database: &Database, job: &Job, now: i64) -> Result<bool, StoreError> {
    let mut tx = database.begin().await?;
    if holds(&mut tx, job).await?.is_none() {
        return Ok(false);
    }
    let end = "UPDATE ingestion SET state = CASE WHEN documents_failed > 0 THEN $3 ELSE $4 END,
          finish_time = $5, lease_until = $5, at_ordinal = NULL, at_stage = ''
        WHERE tenant = $1 AND ingestion_id = $2";
    let (failed, succeeded) = (IngestionState::Failed.word(), IngestionState::Succeeded.word());
    let values = params![job.tenant.to_string(), job.id.to_string(), failed, succeeded, now];
    tx.execute(end, &values).await?;
    tx.commit().await?;
    Ok(true)
}

/// The embedder of the job's knowledge base, whose row is locked.
async fn embedder_of(tx: &mut Tx, job: &Job) -> Result<String, StoreError> {
    let sql = "SELECT embedder FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id = $2";
    let row = tx.query_opt(sql, &params![job.tenant.to_string(), job.knowledge_base.to_string()]).await?;
    row.map_or(Ok(String::new()), |row| row.get("embedder"))
}

/// Locks the knowledge base, then the ingestion, in the order in which every transaction here takes them. Its count of
/// changes if this worker still holds the job.
pub(super) async fn holds(tx: &mut Tx, job: &Job) -> Result<Option<i64>, StoreError> {
    let lock = tx.dialect().for_update();
    let (tenant, id) = (job.tenant.to_string(), job.id.to_string());
    let sql =
        format!("SELECT version FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id = $2{lock}");
    if tx.query_opt(sql, &params![&tenant, job.knowledge_base.to_string()]).await?.is_none() {
        return Ok(None);
    }
    let sql = format!("SELECT fence, changes FROM ingestion WHERE tenant = $1 AND ingestion_id = $2{lock}");
    let Some(row) = tx.query_opt(sql, &params![&tenant, &id]).await? else { return Ok(None) };
    Ok(if row.get::<i64>("fence")? == job.fence { Some(row.get("changes")?) } else { None })
}
