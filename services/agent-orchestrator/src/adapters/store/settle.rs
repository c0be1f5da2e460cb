//! The ends of steps and runs. Each is one transaction that begins with the lock on the run.
use copydesk_store::{Database, StoreError, Tx, params};
use copydesk_types::{RunId, TenantId};

use super::rows::{self, RUN, to_json};
use super::runs::{finished_in, insert_steps};
use crate::domain::run::{Ending, Event, Run, RunState};
use crate::ports::{Completion, Decide, Failure, Onward, Settled};

/// Appends an event and counts `seq` up. Call only under the lock on the run, and store `seq` with the run after.
pub(super) async fn append(
    tx: &mut Tx,
    tenant: &str,
    run_id: &str,
    seq: &mut i64,
    event: &Event,
    now: i64,
) -> Result<(), StoreError> {
    *seq += 1;
    tx.execute(
        "INSERT INTO event (tenant, run_id, seq, body, created_at) VALUES ($1, $2, $3, $4, $5)",
        &params![tenant, run_id, *seq, to_json("body", event)?, now],
    )
    .await?;
    Ok(())
}

/// A run under lock, with the keys and the event number that its transaction works with.
pub(super) struct Locked {
    pub(super) run: Run,
    pub(super) tenant: String,
    pub(super) run_id: String,
    pub(super) seq: i64,
}

impl Locked {
    /// Locks a run; `None` when there is none.
    pub(super) async fn take(
        db: &Database,
        tx: &mut Tx,
        tenant: TenantId,
        run_id: RunId,
    ) -> Result<Option<Self>, StoreError> {
        let (tenant, run_id) = (tenant.to_string(), run_id.to_string());
        let lock = db.dialect().for_update();
        let sql = format!("SELECT {RUN}, run.result FROM run WHERE tenant = $1 AND run_id = $2{lock}");
        let Some(row) = tx.query_opt(sql, &params![&tenant, &run_id]).await? else { return Ok(None) };
        let run = rows::run(&row, true)?;
        let seq = i64::try_from(run.last_seq).unwrap_or(i64::MAX);
        Ok(Some(Self { run, tenant, run_id, seq }))
    }

    pub(super) async fn append(&mut self, tx: &mut Tx, event: &Event, now: i64) -> Result<(), StoreError> {
        append(tx, &self.tenant, &self.run_id, &mut self.seq, event, now).await
    }

    /// Writes the run's state, start and event number back.
    pub(super) async fn save(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        self.run.last_seq = u64::try_from(self.seq).unwrap_or(0);
        tx.execute(
            "UPDATE run SET state = $3, started_at = $4, last_seq = $5 WHERE tenant = $1 AND run_id = $2",
            &params![&self.tenant, &self.run_id, self.run.state.as_str(), self.run.started_ms, self.seq],
        )
        .await?;
        Ok(())
    }

    /// Ends the run: open steps are cancelled, the last event written, its end put into the outbox.
    async fn end(&mut self, tx: &mut Tx, ending: Ending, now: i64) -> Result<(), StoreError> {
        let keys = params![&self.tenant, &self.run_id, now];
        tx.execute(
            "UPDATE task SET state = 'cancelled', finished_at = $3, lease_owner = '' \
             WHERE tenant = $1 AND run_id = $2 AND state IN ('ready', 'running')",
            &keys,
        )
        .await?;
        // No step will ask for them again: what stays of the calls is their cost.
        tx.execute(
            "UPDATE step_call SET output = '' WHERE tenant = $1 AND run_id = $2",
            &params![&self.tenant, &self.run_id],
        )
        .await?;
        let event = Event::StateChanged { state: ending.state, error: ending.error.clone() };
        self.append(tx, &event, now).await?;
        let error = ending.error.as_ref().map(|e| to_json("error", e)).transpose()?;
        let result = ending.result.as_ref().map(|r| to_json("result", r)).transpose()?;
        self.run.state = ending.state;
        self.run.error = ending.error;
        self.run.result = ending.result;
        self.run.finished_ms = Some(now);
        self.save(tx).await?;
        tx.execute(
            "UPDATE run SET error = $3, result = $4, finished_at = $5 WHERE tenant = $1 AND run_id = $2",
            &params![&self.tenant, &self.run_id, error, result, now],
        )
        .await?;
        tx.execute(
            "INSERT INTO outbox (tenant, run_id, next_at) VALUES ($1, $2, $3) ON CONFLICT (tenant, run_id) DO NOTHING",
            &keys,
        )
        .await?;
        Ok(())
    }
}

