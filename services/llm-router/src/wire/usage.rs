//! The ledger and budgets, as the contract has them.
use copydesk_proto::llm_router::v1 as pb;

use super::answer::usage;
use super::routing::tier;
use super::timestamp;
use crate::domain::UsageRow;

/// A record of the ledger as the contract has it.
pub fn usage_record(row: UsageRow) -> pb::UsageRecord {
    let whose = row.attribution;
    let attempt = row.attempt;
    pb::UsageRecord {
        usage_id: row.id.to_string(),
        time: Some(timestamp(row.time_ms)),
        attribution: Some(pb::Attribution {
            run_id: whose.run.map(|run| run.to_string()).unwrap_or_default(),
            step: whose.step,
            agent: whose.agent,
            agent_version: whose.agent_version,
        }),
        task: row.task,
        model: attempt.model,
        outcome: attempt.outcome.as_str().to_owned(),
        usage: Some(usage(attempt.usage)),
        cost_nanos: attempt.cost.0,
        price_version: row.price_version,
        latency_us: attempt.latency_us,
        operation: row.operation.into(),
        first_token_us: attempt.first_token_us,
        upstream_status: attempt.upstream_status.into(),
        tier: tier(attempt.tier).into(),
    }
}
