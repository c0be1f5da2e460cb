//! From rows to domain values and back. JSON columns hold domain types, written and read by serde.
use copydesk_store::{Row, StoreError};
use copydesk_types::{RunId, TenantId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::run::{Run, RunState, Step, StepState, Usage};
use crate::domain::step::StepKey;
use crate::ports::Claim;

/// Columns of a whole run, with the table's name so that they can be joined.
pub(super) const RUN: &str = "run.tenant, run.run_id, run.input_hash, run.definition, run.state, run.spec, run.brand, \
     run.delegation, run.trace_id, run.spent_nanos, run.input_tokens, run.cached_input_tokens, run.output_tokens, \
     run.tokens_estimated, run.last_seq, run.error, run.created_at, run.started_at, run.finished_at, run.deadline_at";

/// Columns that name a claim.
pub(super) const CLAIM: &str = "tenant, run_id, step_key, attempt, fence";

/// A run; `result` is read when the row has it.
pub(super) fn run(row: &Row, with_result: bool) -> Result<Run, StoreError> {
    let result = if with_result { row.get::<Option<String>>("result")? } else { None };
    Ok(Run {
        run_id: parsed(row, "run_id")?,
        tenant: parsed(row, "tenant")?,
        input_hash: row.get("input_hash")?,
        definition: row.get("definition")?,
        state: word(row, "state", RunState::of)?,
        spec: json(row, "spec")?,
        brand: json(row, "brand")?,
        delegation: row.get("delegation")?,
        trace_id: row.get("trace_id")?,
        spent_nanos: row.get("spent_nanos")?,
        usage: Usage {
            input_tokens: row.get("input_tokens")?,
            cached_input_tokens: row.get("cached_input_tokens")?,
            output_tokens: row.get("output_tokens")?,
            estimated: row.get("tokens_estimated")?,
        },
        last_seq: row.get("last_seq")?,
        error: row.get::<Option<String>>("error")?.map(|text| from_json("error", &text)).transpose()?,
        result: result.map(|text| from_json("result", &text)).transpose()?,
        created_ms: row.get("created_at")?,
        started_ms: row.get("started_at")?,
        finished_ms: row.get("finished_at")?,
        deadline_ms: row.get("deadline_at")?,
    })
}

pub(super) fn step(row: &Row) -> Result<Step, StoreError> {
    Ok(Step {
        key: parsed(row, "step_key")?,
        state: word(row, "state", StepState::of)?,
        attempts: row.get("attempt")?,
        started_ms: row.get("started_at")?,
        finished_ms: row.get("finished_at")?,
        cost_nanos: row.get("cost")?,
        summary: row.get("summary")?,
    })
}

pub(super) fn claim(row: &Row) -> Result<Claim, StoreError> {
    Ok(Claim {
        tenant: parsed::<TenantId>(row, "tenant")?,
        run_id: parsed::<RunId>(row, "run_id")?,
        step: parsed::<StepKey>(row, "step_key")?,
        attempt: row.get("attempt")?,
        fence: row.get("fence")?,
    })
}

/// A text column that must parse.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row, column: &str) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| decode(column, "is malformed"))
}

fn word<T>(row: &Row, column: &str, of: fn(&str) -> Option<T>) -> Result<T, StoreError> {
    of(&row.get::<String>(column)?).ok_or_else(|| decode(column, "is an unknown word"))
}

/// A text column that holds JSON.
pub(super) fn json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    from_json(column, &row.get::<String>(column)?)
}

pub(super) fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| decode(column, &error.to_string()))
}

/// A value as JSON text.
pub(super) fn to_json<T: Serialize>(column: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| decode(column, &error.to_string()))
}

fn decode(column: &str, reason: &str) -> StoreError {
    StoreError::Decode { column: column.to_owned(), reason: reason.to_owned() }
}
