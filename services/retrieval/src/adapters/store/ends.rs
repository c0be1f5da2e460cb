//! Ends and second beginnings of ingestions: cancelled, tried again, expired. Each takes the knowledge base's row first
//! and the ingestion's second, as the worker does.

use copydesk_store::{Database, Row, StoreError, Tx, Value, params};
use copydesk_types::{IngestionId, TenantId};

use super::{method, rows, take_request};
use crate::domain::origin::SourceState;
use crate::domain::records::IngestionState;
use crate::domain::stages::Stage;
use crate::ports::{RequestKey, Retry};

/// What became of a retry.
pub(super) enum Retried {
    /// It is done, now or by the same request before.
    Yes,
    /// The request id belongs to another ingestion.
    Reused,
    /// There is no such ingestion.
    Absent,
}

/// False when there is no such ingestion.
pub(super) async fn cancel(
    database: &Database,
    tenant: TenantId,
    id: IngestionId,
    now: i64,
) -> Result<bool, StoreError> {
    let mut tx = database.begin().await?;
    let Some(row) = locked(&mut tx, tenant, id).await? else { return Ok(false) };
    if row.get::<Option<i64>>("finish_time")?.is_some() {
        return Ok(true);
    }
    let (tenant, id) = (tenant.to_string(), id.to_string());
    let changes: i64 = row.get("changes")?;
    let waiting = "SELECT COUNT(*) AS documents, CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes
        FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2 AND state = 'waiting'";
    let waiting = tx.query_opt(waiting, &params![&tenant, &id]).await?;
    let (documents, bytes) = match waiting {
        Some(row) => (row.get::<i64>("documents")?, row.get::<i64>("bytes")?),
        None => (0, 0),
    };
    let items = "UPDATE ingestion_item SET state = $3, change = $4, update_time = $5
        WHERE tenant = $1 AND ingestion_id = $2 AND state = 'waiting'";
    tx.execute(items, &params![&tenant, &id, Stage::Cancelled.word(), changes + 1, now]).await?;
    let end = "UPDATE ingestion SET state = $3, finish_time = $4, lease_until = $4, fence = fence + 1,
          at_ordinal = NULL, at_stage = '', changes = changes + 1,
          documents_cancelled = documents_cancelled + $5, bytes_done = bytes_done + $6
        WHERE tenant = $1 AND ingestion_id = $2";
    let cancelled = IngestionState::Cancelled.word();
    tx.execute(end, &params![&tenant, &id, cancelled, now, documents, bytes]).await?;
    tx.commit().await?;
    Ok(true)
}

pub(super) async fn retry(
    database: &Database,
    tenant: TenantId,
    retry: &Retry,
    request: &RequestKey,
) -> Result<Retried, StoreError> {
    let mut tx = database.begin().await?;
    let Some(row) = locked(&mut tx, tenant, retry.id).await? else { return Ok(Retried::Absent) };
    let id = retry.id.to_string();
    let taken = take_request(&mut tx, tenant, method::RETRY_INGESTION, request, &id).await?;
    if let Some((fingerprint, _)) = taken {
        return Ok(if fingerprint == request.fingerprint { Retried::Yes } else { Retried::Reused });
    }
    let tenant = tenant.to_string();
    let again = Again::of(&mut tx, &tenant, &id).await?;
    let ended = row.get::<Option<i64>>("finish_time")?.is_some();
    let source: String = row.get("source_state")?;
    // A fetching that was cancelled goes on where it stood, and so does one that failed.
    let failed = ended && source == SourceState::Failed.word();
    if failed {
        fetch_again(&mut tx, &tenant, &id).await?;
    }
    let fetches = failed || (ended && source == SourceState::Fetching.word());
    if again.failed + again.cancelled > 0 || fetches {
        queue(&mut tx, &tenant, retry, &again, row.get("changes")?).await?;
    }
    tx.commit().await?;
    Ok(Retried::Yes)
}

/// What there is to try again.
struct Again {
    failed: i64,
    cancelled: i64,
    bytes: i64,
}

impl Again {
    async fn of(tx: &mut Tx, tenant: &str, id: &str) -> Result<Self, StoreError> {
        let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN state = 'cancelled' THEN 0 ELSE 1 END), 0) AS BIGINT) AS failed,
              CAST(COALESCE(SUM(CASE WHEN state = 'cancelled' THEN 1 ELSE 0 END), 0) AS BIGINT) AS cancelled,
              CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes
            FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2 AND content IS NOT NULL
              AND state IN ('failed', 'poisoned', 'cancelled')";
        match tx.query_opt(sql, &params![tenant, id]).await? {
            Some(row) => Ok(Self {
                failed: row.get("failed")?,
                cancelled: row.get("cancelled")?,
                bytes: row.get("bytes")?,
            }),
            None => Ok(Self { failed: 0, cancelled: 0, bytes: 0 }),
        }
    }
}

