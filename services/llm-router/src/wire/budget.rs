//! Budgets, as the contract has them.
use copydesk_proto::llm_router::v1 as pb;
use copydesk_rpc::Violations;
use copydesk_types::RunId;

use super::{MAX_WORD, timestamp};
use crate::domain::{BudgetKey, Limits, Period, Standing, SubjectKind};

/// Reads which budget is meant. `None` comes with a violation.
pub fn budget_key(key: Option<pb::BudgetKey>, violations: &mut Violations) -> Option<BudgetKey> {
    violations.check(key.is_some(), "key", "must be set");
    let key = key?;
    let kind = match key.subject_kind() {
        pb::BudgetSubjectKind::Tenant => Some(SubjectKind::Tenant),
        pb::BudgetSubjectKind::Agent => Some(SubjectKind::Agent),
        pb::BudgetSubjectKind::Run => Some(SubjectKind::Run),
        pb::BudgetSubjectKind::Unspecified => None,
    };
    let period = match key.period() {
        pb::BudgetPeriod::Day => Some(Period::Day),
        pb::BudgetPeriod::Month => Some(Period::Month),
        pb::BudgetPeriod::Total => Some(Period::Total),
        pb::BudgetPeriod::Unspecified => None,
    };
    violations.check(kind.is_some(), "key.subject_kind", "must be TENANT, AGENT or RUN");
    subject(kind, &key.subject, violations);
    violations.check(period.is_some(), "key.period", "must be DAY, MONTH or TOTAL");
    Some(BudgetKey { kind: kind?, subject: key.subject, period: period? })
}

fn subject(kind: Option<SubjectKind>, subject: &str, violations: &mut Violations) {
    match kind {
        Some(SubjectKind::Tenant) => {
            violations.check(subject.is_empty(), "key.subject", "must be empty for TENANT");
        }
        Some(SubjectKind::Agent) => {
            violations.length("key.subject", subject, 1, MAX_WORD);
            violations.check(
                !subject.contains(char::is_control),
                "key.subject",
                "must not hold control characters",
            );
        }
        Some(SubjectKind::Run) => {
            violations.parse::<RunId>("key.subject", subject);
        }
        None => {}
    }
}

/// Reads the numbers; `None`: the budget is to be removed.
pub fn limits(request: &pb::SetBudgetRequest, violations: &mut Violations) -> Option<Limits> {
    let limit = request.limit_nanos;
    violations.check(limit.is_none_or(|limit| limit >= 0), "limit_nanos", "must be 0 or more");
    if let Some(soft) = request.soft_limit_nanos {
        let right = soft >= 0 && limit.is_some_and(|limit| soft <= limit);
        violations.check(right, "soft_limit_nanos", "must be 0 to limit_nanos");
    }
    let limit = limit?;
    let soft = request.soft_limit_nanos.unwrap_or_else(|| Limits::usual_soft(limit));
    Some(Limits { limit, soft })
}

/// A budget as the contract has it.
pub fn budget(standing: Standing) -> pb::Budget {
    let (budget, window) = (standing.budget, standing.window);
    let bounded = budget.key.period != Period::Total;
    pb::Budget {
        limit_nanos: budget.limits.limit,
        soft_limit_nanos: budget.limits.soft,
        period_start: bounded.then(|| timestamp(window.start_ms)),
        period_end: bounded.then(|| timestamp(window.end_ms)),
        spent_nanos: standing.spent.0,
        held_nanos: standing.held.0,
        soft_limit_time: standing.soft_passed_ms.map(timestamp),
        etag: budget.etag(),
        key: Some(key(budget.key)),
    }
}

fn key(key: BudgetKey) -> pb::BudgetKey {
    let kind = match key.kind {
        SubjectKind::Tenant => pb::BudgetSubjectKind::Tenant,
        SubjectKind::Agent => pb::BudgetSubjectKind::Agent,
        SubjectKind::Run => pb::BudgetSubjectKind::Run,
    };
    let period = match key.period {
        Period::Day => pb::BudgetPeriod::Day,
        Period::Month => pb::BudgetPeriod::Month,
        Period::Total => pb::BudgetPeriod::Total,
    };
    pb::BudgetKey { subject_kind: kind.into(), subject: key.subject, period: period.into() }
}

/// A budget's place in the list, as the inside of a page token.
pub fn budget_cursor(key: &BudgetKey) -> String {
    format!("{}:{}:{}", key.kind as i64, key.period as i64, key.subject)
}

/// Reads a place in the list.
pub fn budget_after(cursor: &str, violations: &mut Violations) -> Option<BudgetKey> {
    let place = || {
        let mut parts = cursor.splitn(3, ':');
        let kind = SubjectKind::from_number(parts.next()?.parse().ok()?)?;
        let period = Period::from_number(parts.next()?.parse().ok()?)?;
        Some(BudgetKey { kind, period, subject: parts.next()?.to_owned() })
    };
    let place = place();
    violations.check(place.is_some(), "page_token", "is not a place in the list");
    place
}
