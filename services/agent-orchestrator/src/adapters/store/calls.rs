//! The memory of finished calls inside steps.
use copydesk_store::{Database, StoreError, Value, params};

use super::settle::Locked;
use crate::domain::run::Usage;
use crate::ports::Call;

fn keys(call: &Call<'_>) -> [Value; 5] {
    params![
        call.tenant.to_string(),
        call.run_id.to_string(),
        call.step.to_string(),
        call.call_key,
        call.input_hash
    ]
}

pub(super) async fn recall(db: &Database, call: &Call<'_>) -> Result<Option<String>, StoreError> {
    let row = db
        .query_opt(
            "SELECT output FROM step_call WHERE tenant = $1 AND run_id = $2 AND step_key = $3 AND call_key = $4 \
             AND input_hash = $5",
            &keys(call),
        )
        .await?;
    row.map(|row| row.get("output")).transpose()
}

pub(super) async fn remember(
    db: &Database,
    call: &Call<'_>,
    output: &str,
    cost_nanos: i64,
    usage: Usage,
    now: i64,
) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    let Some(locked) = Locked::take(db, &mut tx, call.tenant, call.run_id).await? else { return Ok(()) };
    let mut row = keys(call).to_vec();
    row.extend(params![output, cost_nanos, now]);
    let inserted = tx
        .execute(
            "INSERT INTO step_call (tenant, run_id, step_key, call_key, input_hash, output, cost_nanos, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (tenant, run_id, step_key, call_key, input_hash) DO NOTHING",
            &row,
        )
        .await?;
    if inserted == 1 {
        let sum = |a: u64, b: u64| i64::try_from(a.saturating_add(b)).unwrap_or(i64::MAX);
        let so_far = locked.run.usage;
        tx.execute(
            "UPDATE run SET spent_nanos = $3, input_tokens = $4, cached_input_tokens = $5, output_tokens = $6, \
             tokens_estimated = $7 WHERE tenant = $1 AND run_id = $2",
            &params![
                &locked.tenant,
                &locked.run_id,
                locked.run.spent_nanos.saturating_add(cost_nanos.max(0)),
                sum(so_far.input_tokens, usage.input_tokens),
                sum(so_far.cached_input_tokens, usage.cached_input_tokens),
                sum(so_far.output_tokens, usage.output_tokens),
                so_far.estimated || usage.estimated
            ],
        )
        .await?;
    }
    tx.commit().await
}
