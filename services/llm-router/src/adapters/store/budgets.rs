//! Budgets and how they stand.
use copydesk_store::{Database, Row, StoreError, Tx, params, placeholders};
use copydesk_types::{NanoDollars, TenantId};

use super::unreadable;
use crate::domain::{Budget, BudgetKey, Limits, Period, Standing, SubjectKind, Window};
use crate::ports::SetBudget;

const COLUMNS: &str =
    "b.budget_id, b.subject_kind, b.subject, b.period, b.limit_nanos, b.soft_nanos, b.version";

const BUMP: &str = "INSERT INTO budget_change (tenant, version) VALUES ($1, 1) \
     ON CONFLICT (tenant) DO UPDATE SET version = budget_change.version + 1";

/// All budgets of a tenant, and the number of changes so far.
pub(super) async fn of_tenant(
    database: &Database,
    tenant: TenantId,
) -> Result<(i64, Vec<Budget>), StoreError> {
    // The number first: a change in between makes the list newer than its number, and it is read once more.
    let version = changes(database, &[tenant]).await?.first().map_or(0, |(_, version)| *version);
    if version == 0 {
        return Ok((0, Vec::new()));
    }
    let sql = format!("SELECT {COLUMNS} FROM budget b WHERE b.tenant = $1");
    let rows = database.query(sql, &params![tenant.to_string()]).await?;
    Ok((version, rows.iter().map(read).collect::<Result<_, _>>()?))
}

/// The number of changes of each of these tenants.
pub(super) async fn changes(
    database: &Database,
    tenants: &[TenantId],
) -> Result<Vec<(TenantId, i64)>, StoreError> {
    let mut found = Vec::new();
    for some in tenants.chunks(500) {
        let sql = format!(
            "SELECT tenant, version FROM budget_change WHERE tenant IN ({})",
            placeholders(1, some.len())
        );
        let values: Vec<_> = some.iter().map(|tenant| tenant.to_string().into()).collect();
        for row in database.query(copydesk_store::Sql::once(sql), &values).await? {
            let tenant: String = row.get("tenant")?;
            found.push((tenant.parse().map_err(|_| unreadable("tenant"))?, row.get("version")?));
        }
    }
    Ok(found)
}

/// Makes, changes or removes a budget.
pub(super) async fn set(
    database: &Database,
    tenant: TenantId,
    key: &BudgetKey,
    limits: Option<Limits>,
    etag: &str,
    id: &str,
) -> Result<SetBudget, StoreError> {
    let mut tx = database.begin().await?;
    // Changes of one tenant's budgets wait for each other here.
    tx.execute(BUMP, &params![tenant.to_string()]).await?;
    let there = find(&mut tx, tenant, key).await?;
    let done = match (there, limits) {
        (None, None) => SetBudget::Removed,
        (None, Some(_)) if !etag.is_empty() => SetBudget::Changed,
        (Some(budget), _) if !etag.is_empty() && budget.etag() != etag => SetBudget::Changed,
        (None, Some(limits)) => make(&mut tx, tenant, key, limits, id).await?,
        (Some(budget), Some(limits)) if budget.limits == limits => SetBudget::Set(budget),
        (Some(budget), Some(limits)) => change(&mut tx, budget, limits).await?,
        (Some(budget), None) => remove(&mut tx, &budget.id).await?,
    };
    if done == SetBudget::Changed {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    Ok(done)
}

async fn find(tx: &mut Tx, tenant: TenantId, key: &BudgetKey) -> Result<Option<Budget>, StoreError> {
    let lock = tx.dialect().for_update();
    let sql = format!(
        "SELECT {COLUMNS} FROM budget b WHERE b.tenant = $1 AND b.subject_kind = $2 AND b.subject = $3 \
         AND b.period = $4{lock}"
    );
    let values = params![tenant.to_string(), key.kind as i64, key.subject.as_str(), key.period as i64];
    tx.query_opt(sql, &values).await?.map(|row| read(&row)).transpose()
}

async fn make(
    tx: &mut Tx,
    tenant: TenantId,
    key: &BudgetKey,
    limits: Limits,
    id: &str,
) -> Result<SetBudget, StoreError> {
    let now = tx.dialect().now_ms();
    let sql = format!(
        "INSERT INTO budget (tenant, budget_id, subject_kind, subject, period, limit_nanos, soft_nanos, version, \
         created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, {now}, {now})"
    );
    let values = params![
        tenant.to_string(),
        id,
        key.kind as i64,
        key.subject.as_str(),
        key.period as i64,
        limits.limit,
        limits.soft
    ];
    tx.execute(sql, &values).await?;
    Ok(SetBudget::Set(Budget { id: id.to_owned(), key: key.clone(), limits, version: 1 }))
}

async fn change(tx: &mut Tx, budget: Budget, limits: Limits) -> Result<SetBudget, StoreError> {
    let version = budget.version + 1;
    let now = tx.dialect().now_ms();
    let sql = format!(
        "UPDATE budget SET limit_nanos = $2, soft_nanos = $3, version = $4, updated_ms = {now} WHERE budget_id = $1"
    );
    tx.execute(sql, &params![budget.id.as_str(), limits.limit, limits.soft, version]).await?;
    Ok(SetBudget::Set(Budget { limits, version, ..budget }))
}

async fn remove(tx: &mut Tx, id: &str) -> Result<SetBudget, StoreError> {
    for sql in [
        "DELETE FROM budget WHERE budget_id = $1",
        "DELETE FROM budget_window WHERE budget_id = $1",
        "DELETE FROM budget_lease WHERE budget_id = $1",
    ] {
        tx.execute(sql, &params![id]).await?;
    }
    Ok(SetBudget::Removed)
}

/// How one budget stands.
pub(super) async fn standing(
    database: &Database,
    tenant: TenantId,
    key: &BudgetKey,
    at_ms: i64,
) -> Result<Option<Standing>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM budget b WHERE b.tenant = $1 AND b.subject_kind = $2 AND b.subject = $3 AND b.period = $4"
    );
    let values = params![tenant.to_string(), key.kind as i64, key.subject.as_str(), key.period as i64];
    match database.query_opt(sql, &values).await? {
        None => Ok(None),
        Some(row) => stand(database, tenant, read(&row)?, at_ms).await.map(Some),
    }
}

