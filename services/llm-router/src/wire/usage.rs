//! The ledger, as the contract has it.
use copydesk_proto::llm_router::v1 as pb;
use copydesk_rpc::{Violations, paging};
use copydesk_types::TenantId;
use prost_types::Timestamp;

use super::answer::usage;
use super::routing::tier;
use super::{MAX_WORD, timestamp};
use crate::domain::{CostBreakdown, CostGroup, Dimension, UsageCursor, UsageFilter, UsageRow, date};

/// The most dimensions of one breakdown.
const MOST_DIMENSIONS: usize = 3;

/// Which records are asked for, where the page begins and how long it is.
pub struct UsageQuery {
    /// Which records.
    pub filter: UsageFilter,
    /// What the page token is bound to.
    pub bound_to: String,
    /// Where the page begins.
    pub before: UsageCursor,
    /// The most records.
    pub size: u32,
}

/// Reads a request for a page.
pub fn usage_query(
    request: pb::ListUsageRequest,
    tenant: TenantId,
    violations: &mut Violations,
) -> UsageQuery {
    let size = paging::size(request.page_size, violations);
    let run = match request.run_id.as_str() {
        "" => None,
        text => violations.parse("run_id", text),
    };
    for (field, text) in [("agent", &request.agent), ("model", &request.model)] {
        word(field, text, violations);
    }
    let (from_ms, to_ms) = times(request.from, request.to, violations);
    let bound_to = format!(
        "ListUsage run={} agent={:?} model={:?} from={from_ms:?} to={to_ms:?}",
        request.run_id, request.agent, request.model
    );
    let cursor = paging::decode(tenant, &bound_to, &request.page_token, violations);
    let before = cursor.and_then(|cursor| violations.parse("page_token", &cursor));
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let filter =
        UsageFilter { run, agent: given(request.agent), model: given(request.model), from_ms, to_ms };
    UsageQuery { filter, bound_to, before: before.unwrap_or(UsageCursor::NEWEST), size }
}

/// Reads what to group by.
pub fn dimensions(group_by: &[i32], violations: &mut Violations) -> Vec<Dimension> {
    let right = (1..=MOST_DIMENSIONS).contains(&group_by.len());
    violations.check(right, "group_by", format!("must name 1 to {MOST_DIMENSIONS} dimensions"));
    let mut found = Vec::new();
    for (i, number) in group_by.iter().enumerate() {
        let dimension = match pb::CostDimension::try_from(*number) {
            Ok(pb::CostDimension::Agent) => Dimension::Agent,
            Ok(pb::CostDimension::Model) => Dimension::Model,
            Ok(pb::CostDimension::Provider) => Dimension::Provider,
            Ok(pb::CostDimension::Task) => Dimension::Task,
            Ok(pb::CostDimension::Run) => Dimension::Run,
            Ok(pb::CostDimension::Step) => Dimension::Step,
            Ok(pb::CostDimension::Day) => Dimension::Day,
            Ok(pb::CostDimension::Unspecified) | Err(_) => {
                violations.push(format!("group_by[{i}]"), "is not a known dimension");
                continue;
            }
        };
        violations.check(!found.contains(&dimension), format!("group_by[{i}]"), "is named twice");
        found.push(dimension);
    }
    found
}

/// Reads a time from which on, and one before which, in milliseconds since 1970.
pub fn times(
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    violations: &mut Violations,
) -> (Option<i64>, Option<i64>) {
    let from = from.and_then(|time| millis("from", time, violations));
    let to = to.and_then(|time| millis("to", time, violations));
    let order = from.zip(to).is_none_or(|(from, to)| from <= to);
    violations.check(order, "to", "must not be before `from`");
    (from, to)
}

/// Rounds up to whole milliseconds: the ledger's times are whole, so the same records are meant.
fn millis(field: &str, time: Timestamp, violations: &mut Violations) -> Option<i64> {
    let ms = time.seconds.checked_mul(1_000).filter(|_| (0..1_000_000_000).contains(&time.nanos));
    let ms = ms.and_then(|ms| ms.checked_add(i64::from((time.nanos + 999_999) / 1_000_000)));
    // The years 1 to 9999, as the type has it.
    let ms = ms.filter(|_| (-62_135_596_800..=253_402_300_799).contains(&time.seconds));
    violations.check(ms.is_some(), field, "is not a valid time");
    ms
}

/// A text that may be empty and is looked for in the ledger.
pub(super) fn word(field: &str, text: &str, violations: &mut Violations) {
    let most = MAX_WORD * 2;
    violations.check(text.chars().count() <= most, field, format!("must have at most {most} characters"));
    violations.check(!text.contains(char::is_control), field, "must not hold control characters");
}

/// A breakdown as the contract has it.
pub fn cost_breakdown(breakdown: CostBreakdown, by: &[Dimension]) -> pb::GetCostBreakdownResponse {
    pb::GetCostBreakdownResponse {
        groups: breakdown.groups.into_iter().map(|group| cost_group(group, by)).collect(),
        total: Some(cost_group(breakdown.total, &[])),
        truncated: breakdown.truncated,
    }
}

fn cost_group(group: CostGroup, by: &[Dimension]) -> pb::CostGroup {
    pb::CostGroup {
        keys: group.keys.into_iter().zip(by).map(|(key, dimension)| shown(key, *dimension)).collect(),
        calls: group.calls,
        failed_calls: group.failed_calls,
        usage: Some(usage(group.usage)),
        cost_nanos: group.cost.0,
    }
}

fn shown(key: String, dimension: Dimension) -> String {
    let number = key.parse().ok();
    match (dimension, number) {
        (Dimension::Day, Some(day)) => date(day),
        (Dimension::Task, Some(task)) => i32::try_from(task)
            .ok()
            .and_then(|task| pb::Task::try_from(task).ok())
            .map_or(key, |task| task.as_str_name().to_owned()),
        _ => key,
    }
}

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
