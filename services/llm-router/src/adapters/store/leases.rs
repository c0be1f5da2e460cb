//! What replicas hold of a window. `granted_nanos` of a window is its base and the sum of its leases.
use copydesk_store::{Database, StoreError, Tx, params};
use copydesk_types::TenantId;

use super::budgets::{lock, spent_in};
use crate::domain::{Budget, Window, reconciled, slice_of};
use crate::ports::{LeaseAsk, Leased};

const WINDOW: &str =
    "SELECT granted_nanos, base_nanos FROM budget_window WHERE budget_id = $1 AND window_start_ms = $2";

const MAKE_WINDOW: &str = "INSERT INTO budget_window (budget_id, window_start_ms, granted_nanos, base_nanos) \
     VALUES ($1, $2, $3, $3)";

const SET_GRANTED: &str =
    "UPDATE budget_window SET granted_nanos = $3 WHERE budget_id = $1 AND window_start_ms = $2";

const LEASES: &str = "SELECT CAST(COALESCE(SUM(CASE WHEN replica = $3 THEN granted_nanos ELSE 0 END), 0) AS BIGINT) \
     AS own, COALESCE(MAX(CASE WHEN replica = $3 THEN 1 ELSE 0 END), 0) AS there, CAST(COALESCE(SUM(CASE WHEN replica = $3 THEN 0 ELSE spent_nanos END), 0) AS BIGINT) AS elsewhere \
     FROM budget_lease WHERE budget_id = $1 AND window_start_ms = $2";

/// A window within a transaction that has locked its budget.
struct Held {
    granted: i64,
    base: i64,
}

/// Renews, gives back, asks for more.
pub(super) async fn lease(database: &Database, ask: &LeaseAsk<'_>) -> Result<Option<Leased>, StoreError> {
    let mut tx = database.begin().await?;
    let Some((tenant, budget)) = lock(&mut tx, ask.budget).await? else { return Ok(None) };
    let window = open(&mut tx, tenant, &budget, ask.window).await?;
    let row = tx.query_opt(LEASES, &params![ask.budget, ask.window.start_ms, ask.replica]).await?;
    let (own, elsewhere, there) = match row {
        Some(row) => (row.get("own")?, row.get("elsewhere")?, row.get("there")?),
        None => (0, 0, false),
    };
    let kept = reconciled(own, ask.target, ask.committed);
    let others = window.granted - own;
    // What was taken back meanwhile is lacking too.
    let need = if ask.need > 0 { ask.need + (ask.target - kept).max(0) } else { 0 };
    let limit = budget.limits.limit;
    let more = if need > 0 { slice_of(limit, others + kept, need, ask.ratio) } else { Some(0) };
    let granted = kept + more.unwrap_or(0);
    if others + granted != window.granted {
        tx.execute(SET_GRANTED, &params![ask.budget, ask.window.start_ms, others + granted]).await?;
    }
    if there {
        renew(&mut tx, ask, granted).await?;
    } else {
        begin(&mut tx, tenant, &budget, ask, granted).await?;
    }
    tx.commit().await?;
    Ok(Some(Leased {
        granted,
        enough: more.is_some(),
        granted_to_all: others + granted,
        spent_elsewhere: window.base + elsewhere,
        limits: budget.limits,
    }))
}

async fn renew(tx: &mut Tx, ask: &LeaseAsk<'_>, granted: i64) -> Result<(), StoreError> {
    let now = tx.dialect().now_ms();
    let sql = format!(
        "UPDATE budget_lease SET granted_nanos = $4, spent_nanos = $5, renewed_ms = {now} \
         WHERE budget_id = $1 AND window_start_ms = $2 AND replica = $3"
    );
    let values = params![ask.budget, ask.window.start_ms, ask.replica, granted, ask.spent];
    tx.execute(sql, &values).await.map(|_| ())
}

/// The first time. What the replica spent without a lease is known apart from what it will spend with it.
async fn begin(
    tx: &mut Tx,
    tenant: TenantId,
    budget: &Budget,
    ask: &LeaseAsk<'_>,
    granted: i64,
) -> Result<(), StoreError> {
    let before = spent_in(tx, tenant, &budget.key, ask.window, Some(ask.replica)).await?;
    let now = tx.dialect().now_ms();
    let sql = format!(
        "INSERT INTO budget_lease (budget_id, window_start_ms, window_end_ms, replica, granted_nanos, spent_nanos, \
         before_nanos, renewed_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, {now})"
    );
    let (window, replica) = (ask.window, ask.replica);
    let values = params![ask.budget, window.start_ms, window.end_ms, replica, granted, ask.spent, before];
    tx.execute(sql, &values).await.map(|_| ())
}

/// The window, made if nobody asked for it before: what the ledger says was spent by then counts as granted.
async fn open(tx: &mut Tx, tenant: TenantId, budget: &Budget, window: Window) -> Result<Held, StoreError> {
    if let Some(row) = tx.query_opt(WINDOW, &params![budget.id.as_str(), window.start_ms]).await? {
        return Ok(Held { granted: row.get("granted_nanos")?, base: row.get("base_nanos")? });
    }
    let base = spent_in(tx, tenant, &budget.key, window, None).await?;
    tx.execute(MAKE_WINDOW, &params![budget.id.as_str(), window.start_ms, base]).await?;
    Ok(Held { granted: base, base })
}

/// Notes that the soft limit was passed; true for the first.
pub(super) async fn pass_soft(database: &Database, budget: &str, window: Window) -> Result<bool, StoreError> {
    let now = database.dialect().now_ms();
    let sql = format!(
        "UPDATE budget_window SET soft_passed_ms = {now} \
         WHERE budget_id = $1 AND window_start_ms = $2 AND soft_passed_ms IS NULL"
    );
    Ok(database.execute(sql, &params![budget, window.start_ms]).await? == 1)
}
