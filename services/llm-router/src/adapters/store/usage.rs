//! The ledger: one record per call to a model.
use std::fmt::Write;

use copydesk_proto::llm_router::v1::Operation;
use copydesk_store::{Database, Row, StoreError, Tx, Value, params};
use copydesk_types::{NanoDollars, RunId, TenantId, UsageId};

use super::{signed, unreadable};
use crate::domain::{Attempt, Attribution, Entry, Tier, Usage, UsageCursor, UsageFilter, UsageRow};

const COLUMNS: [&str; 25] = [
    "tenant",
    "usage_id",
    "time_ms",
    "run_id",
    "step",
    "agent",
    "agent_version",
    "task",
    "model",
    "outcome",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "estimated",
    "cost_nanos",
    "price_version",
    "latency_us",
    "operation",
    "ordered_ms",
    "replica",
    "first_token_us",
    "upstream_status",
    "tier",
    "provider",
    "hedge",
];

const TIERS: [(Tier, &str); 4] = [
    (Tier::Primary, "primary"),
    (Tier::Alternate, "alternate"),
    (Tier::Fallback, "fallback"),
    (Tier::Offline, "offline"),
];

/// Writes records; those that are there stay as they are.
pub(super) async fn add(tx: &mut Tx, entries: &[Entry]) -> Result<(), StoreError> {
    let row = |entry: &Entry, row: &UsageRow| values(entry, row).to_vec();
    let rows = entries.iter().flat_map(|entry| entry.rows.iter().map(move |one| row(entry, one))).collect();
    let into = format!("usage_record ({})", COLUMNS.join(", "));
    tx.insert_rows(&into, rows, "ON CONFLICT (tenant, usage_id) DO NOTHING").await?;
    Ok(())
}

fn values(entry: &Entry, row: &UsageRow) -> [Value; COLUMNS.len()] {
    let (attempt, usage, whose) = (&row.attempt, &row.attempt.usage, &row.attribution);
    let tier = TIERS.iter().find(|(tier, _)| Some(*tier) == attempt.tier).map_or("", |(_, name)| name);
    params![
        entry.tenant.to_string(),
        row.id.to_string(),
        row.time_ms,
        whose.run.map(|run| run.to_string()).unwrap_or_default(),
        whose.step.as_str(),
        whose.agent.as_str(),
        whose.agent_version.as_str(),
        row.task,
        attempt.model.as_str(),
        attempt.outcome.as_str(),
        signed(usage.input),
        signed(usage.cached_input),
        signed(usage.output),
        usage.estimated,
        attempt.cost.0,
        row.price_version.as_str(),
        signed(attempt.latency_us),
        i32::from(row.operation),
        row.ordered_ms,
        entry.replica.as_str(),
        signed(attempt.first_token_us),
        i64::from(attempt.upstream_status),
        tier,
        attempt.model.split('/').next().unwrap_or_default(),
        attempt.hedge
    ]
}

/// The conditions of a filter, and their values after those that are there already.
///
/// An agent's and a run's condition is repeated as the partial index has it: neither database infers that from a
/// parameter.
fn conditions(filter: &UsageFilter, values: &mut Vec<Value>) -> String {
    let mut text = String::new();
    let wanted = [
        (filter.run.map(|run| run.to_string().into()), "run_id <> '' AND run_id ="),
        (filter.agent.as_deref().map(Value::from), "agent <> '' AND agent ="),
        (filter.model.as_deref().map(Value::from), "model ="),
        (filter.from_ms.map(Value::from), "time_ms >="),
        (filter.to_ms.map(Value::from), "time_ms <"),
    ];
    for (value, condition) in wanted {
        if let Some(value) = value {
            values.push(value);
            let _ = write!(text, " AND {condition} ${}", values.len());
        }
    }
    text
}

/// A page of records, newest first.
pub(super) async fn page(
    database: &Database,
    tenant: TenantId,
    filter: &UsageFilter,
    before: UsageCursor,
    limit: u32,
) -> Result<Vec<UsageRow>, StoreError> {
    let mut values = params![tenant.to_string(), before.time_ms, before.id.to_string(), limit].to_vec();
    let conditions = conditions(filter, &mut values);
    let sql = format!(
        "SELECT {} FROM usage_record WHERE tenant = $1 AND (time_ms < $2 OR (time_ms = $2 AND usage_id < $3)){conditions} \
         ORDER BY time_ms DESC, usage_id DESC LIMIT $4",
        COLUMNS.join(", ")
    );
    database.query(sql, &values).await?.iter().map(read).collect()
}

/// The cost of all records that match.
pub(super) async fn total(
    database: &Database,
    tenant: TenantId,
    filter: &UsageFilter,
) -> Result<NanoDollars, StoreError> {
    let mut values = params![tenant.to_string()].to_vec();
    let conditions = conditions(filter, &mut values);
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS total FROM usage_record WHERE tenant = $1{conditions}"
    );
    let row = database.query_opt(sql, &values).await?;
    row.map_or(Ok(NanoDollars(0)), |row| row.get::<i64>("total").map(NanoDollars))
}

fn read(row: &Row) -> Result<UsageRow, StoreError> {
    Ok(UsageRow {
        id: row.get::<String>("usage_id")?.parse::<UsageId>().map_err(|_| unreadable("usage_id"))?,
        time_ms: row.get("time_ms")?,
        attribution: attribution(row)?,
        task: row.get("task")?,
        operation: Operation::try_from(row.get::<i32>("operation")?).map_err(|_| unreadable("operation"))?,
        ordered_ms: row.get("ordered_ms")?,
        attempt: attempt(row)?,
        price_version: row.get("price_version")?,
    })
}

fn attribution(row: &Row) -> Result<Attribution, StoreError> {
    let run: String = row.get("run_id")?;
    let run = match run.as_str() {
        "" => None,
        text => Some(text.parse::<RunId>().map_err(|_| unreadable("run_id"))?),
    };
    Ok(Attribution {
        run,
        step: row.get("step")?,
        agent: row.get("agent")?,
        agent_version: row.get("agent_version")?,
    })
}

fn attempt(row: &Row) -> Result<Attempt, StoreError> {
    let (outcome, tier): (String, String) = (row.get("outcome")?, row.get("tier")?);
    let status: u32 = row.get("upstream_status")?;
    Ok(Attempt {
        model: row.get("model")?,
        outcome: outcome.parse().map_err(|_| unreadable("outcome"))?,
        usage: Usage {
            input: row.get("input_tokens")?,
            cached_input: row.get("cached_input_tokens")?,
            output: row.get("output_tokens")?,
            estimated: row.get("estimated")?,
        },
        cost: NanoDollars(row.get("cost_nanos")?),
        latency_us: row.get("latency_us")?,
        first_token_us: row.get("first_token_us")?,
        upstream_status: u16::try_from(status).map_err(|_| unreadable("upstream_status"))?,
        tier: TIERS.iter().find(|(_, name)| *name == tier).map(|(tier, _)| *tier),
        // The ledger keeps when the caller came and when the attempt ended, not the way in between.
        started_us: 0,
        hedge: row.get("hedge")?,
    })
}
