//! Sums over the ledger.
use copydesk_store::{Database, Row, StoreError, params};
use copydesk_types::{NanoDollars, TenantId};

use crate::domain::{CostBreakdown, CostGroup, Dimension, Usage};

/// Sums are NUMERIC on PostgreSQL.
macro_rules! sums {
    () => {
        "CAST(COUNT(*) AS BIGINT) AS calls, \
         CAST(COALESCE(SUM(CASE WHEN outcome = 'ok' THEN 0 ELSE 1 END), 0) AS BIGINT) AS failed_calls, \
         CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT) AS input_tokens, \
         CAST(COALESCE(SUM(cached_input_tokens), 0) AS BIGINT) AS cached_input_tokens, \
         CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT) AS output_tokens, \
         COALESCE(MAX(estimated), 0) AS estimated, \
         CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS cost_nanos"
    };
}

const FROM: &str = "FROM usage_record WHERE tenant = $1 AND time_ms >= $2 AND time_ms < $3";
const TOTAL: &str =
    concat!("SELECT ", sums!(), " FROM usage_record WHERE tenant = $1 AND time_ms >= $2 AND time_ms < $3");

fn column(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Agent => "agent",
        Dimension::Model => "model",
        Dimension::Provider => "provider",
        Dimension::Task => "CAST(task AS TEXT)",
        Dimension::Run => "run_id",
        Dimension::Step => "step",
        Dimension::Day => "CAST(time_ms / 86400000 AS TEXT)",
    }
}

pub(super) async fn breakdown(
    database: &Database,
    tenant: TenantId,
    by: &[Dimension],
    from_ms: i64,
    to_ms: i64,
    limit: u32,
) -> Result<CostBreakdown, StoreError> {
    let whole = params![tenant.to_string(), from_ms, to_ms];
    let total = match database.query_opt(TOTAL, &whole).await? {
        Some(row) => group(&row, 0)?,
        None => CostGroup::default(),
    };
    let columns: Vec<_> = by.iter().map(|dimension| column(*dimension)).collect();
    let named: Vec<_> = columns.iter().enumerate().map(|(i, column)| format!("{column} AS k{i}")).collect();
    let order: Vec<_> = columns.iter().map(|column| format!("{column} COLLATE \"C\"")).collect();
    let sql = format!(
        "SELECT {}, {} {FROM} GROUP BY {} ORDER BY SUM(cost_nanos) DESC, {} LIMIT $4",
        named.join(", "),
        sums!(),
        columns.join(", "),
        order.join(", ")
    );
    let one_more = i64::from(limit) + 1;
    let rows = database.query(sql, &params![tenant.to_string(), from_ms, to_ms, one_more]).await?;
    let truncated = rows.len() > limit as usize;
    let groups =
        rows.iter().take(limit as usize).map(|row| group(row, by.len())).collect::<Result<_, _>>()?;
    Ok(CostBreakdown { groups, total, truncated })
}

fn group(row: &Row, keys: usize) -> Result<CostGroup, StoreError> {
    Ok(CostGroup {
        keys: (0..keys).map(|i| row.get(&format!("k{i}"))).collect::<Result<_, _>>()?,
        calls: row.get("calls")?,
        failed_calls: row.get("failed_calls")?,
        usage: Usage {
            input: row.get("input_tokens")?,
            cached_input: row.get("cached_input_tokens")?,
            output: row.get("output_tokens")?,
            estimated: row.get("estimated")?,
        },
        cost: NanoDollars(row.get("cost_nanos")?),
    })
}
