//! Making and reading runs.
use copydesk_store::{Database, StoreError, Value, params};
use copydesk_types::{RunId, TenantId};

use super::rows::{self, RUN, to_json};
use super::settle::append;
use crate::domain::output::Finished;
use crate::domain::run::{Event, NewRun, Recorded, Run, RunState, Step};
use crate::domain::step::StepKey;
use crate::ports::{Created, ListFilter};

pub(super) async fn create(
    db: &Database,
    new: &NewRun,
    steps: &[StepKey],
    now: i64,
) -> Result<Created, StoreError> {
    let (tenant, run_id) = (new.tenant.to_string(), new.run_id.to_string());
    let mut tx = db.begin().await?;
    let row = params![
        &tenant,
        &run_id,
        &new.request_id,
        &new.input_hash,
        &new.definition,
        new.spec.brand_id.to_string(),
        RunState::Queued.as_str(),
        to_json("spec", &new.spec)?,
        to_json("brand", &new.brand)?,
        &new.delegation,
        &new.trace_id,
        new.spec.budget_nanos,
        now,
        new.deadline_ms,
    ];
    let inserted = tx
        .execute(
            "INSERT INTO run (tenant, run_id, request_id, input_hash, definition, brand_id, state, spec, brand, \
             delegation, trace_id, budget_nanos, created_at, deadline_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
             ON CONFLICT (tenant, request_id) DO NOTHING",
            &row,
        )
        .await?;
    if inserted == 0 {
        tx.rollback().await?;
        let existing = by_request(db, new.tenant, &new.request_id).await?;
        return existing.map(Created::Existing).ok_or_else(|| missing("request_id"));
    }
    tx.execute("INSERT INTO lane (tenant) VALUES ($1) ON CONFLICT (tenant) DO NOTHING", &params![&tenant])
        .await?;
    let mut seq = 0;
    let queued = Event::StateChanged { state: RunState::Queued, error: None };
    append(&mut tx, &tenant, &run_id, &mut seq, &queued, now).await?;
    tx.execute(
        "UPDATE run SET last_seq = $3 WHERE tenant = $1 AND run_id = $2",
        &params![&tenant, &run_id, seq],
    )
    .await?;
    insert_steps(&mut tx, &tenant, &run_id, steps, now).await?;
    tx.commit().await?;
    get(db, new.tenant, new.run_id).await?.map(Created::New).ok_or_else(|| missing("run_id"))
}

