//! Leases whose replica is gone.
use std::time::Duration;

use copydesk_store::{Database, Row, StoreError, Tx, params};

use super::budgets::{lock, spent_in};
use super::millis;
use crate::domain::Window;

/// How many leases one round takes back at most.
const AT_ONCE: i64 = 200;

/// Windows that ended so long ago are forgotten; a month and a lease are well over by then.
const KEPT_WINDOWS_MS: i64 = 70 * 86_400_000;

const LEASE: &str = "SELECT granted_nanos, spent_nanos, before_nanos FROM budget_lease \
     WHERE budget_id = $1 AND window_start_ms = $2 AND replica = $3";

/// A lease as it was found, before its budget was locked.
struct Found {
    budget: String,
    window: Window,
    replica: String,
}

/// Shrinks the leases that were not renewed for `after`, and forgets windows of long ago.
pub(super) async fn lost(database: &Database, after: Duration) -> Result<u64, StoreError> {
    let now = database.dialect().now_ms();
    forget(database, now).await?;
    let sql = format!(
        "SELECT budget_id, window_start_ms, window_end_ms, replica FROM budget_lease \
         WHERE renewed_ms < {now} - $1 AND granted_nanos > spent_nanos LIMIT $2"
    );
    let rows = database.query(sql, &params![millis(after), AT_ONCE]).await?;
    let mut count = 0;
    for row in &rows {
        count += u64::from(shrink(database, &found(row)?, after).await?);
    }
    Ok(count)
}

async fn shrink(database: &Database, lease: &Found, after: Duration) -> Result<bool, StoreError> {
    let now = database.dialect().now_ms();
    let mut tx = database.begin().await?;
    let Some((tenant, budget)) = lock(&mut tx, &lease.budget).await? else { return Ok(false) };
    let still = format!("{LEASE} AND renewed_ms < {now} - $4");
    let values = params![lease.budget.as_str(), lease.window.start_ms, lease.replica.as_str(), millis(after)];
    let Some(row) = tx.query_opt(still, &values).await? else { return Ok(false) };
    let (granted, said): (i64, i64) = (row.get("granted_nanos")?, row.get("spent_nanos")?);
    let before: i64 = row.get("before_nanos")?;
    let known = spent_in(&mut tx, tenant, &budget.key, lease.window, Some(&lease.replica)).await? - before;
    let kept = granted.min(said.max(known));
    // The row stays: when the replica comes back with records that nobody had seen, they are added to it.
    const SHRINK: &str = "UPDATE budget_lease SET granted_nanos = $4, spent_nanos = $4 \
         WHERE budget_id = $1 AND window_start_ms = $2 AND replica = $3";
    let values = params![lease.budget.as_str(), lease.window.start_ms, lease.replica.as_str(), kept];
    tx.execute(SHRINK, &values).await?;
    grow(&mut tx, lease, kept - granted, 0).await?;
    tx.commit().await?;
    Ok(true)
}

/// Ends the leases of earlier runs of a replica: what the ledger says they spent becomes part of the window's base.
pub(super) async fn own(database: &Database, id: &str, run: &str) -> Result<u64, StoreError> {
    const OWN: &str = "SELECT budget_id, window_start_ms, window_end_ms, replica FROM budget_lease \
         WHERE SUBSTR(replica, 1, LENGTH($1)) = $1 AND replica <> $2";
    let rows = database.query(OWN, &params![format!("{id}."), run]).await?;
    let mut count = 0;
    for row in &rows {
        count += u64::from(end(database, &found(row)?).await?);
    }
    Ok(count)
}

async fn end(database: &Database, lease: &Found) -> Result<bool, StoreError> {
    let mut tx = database.begin().await?;
    let Some((tenant, budget)) = lock(&mut tx, &lease.budget).await? else { return Ok(false) };
    let key = params![lease.budget.as_str(), lease.window.start_ms, lease.replica.as_str()];
    let Some(row) = tx.query_opt(LEASE, &key).await? else { return Ok(false) };
    let (granted, before): (i64, i64) = (row.get("granted_nanos")?, row.get("before_nanos")?);
    let spent = spent_in(&mut tx, tenant, &budget.key, lease.window, Some(&lease.replica)).await? - before;
    const END: &str =
        "DELETE FROM budget_lease WHERE budget_id = $1 AND window_start_ms = $2 AND replica = $3";
    tx.execute(END, &key).await?;
    grow(&mut tx, lease, spent - granted, spent).await?;
    tx.commit().await?;
    Ok(true)
}

async fn grow(tx: &mut Tx, lease: &Found, granted: i64, base: i64) -> Result<(), StoreError> {
    const GROW: &str = "UPDATE budget_window SET granted_nanos = granted_nanos + $3, base_nanos = base_nanos + $4 \
         WHERE budget_id = $1 AND window_start_ms = $2";
    let values = params![lease.budget.as_str(), lease.window.start_ms, granted, base];
    tx.execute(GROW, &values).await.map(|_| ())
}

async fn forget(database: &Database, now: &str) -> Result<(), StoreError> {
    let leases = format!("DELETE FROM budget_lease WHERE window_end_ms < {now} - $1");
    // A window of 0 is one without end.
    let windows =
        format!("DELETE FROM budget_window WHERE window_start_ms > 0 AND window_start_ms < {now} - $1");
    for sql in [leases, windows] {
        database.execute(sql, &params![KEPT_WINDOWS_MS]).await?;
    }
    Ok(())
}

fn found(row: &Row) -> Result<Found, StoreError> {
    Ok(Found {
        budget: row.get("budget_id")?,
        window: Window { start_ms: row.get("window_start_ms")?, end_ms: row.get("window_end_ms")? },
        replica: row.get("replica")?,
    })
}
