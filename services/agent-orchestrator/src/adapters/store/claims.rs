//! Who works on what: claims, leases and fences.
use copydesk_store::{Database, Row, StoreError, Tx, params};
use copydesk_types::TenantId;

use super::rows::{self, CLAIM};
use super::settle::Locked;
use crate::domain::run::{Event, RunState};
use crate::domain::step::StepKey;
use crate::ports::{Claim, ClaimOrder};

/// Tenants looked at in one round.
const TENANTS: i64 = 64;

pub(super) async fn claim(db: &Database, order: &ClaimOrder, now: i64) -> Result<Vec<Claim>, StoreError> {
    let waiting = db
        .query(
            "SELECT task.tenant AS tenant FROM task JOIN lane ON lane.tenant = task.tenant \
             WHERE task.state = 'ready' AND task.run_after <= $1 GROUP BY task.tenant \
             ORDER BY MIN(lane.last_claim), task.tenant LIMIT $2",
            &params![now, TENANTS],
        )
        .await?;
    let mut taken = Vec::new();
    for (turn, row) in waiting.iter().enumerate() {
        let open = order.wanted as usize - taken.len().min(order.wanted as usize);
        if open == 0 {
            break;
        }
        // What is open is shared out evenly over the tenants whose turn is still to come.
        let share = open.div_ceil(waiting.len() - turn);
        taken.extend(claim_lane(db, rows::parsed(row, "tenant")?, share, order, now).await?);
    }
    Ok(taken)
}

/// Takes up to `share` steps of one tenant. The lane's lock makes the tenant's limit exact among all workers.
async fn claim_lane(
    db: &Database,
    tenant: TenantId,
    share: usize,
    order: &ClaimOrder,
    now: i64,
) -> Result<Vec<Claim>, StoreError> {
    let mut tx = db.begin().await?;
    let name = tenant.to_string();
    let lock = db.dialect().for_update_skip_locked();
    let lane = format!("SELECT last_claim FROM lane WHERE tenant = $1{lock}");
    if tx.query_opt(lane, &params![&name]).await?.is_none() {
        return Ok(Vec::new()); // another worker is at it
    }
    let running = tx
        .query_opt("SELECT COUNT(*) AS n FROM task WHERE tenant = $1 AND state = 'running'", &params![&name])
        .await?;
    let running: u32 = running.map_or(Ok(0), |row| row.get("n"))?;
    let room = order.per_tenant.saturating_sub(running).min(u32::try_from(share).unwrap_or(u32::MAX));
    let due = tx
        .query(
            "SELECT run_id, step_key FROM task WHERE tenant = $1 AND state = 'ready' AND run_after <= $2 \
             ORDER BY run_after, run_id, ordinal LIMIT $3",
            &params![&name, now, room],
        )
        .await?;
    let mut due: Vec<(String, Row)> =
        due.into_iter().map(|row| Ok((row.get("run_id")?, row))).collect::<Result<_, StoreError>>()?;
    due.sort_by(|a, b| a.0.cmp(&b.0));
    let mut taken = Vec::new();
    for (_, row) in &due {
        taken.extend(claim_step(db, &mut tx, tenant, row, order, now).await?);
    }
    tx.execute("UPDATE lane SET last_claim = $2 WHERE tenant = $1", &params![&name, now]).await?;
    tx.commit().await?;
    Ok(taken)
}

async fn claim_step(
    db: &Database,
    tx: &mut Tx,
    tenant: TenantId,
    row: &Row,
    order: &ClaimOrder,
    now: i64,
) -> Result<Option<Claim>, StoreError> {
    let (run_id, step) = (rows::parsed(row, "run_id")?, rows::parsed::<StepKey>(row, "step_key")?);
    let Some(mut locked) = Locked::take(db, tx, tenant, run_id).await? else { return Ok(None) };
    if locked.run.state.is_final() || locked.run.deadline_ms <= now {
        return Ok(None);
    }
    let sql = format!(
        "UPDATE task SET state = 'running', attempt = attempt + 1, fence = fence + 1, lease_owner = $4, \
         lease_until = $5, started_at = $6 \
         WHERE tenant = $1 AND run_id = $2 AND step_key = $3 AND state = 'ready' RETURNING {CLAIM}"
    );
    let until = now.saturating_add(order.lease_ms);
    let keys = params![&locked.tenant, &locked.run_id, step.to_string(), &order.owner, until, now];
    let Some(row) = tx.query_opt(sql, &keys).await? else { return Ok(None) };
    let claim = rows::claim(&row)?;
    if locked.run.state == RunState::Queued {
        locked.run.state = RunState::Running;
        locked.run.started_ms = Some(now);
        locked.append(tx, &Event::StateChanged { state: RunState::Running, error: None }, now).await?;
    }
    locked.append(tx, &Event::StepStarted { step, attempt: claim.attempt }, now).await?;
    locked.save(tx).await?;
    Ok(Some(claim))
}

pub(super) async fn heartbeat(db: &Database, owner: &str, lease_until: i64) -> Result<(), StoreError> {
    // Skipping what is locked keeps this statement, which takes many steps in no order, out of every deadlock.
    let sql = format!(
        "UPDATE task SET lease_until = $2 WHERE (tenant, run_id, step_key) IN \
         (SELECT tenant, run_id, step_key FROM task WHERE lease_owner = $1 AND state = 'running'{})",
        db.dialect().for_update_skip_locked()
    );
    db.execute(sql, &params![owner, lease_until]).await.map(|_| ())
}

pub(super) async fn held(db: &Database, owner: &str) -> Result<Vec<Claim>, StoreError> {
    let sql = format!("SELECT {CLAIM} FROM task WHERE state = 'running' AND lease_owner = $1");
    db.query(sql, &params![owner]).await?.iter().map(rows::claim).collect()
}

pub(super) async fn expired(db: &Database, now: i64, limit: u32) -> Result<Vec<Claim>, StoreError> {
    let sql = format!(
        "SELECT {CLAIM} FROM task WHERE state = 'running' AND lease_until <= $1 ORDER BY lease_until LIMIT $2"
    );
    db.query(sql, &params![now, limit]).await?.iter().map(rows::claim).collect()
}

pub(super) async fn expire_leases(db: &Database) -> Result<u64, StoreError> {
    db.execute("UPDATE task SET lease_until = 0 WHERE state = 'running'", &[]).await
}

pub(super) async fn release(db: &Database, claims: &[Claim]) -> Result<(), StoreError> {
    for claim in claims {
        db.execute(
            "UPDATE task SET state = 'ready', attempt = attempt - 1, lease_owner = '' \
             WHERE tenant = $1 AND run_id = $2 AND step_key = $3 AND fence = $4 AND state = 'running'",
            &params![claim.tenant.to_string(), claim.run_id.to_string(), claim.step.to_string(), claim.fence],
        )
        .await?;
    }
    Ok(())
}
