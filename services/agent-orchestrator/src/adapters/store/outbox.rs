//! Outcomes on their way to the archive, and how much work there is.
use copydesk_store::{Database, StoreError, params};
use copydesk_types::{RunId, TenantId};

use super::rows::{self, RUN};
use crate::ports::{Depth, Undelivered};

pub(super) async fn undelivered(db: &Database, now: i64, limit: u32) -> Result<Vec<Undelivered>, StoreError> {
    let sql = format!(
        "SELECT {RUN}, run.result, outbox.attempts AS attempts, outbox.refusals AS refusals FROM outbox \
         JOIN run ON run.tenant = outbox.tenant AND run.run_id = outbox.run_id \
         WHERE outbox.next_at <= $1 ORDER BY outbox.next_at LIMIT $2"
    );
    let rows = db.query(sql, &params![now, limit]).await?;
    let read = |row| {
        let run = rows::run(row, true)?;
        Ok(Undelivered { run, attempts: row.get("attempts")?, refusals: row.get("refusals")? })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn delivered(db: &Database, tenant: TenantId, run_id: RunId) -> Result<(), StoreError> {
    let keys = params![tenant.to_string(), run_id.to_string()];
    db.execute("DELETE FROM outbox WHERE tenant = $1 AND run_id = $2", &keys).await.map(|_| ())
}

pub(super) async fn postpone(
    db: &Database,
    tenant: TenantId,
    run_id: RunId,
    next_at: i64,
    refused: bool,
) -> Result<(), StoreError> {
    let keys = params![tenant.to_string(), run_id.to_string(), next_at, i64::from(refused)];
    let sql = "UPDATE outbox SET attempts = attempts + 1, refusals = refusals + $4, next_at = $3 \
               WHERE tenant = $1 AND run_id = $2";
    db.execute(sql, &keys).await.map(|_| ())
}

pub(super) async fn depth(db: &Database) -> Result<Depth, StoreError> {
    let row = db
        .query_opt(
            "SELECT (SELECT COUNT(*) FROM task WHERE state = 'ready') AS ready, \
             (SELECT COUNT(*) FROM task WHERE state = 'running') AS running, \
             (SELECT COUNT(*) FROM outbox) AS outbox",
            &[],
        )
        .await?;
    let Some(row) = row else { return Ok(Depth::default()) };
    Ok(Depth { ready: row.get("ready")?, running: row.get("running")?, outbox: row.get("outbox")? })
}