pub(super) async fn complete(
    db: &Database,
    done: &Completion,
    decide: Decide<'_>,
    now: i64,
) -> Result<Settled, StoreError> {
    let claim = &done.claim;
    let mut tx = db.begin().await?;
    let Some(mut locked) = Locked::take(db, &mut tx, claim.tenant, claim.run_id).await? else {
        return Ok(Settled::Fenced);
    };
    let step = claim.step.to_string();
    let row = tx
        .query_opt(
            "UPDATE task SET state = 'done', output = $5, summary = $6, finished_at = $7, lease_owner = '' \
             WHERE tenant = $1 AND run_id = $2 AND step_key = $3 AND fence = $4 AND state = 'running' \
             RETURNING started_at",
            &params![
                &locked.tenant,
                &locked.run_id,
                &step,
                claim.fence,
                to_json("output", &done.output)?,
                &done.summary,
                now
            ],
        )
        .await?;
    let Some(row) = row.filter(|_| locked.run.state == RunState::Running) else {
        tx.rollback().await?;
        return Ok(Settled::Fenced);
    };
    let started: Option<i64> = row.get("started_at")?;
    let event = Event::StepFinished {
        step: claim.step,
        summary: done.summary.clone(),
        cost_nanos: step_cost(&mut tx, &locked, &step).await?,
        duration_ms: u64::try_from(now - started.unwrap_or(now)).unwrap_or(0),
    };
    locked.append(&mut tx, &event, now).await?;
    let finished = finished_in(&mut tx, &locked.tenant, &locked.run_id).await?;
    let settled = match decide(&locked.run, &finished) {
        Onward::Steps(steps) => {
            insert_steps(&mut tx, &locked.tenant, &locked.run_id, &steps, now).await?;
            locked.save(&mut tx).await?;
            Settled::Onward
        }
        Onward::End(ending) => {
            locked.end(&mut tx, *ending, now).await?;
            Settled::Ended(Box::new(locked.run))
        }
    };
    tx.commit().await?;
    Ok(settled)
}

async fn step_cost(tx: &mut Tx, locked: &Locked, step: &str) -> Result<i64, StoreError> {
    let row = tx
        .query_opt(
            "SELECT CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS cost FROM step_call \
             WHERE tenant = $1 AND run_id = $2 AND step_key = $3",
            &params![&locked.tenant, &locked.run_id, step],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("cost"))
}

pub(super) async fn fail(db: &Database, failure: &Failure, now: i64) -> Result<Settled, StoreError> {
    let claim = &failure.claim;
    let mut tx = db.begin().await?;
    let Some(mut locked) = Locked::take(db, &mut tx, claim.tenant, claim.run_id).await? else {
        return Ok(Settled::Fenced);
    };
    // A sweep may take only what nobody prolonged since it looked.
    let newest_lease = if failure.lease_lost { now } else { i64::MAX };
    let (state, ended_at) =
        if failure.retry_at_ms.is_some() { ("ready", None) } else { ("failed", Some(now)) };
    let changed = tx
        .execute(
            "UPDATE task SET state = $5, run_after = $6, finished_at = $7, summary = $8, lease_owner = '' \
             WHERE tenant = $1 AND run_id = $2 AND step_key = $3 AND fence = $4 AND state = 'running' \
             AND lease_until <= $9",
            &params![
                &locked.tenant,
                &locked.run_id,
                claim.step.to_string(),
                claim.fence,
                state,
                failure.retry_at_ms.unwrap_or(now),
                ended_at,
                &failure.error.message,
                newest_lease
            ],
        )
        .await?;
    if changed == 0 || locked.run.state.is_final() {
        tx.rollback().await?;
        return Ok(Settled::Fenced);
    }
    let event = Event::StepFailed {
        step: claim.step,
        attempt: claim.attempt,
        reason: failure.reason.clone(),
        will_retry: failure.retry_at_ms.is_some(),
    };
    locked.append(&mut tx, &event, now).await?;
    let settled = if failure.retry_at_ms.is_some() {
        locked.save(&mut tx).await?;
        Settled::Onward
    } else {
        locked.end(&mut tx, Ending::failed(failure.error.clone()), now).await?;
        Settled::Ended(Box::new(locked.run))
    };
    tx.commit().await?;
    Ok(settled)
}

pub(super) async fn end(
    db: &Database,
    tenant: TenantId,
    run_id: RunId,
    ending: Ending,
    now: i64,
) -> Result<Option<(Run, bool)>, StoreError> {
    let mut tx = db.begin().await?;
    let Some(mut locked) = Locked::take(db, &mut tx, tenant, run_id).await? else { return Ok(None) };
    let alive = !locked.run.state.is_final();
    if alive {
        locked.end(&mut tx, ending, now).await?;
    }
    tx.commit().await?;
    Ok(Some((locked.run, alive)))
}