/// Takes back that a source failed: it is fetched from the place of its last step that was stored. What it said of
/// itself, the last of its items, goes; what it said of single documents stays.
async fn fetch_again(tx: &mut Tx, tenant: &str, id: &str) -> Result<(), StoreError> {
    let said = "DELETE FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2 AND content IS NULL
        AND state = 'failed' AND (key, ordinal) = (SELECT source_name, documents_total - 1 FROM ingestion
          WHERE tenant = $1 AND ingestion_id = $2)";
    let gone = tx.execute(said, &params![tenant, id]).await?;
    let open = "UPDATE ingestion SET source_state = $3, source_attempts = 0,
          documents_total = documents_total - $4, documents_failed = documents_failed - $4
        WHERE tenant = $1 AND ingestion_id = $2";
    let fetching = SourceState::Fetching.word();
    tx.execute(open, &params![tenant, id, fetching, rows::size(gone as usize)]).await?;
    Ok(())
}

async fn queue(
    tx: &mut Tx,
    tenant: &str,
    retry: &Retry,
    again: &Again,
    changes: i64,
) -> Result<(), StoreError> {
    let id = retry.id.to_string();
    let items = "UPDATE ingestion_item SET state = $3, change = $4, update_time = $5, lost = 0, reason = '',
          message = ''
        WHERE tenant = $1 AND ingestion_id = $2 AND content IS NOT NULL
          AND state IN ('failed', 'poisoned', 'cancelled')";
    let waiting = Stage::Waiting.word();
    tx.execute(items, &params![tenant, &id, waiting, changes + 1, retry.time]).await?;
    // One that goes on keeps its state and its holder: the documents come at their turn.
    let begin = "UPDATE ingestion SET state = CASE WHEN finish_time IS NULL THEN state ELSE $3 END,
          finish_time = NULL, delegation = $4, changes = changes + 1, documents_failed = documents_failed - $5,
          documents_cancelled = documents_cancelled - $6, bytes_done = bytes_done - $7
        WHERE tenant = $1 AND ingestion_id = $2";
    let values = params![
        tenant,
        &id,
        IngestionState::Queued.word(),
        &retry.delegation,
        again.failed,
        again.cancelled,
        again.bytes,
    ];
    tx.execute(begin, &values).await?;
    Ok(())
}

pub(super) async fn expire(database: &Database, ended_before: i64, limit: u32) -> Result<u32, StoreError> {
    let find =
        "SELECT tenant, ingestion_id FROM ingestion WHERE finish_time < $1 ORDER BY finish_time LIMIT $2";
    let found = database.query(find, &params![ended_before, limit]).await?;
    let mut expired = 0;
    for row in found {
        let of: [Value; 3] =
            params![row.get::<String>("tenant")?, row.get::<String>("ingestion_id")?, ended_before];
        let mut tx = database.begin().await?;
        // Still ended: it may have been queued again meanwhile.
        let delete = "DELETE FROM ingestion WHERE tenant = $1 AND ingestion_id = $2 AND finish_time < $3";
        if tx.execute(delete, &of).await? == 1 {
            for statement in EXPIRE {
                tx.execute(*statement, &of[..2]).await?;
            }
            tx.commit().await?;
            expired += 1;
        }
    }
    Ok(expired)
}

const EXPIRE: &[&str] = &[
    "DELETE FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2",
    "DELETE FROM request WHERE tenant = $1 AND resource_id = $2",
];

/// The ingestion's row, held to the end of the transaction.
async fn locked(tx: &mut Tx, tenant: TenantId, id: IngestionId) -> Result<Option<Row>, StoreError> {
    let lock = tx.dialect().for_update();
    let of = params![tenant.to_string(), id.to_string()];
    let base = format!(
        "SELECT version FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id =
           (SELECT knowledge_base_id FROM ingestion WHERE tenant = $1 AND ingestion_id = $2){lock}"
    );
    if tx.query_opt(base, &of).await?.is_none() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT finish_time, changes, source_state FROM ingestion WHERE tenant = $1 AND ingestion_id = $2{lock}"
    );
    tx.query_opt(sql, &of).await
}