/// Inserts those steps that are not there yet.
pub(super) async fn insert_steps(
    tx: &mut copydesk_store::Tx,
    tenant: &str,
    run_id: &str,
    steps: &[StepKey],
    now: i64,
) -> Result<(), StoreError> {
    for step in steps {
        tx.execute(
            "INSERT INTO task (tenant, run_id, step_key, ordinal, state, run_after) \
             SELECT $1, $2, CAST($3 AS TEXT), COALESCE(MAX(ordinal), 0) + 1, 'ready', CAST($4 AS BIGINT) FROM task \
             WHERE tenant = $1 AND run_id = $2 \
             ON CONFLICT (tenant, run_id, step_key) DO NOTHING",
            &params![tenant, run_id, step.to_string(), now],
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn by_request(
    db: &Database,
    tenant: TenantId,
    request_id: &str,
) -> Result<Option<Run>, StoreError> {
    let sql = format!("SELECT {RUN}, run.result FROM run WHERE tenant = $1 AND request_id = $2");
    let row = db.query_opt(sql, &params![tenant.to_string(), request_id]).await?;
    row.map(|row| rows::run(&row, true)).transpose()
}

pub(super) async fn get(db: &Database, tenant: TenantId, run_id: RunId) -> Result<Option<Run>, StoreError> {
    let sql = format!("SELECT {RUN}, run.result FROM run WHERE tenant = $1 AND run_id = $2");
    let row = db.query_opt(sql, &params![tenant.to_string(), run_id.to_string()]).await?;
    row.map(|row| rows::run(&row, true)).transpose()
}

pub(super) async fn steps(db: &Database, tenant: TenantId, run_id: RunId) -> Result<Vec<Step>, StoreError> {
    let rows = db
        .query(
            "SELECT step_key, state, attempt, started_at, finished_at, summary, \
             (SELECT CAST(COALESCE(SUM(c.cost_nanos), 0) AS BIGINT) FROM step_call c WHERE c.tenant = task.tenant \
              AND c.run_id = task.run_id AND c.step_key = task.step_key) AS cost \
             FROM task WHERE tenant = $1 AND run_id = $2 ORDER BY ordinal",
            &params![tenant.to_string(), run_id.to_string()],
        )
        .await?;
    rows.iter().map(rows::step).collect()
}

pub(super) async fn list(
    db: &Database,
    tenant: TenantId,
    filter: &ListFilter,
) -> Result<Vec<Run>, StoreError> {
    let mut sql = format!("SELECT {RUN} FROM run WHERE tenant = $1");
    let mut values: Vec<Value> = vec![tenant.to_string().into()];
    let mut narrow = |condition: &str, value: Option<String>| {
        if let Some(value) = value {
            values.push(value.into());
            sql.push_str(&format!(" AND {condition} ${}", values.len()));
        }
    };
    narrow("brand_id =", filter.brand_id.map(|id| id.to_string()));
    narrow("state =", filter.state.map(|state| state.as_str().to_owned()));
    narrow("run_id COLLATE \"C\" <", filter.before.map(|id| id.to_string()));
    values.push(filter.limit.into());
    sql.push_str(&format!(" ORDER BY run_id COLLATE \"C\" DESC LIMIT ${}", values.len()));
    let rows = db.query(sql, &values).await?;
    rows.iter().map(|row| rows::run(row, false)).collect()
}

pub(super) async fn events(
    db: &Database,
    tenant: TenantId,
    run_id: RunId,
    after: u64,
    limit: u32,
) -> Result<Vec<Recorded>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = db
        .query(
            "SELECT seq, body, created_at FROM event WHERE tenant = $1 AND run_id = $2 AND seq > $3 \
             ORDER BY seq LIMIT $4",
            &params![tenant.to_string(), run_id.to_string(), after, limit],
        )
        .await?;
    let recorded = |row: &copydesk_store::Row| {
        Ok(Recorded { seq: row.get("seq")?, at_ms: row.get("created_at")?, event: rows::json(row, "body")? })
    };
    rows.iter().map(recorded).collect()
}

const FINISHED: &str =
    "SELECT step_key, output FROM task WHERE tenant = $1 AND run_id = $2 AND state = 'done' ORDER BY ordinal";

pub(super) async fn finished(db: &Database, tenant: TenantId, run_id: RunId) -> Result<Finished, StoreError> {
    let rows = db.query(FINISHED, &params![tenant.to_string(), run_id.to_string()]).await?;
    rows.iter().map(|row| Ok((rows::parsed(row, "step_key")?, rows::json(row, "output")?))).collect()
}

pub(super) async fn finished_in(
    tx: &mut copydesk_store::Tx,
    tenant: &str,
    run_id: &str,
) -> Result<Finished, StoreError> {
    let rows = tx.query(FINISHED, &params![tenant, run_id]).await?;
    rows.iter().map(|row| Ok((rows::parsed(row, "step_key")?, rows::json(row, "output")?))).collect()
}

pub(super) async fn overdue(
    db: &Database,
    now: i64,
    limit: u32,
) -> Result<Vec<(TenantId, RunId)>, StoreError> {
    let rows = db
        .query(
            "SELECT tenant, run_id FROM run WHERE state IN ('queued', 'running') AND deadline_at <= $1 \
             ORDER BY deadline_at LIMIT $2",
            &params![now, limit],
        )
        .await?;
    rows.iter().map(|row| Ok((rows::parsed(row, "tenant")?, rows::parsed(row, "run_id")?))).collect()
}

fn missing(column: &str) -> StoreError {
    StoreError::Decode { column: column.to_owned(), reason: "the run is gone".to_owned() }
}