/// How a page of budgets stands.
pub(super) async fn standings(
    database: &Database,
    tenant: TenantId,
    after: Option<&BudgetKey>,
    at_ms: i64,
    limit: u32,
) -> Result<Vec<Standing>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM budget b WHERE b.tenant = $1 AND (b.subject_kind > $2 OR (b.subject_kind = $2 AND \
         (b.subject > $3 COLLATE \"C\" OR (b.subject = $3 AND b.period > $4)))) \
         ORDER BY b.subject_kind, b.subject COLLATE \"C\", b.period LIMIT $5"
    );
    let (kind, subject, period) =
        after.map_or((0, "", 0), |key| (key.kind as i64, key.subject.as_str(), key.period as i64));
    let rows = database.query(sql, &params![tenant.to_string(), kind, subject, period, limit]).await?;
    let mut standings = Vec::with_capacity(rows.len());
    for row in &rows {
        standings.push(stand(database, tenant, read(row)?, at_ms).await?);
    }
    Ok(standings)
}

async fn stand(
    database: &Database,
    tenant: TenantId,
    budget: Budget,
    at_ms: i64,
) -> Result<Standing, StoreError> {
    const STATE: &str = "SELECT granted_nanos, soft_passed_ms FROM budget_window WHERE budget_id = $1 AND window_start_ms = $2";
    let window = budget.key.period.window(at_ms);
    let (sql, subject) = spent(&budget.key);
    let values = params![tenant.to_string(), window.start_ms, window.end_ms, subject];
    // The tenant's own sum has no use for the subject, and PostgreSQL refuses a parameter that nobody uses.
    let values = if budget.key.kind == SubjectKind::Tenant { &values[..3] } else { &values[..] };
    let row = database.query_opt(sql, values).await?;
    let spent = row.map_or(Ok(0), |row| row.get::<i64>("spent"))?;
    let state = database.query_opt(STATE, &params![budget.id.as_str(), window.start_ms]).await?;
    let (granted, soft_passed_ms) = match state {
        None => (spent, None),
        Some(row) => (row.get("granted_nanos")?, row.get("soft_passed_ms")?),
    };
    let held = NanoDollars(i64::max(granted - spent, 0));
    Ok(Standing { budget, window, spent: NanoDollars(spent), held, soft_passed_ms })
}

/// The statement that sums what a subject spent: of tenant $1, from $2 to before $3, and what $4 is.
///
/// A call ends after it was ordered, so that the index by time serves the beginning of the window; the hour is for clocks
/// that were set back meanwhile.
pub(super) fn spent(key: &BudgetKey) -> (&'static str, &str) {
    macro_rules! sum {
        ($more:literal) => {
            concat!(
                "SELECT CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS spent FROM usage_record ",
                "WHERE tenant = $1 AND time_ms >= CAST($2 AS BIGINT) - 3600000 AND ordered_ms >= $2 AND ordered_ms < $3",
                $more
            )
        };
    }
    let sql = match key.kind {
        SubjectKind::Tenant => sum!(""),
        SubjectKind::Agent => sum!(" AND agent <> '' AND agent = $4"),
        SubjectKind::Run => sum!(" AND run_id <> '' AND run_id = $4"),
    };
    (sql, key.subject.as_str())
}

/// A budget and its tenant, locked until the transaction ends. Every change of a budget's windows and leases begins
/// here, so that none of them waits for another in a circle.
pub(super) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<(TenantId, Budget)>, StoreError> {
    let lock = tx.dialect().for_update();
    let sql = format!("SELECT b.tenant, {COLUMNS} FROM budget b WHERE b.budget_id = $1{lock}");
    let Some(row) = tx.query_opt(sql, &params![id]).await? else { return Ok(None) };
    let tenant: String = row.get("tenant")?;
    Ok(Some((tenant.parse().map_err(|_| unreadable("tenant"))?, read(&row)?)))
}

fn read(row: &Row) -> Result<Budget, StoreError> {
    let kind =
        SubjectKind::from_number(row.get("subject_kind")?).ok_or_else(|| unreadable("subject_kind"))?;
    let period = Period::from_number(row.get("period")?).ok_or_else(|| unreadable("period"))?;
    Ok(Budget {
        id: row.get("budget_id")?,
        key: BudgetKey { kind, subject: row.get("subject")?, period },
        limits: Limits { limit: row.get("limit_nanos")?, soft: row.get("soft_nanos")? },
        version: row.get("version")?,
    })
}

/// The sum that [`spent`] asks for, within a transaction; with a replica only what this one spent.
pub(super) async fn spent_in(
    tx: &mut Tx,
    tenant: TenantId,
    key: &BudgetKey,
    window: Window,
    replica: Option<&str>,
) -> Result<i64, StoreError> {
    let (sql, subject) = spent(key);
    let mut values = params![tenant.to_string(), window.start_ms, window.end_ms].to_vec();
    if key.kind != SubjectKind::Tenant {
        values.push(subject.into());
    }
    let sql = match replica {
        None => sql.to_owned(),
        Some(replica) => {
            values.push(replica.into());
            format!("{sql} AND replica = ${}", values.len())
        }
    };
    tx.query_opt(sql, &values).await?.map_or(Ok(0), |row| row.get("spent"))
}
