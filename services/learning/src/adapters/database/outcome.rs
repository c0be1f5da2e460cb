//! The table `outcomes`.

use copydesk_store::{Database, Row, StoreError, Tx, params};
use copydesk_types::{NanoDollars, RunId, TenantId};

use super::{code, id, json, to_json};
use crate::domain::accuracy::Decision;
use crate::domain::outcome::{ContentType, Outcome, OutcomeState};

pub(super) async fn record(
    database: &Database,
    tenant: TenantId,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let inserted = database
        .execute(
            "INSERT INTO outcomes (tenant, run_id, brand_id, state, workflow, definition_version, topic, \
             content_type, text, score, confidence, corrections, unsupported, claims, cost_nanos, duration_ms, \
             degraded, lessons, finished_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
             ON CONFLICT (tenant, run_id) DO NOTHING",
            &params![
                tenant.to_string(),
                outcome.run.to_string(),
                outcome.brand.to_string(),
                outcome.state.code(),
                &outcome.workflow,
                &outcome.definition_version,
                &outcome.topic,
                outcome.content_type.map_or(0, ContentType::code),
                &outcome.text,
                outcome.score,
                outcome.confidence,
                outcome.corrections,
                outcome.unsupported,
                outcome.claims,
                outcome.cost.0,
                outcome.duration_ms,
                outcome.degraded,
                to_json(&outcome.lessons),
                outcome.finished_ms,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub(super) async fn get(
    database: &Database,
    tenant: TenantId,
    run: RunId,
) -> Result<Option<Outcome>, StoreError> {
    let row = database
        .query_opt(
            "SELECT * FROM outcomes WHERE tenant = $1 AND run_id = $2",
            &params![tenant.to_string(), run.to_string()],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

/// Notes what a person made of the draft; a later decision takes the place of an earlier one.
pub(super) async fn decide(
    tx: &mut Tx,
    tenant: TenantId,
    run: RunId,
    accepted: bool,
    now_ms: i64,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE outcomes SET decision = $3, decided_ms = $4 WHERE tenant = $1 AND run_id = $2",
        &params![tenant.to_string(), run.to_string(), if accepted { 1_i64 } else { -1 }, now_ms],
    )
    .await?;
    Ok(())
}

pub(super) async fn decisions(
    database: &Database,
    tenant: TenantId,
    most: u32,
) -> Result<Vec<Decision>, StoreError> {
    let rows = database
        .query(
            "SELECT score, decision FROM outcomes WHERE tenant = $1 AND decision <> 0 AND score > 0 \
             ORDER BY decided_ms DESC, run_id COLLATE \"C\" DESC LIMIT $2",
            &params![tenant.to_string(), most],
        )
        .await?;
    let read =
        |row: &Row| Ok(Decision { score: row.get("score")?, accepted: row.get::<i64>("decision")? > 0 });
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Outcome, StoreError> {
    Ok(Outcome {
        run: id(row, "run_id")?,
        brand: id(row, "brand_id")?,
        state: code(row, "state", OutcomeState::from_code)?,
        workflow: row.get("workflow")?,
        definition_version: row.get("definition_version")?,
        topic: row.get("topic")?,
        content_type: ContentType::from_code(row.get("content_type")?),
        text: row.get("text")?,
        score: row.get("score")?,
        confidence: row.get("confidence")?,
        corrections: row.get("corrections")?,
        unsupported: row.get("unsupported")?,
        claims: row.get("claims")?,
        cost: NanoDollars(row.get("cost_nanos")?),
        duration_ms: row.get("duration_ms")?,
        degraded: row.get("degraded")?,
        lessons: json(row, "lessons")?,
        finished_ms: row.get("finished_ms")?,
    })
}
