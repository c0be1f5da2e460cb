//! What the calls cost and what they may cost, as callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{
    Mesh, ask, completion, draft, fields, generate, only, openai, reason, tenant, user,
};
use crate::support::server::{Server, json};
use copydesk_llm_router::Config;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_types::{RunId, TenantId};
use prost_types::Timestamp;
use tonic::{Code, Status};

/// A call of an agent in a step of a run; it costs 15,000 nano-dollars.
fn call(agent: &str, step: &str) -> pb::GenerateRequest {
    let attribution = pb::Attribution {
        run_id: RunId::from_u128(5).to_string(),
        step: step.into(),
        agent: agent.into(),
        ..Default::default()
    };
    pb::GenerateRequest {
        attribution: Some(attribution),
        task: pb::Task::Draft.into(),
        max_output_tokens: Some(20),
        ..ask("Hi")
    }
}

async fn paid() -> (Server, [Mesh; 2]) {
    let server = Server::start(vec![json("200 OK", "", &completion("Hello."))]).await;
    let meshes = Mesh::both(only(vec![openai("a", &server.url)])).await;
    (server, meshes)
}

async fn list(
    mesh: &Mesh,
    of: TenantId,
    request: pb::ListUsageRequest,
) -> Result<pb::ListUsageResponse, Status> {
    let mut usage = mesh.usage.clone();
    user(of, async { usage.list_usage(request).await }).await.map(tonic::Response::into_inner)
}

async fn breakdown(
    mesh: &Mesh,
    request: pb::GetCostBreakdownRequest,
) -> Result<pb::GetCostBreakdownResponse, Status> {
    let mut usage = mesh.usage.clone();
    user(tenant(1), async { usage.get_cost_breakdown(request).await }).await.map(tonic::Response::into_inner)
}

async fn set(mesh: &Mesh, of: TenantId, request: pb::SetBudgetRequest) -> Result<Option<pb::Budget>, Status> {
    let mut usage = mesh.usage.clone();
    user(of, async { usage.set_budget(request).await }).await.map(|response| response.into_inner().budget)
}

async fn get(mesh: &Mesh, of: TenantId, key: Option<pb::BudgetKey>) -> Result<pb::Budget, Status> {
    let mut usage = mesh.usage.clone();
    let request = pb::GetBudgetRequest { key };
    user(of, async { usage.get_budget(request).await }).await.map(|r| r.into_inner().budget.unwrap())
}

async fn budgets(
    mesh: &Mesh,
    of: TenantId,
    size: u32,
    token: &str,
) -> Result<pb::ListBudgetsResponse, Status> {
    let mut usage = mesh.usage.clone();
    let request = pb::ListBudgetsRequest { page_size: size, page_token: token.into() };
    user(of, async { usage.list_budgets(request).await }).await.map(tonic::Response::into_inner)
}

fn key(kind: pb::BudgetSubjectKind, subject: &str, period: pb::BudgetPeriod) -> pb::BudgetKey {
    pb::BudgetKey { subject_kind: kind.into(), subject: subject.into(), period: period.into() }
}

fn tenant_day() -> pb::BudgetKey {
    key(pb::BudgetSubjectKind::Tenant, "", pb::BudgetPeriod::Day)
}

fn limit(key: pb::BudgetKey, limit: i64) -> pb::SetBudgetRequest {
    pb::SetBudgetRequest { key: Some(key), limit_nanos: Some(limit), ..Default::default() }
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

#[tokio::test]
async fn the_ledger_is_filtered_and_the_sum_is_of_what_matches() {
    let (_server, meshes) = paid().await;
    for mesh in meshes {
        for agent in ["writer", "writer", "critic"] {
            generate(&mesh, 1, call(agent, "s")).await.unwrap();
        }
        let writer = pb::ListUsageRequest { agent: "writer".into(), page_size: 1, ..Default::default() };
        let page = list(&mesh, tenant(1), writer.clone()).await.unwrap();
        assert_eq!((page.records.len(), page.total_cost_nanos), (1, 30_000));
        let time = page.records[0].time.unwrap();
        let next = pb::ListUsageRequest { page_token: page.next_page_token.clone(), ..writer.clone() };
        let last = list(&mesh, tenant(1), next.clone()).await.unwrap();
        assert_eq!((last.records.len(), last.next_page_token.as_str()), (1, ""));
        for other in [
            pb::ListUsageRequest { agent: "critic".into(), ..next.clone() },
            pb::ListUsageRequest { model: "a/m".into(), ..next.clone() },
            pb::ListUsageRequest { from: at(0), ..next.clone() },
            pb::ListUsageRequest { to: at(99_999_999_999), ..next.clone() },
        ] {
            let status = list(&mesh, tenant(1), other).await.unwrap_err();
            assert_eq!(fields(&status), ["page_token"], "a token is for its own filter");
        }
        let count = async |request| list(&mesh, tenant(1), request).await.unwrap().records.len();
        let all = pb::ListUsageRequest::default;
        assert_eq!(count(pb::ListUsageRequest { model: "a/m".into(), ..all() }).await, 3);
        assert_eq!(count(pb::ListUsageRequest { model: "a/other".into(), ..all() }).await, 0);
        assert_eq!(count(pb::ListUsageRequest { from: at(time.seconds + 60), ..all() }).await, 0);
        assert_eq!(count(pb::ListUsageRequest { to: at(time.seconds - 60), ..all() }).await, 0);
        let to = Some(Timestamp { seconds: time.seconds + 60, nanos: 5 });
        assert_eq!(count(pb::ListUsageRequest { from: at(time.seconds - 60), to, ..all() }).await, 3);

        let bad = pb::ListUsageRequest {
            agent: "a\u{0}".into(),
            model: "m".repeat(257),
            from: Some(Timestamp { seconds: 0, nanos: -1 }),
            to: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
            page_size: 501,
            ..all()
        };
        let status = list(&mesh, tenant(1), bad).await.unwrap_err();
        assert_eq!(fields(&status), ["page_size", "agent", "model", "from", "to"]);
        let backwards = pb::ListUsageRequest { from: at(2), to: at(1), ..all() };
        assert_eq!(fields(&list(&mesh, tenant(1), backwards).await.unwrap_err()), ["to"]);
    }
}

#[tokio::test]
async fn costs_are_summed_by_what_is_asked_for() {
    use pb::CostDimension::{Agent, Day, Model, Provider, Run, Step, Task, Unspecified};
    let (_server, meshes) = paid().await;
    for mesh in meshes {
        for (agent, step) in [("writer", "one"), ("writer", "two"), ("critic", "two")] {
            generate(&mesh, 1, call(agent, step)).await.unwrap();
        }
        let by = |dimensions: &[pb::CostDimension]| pb::GetCostBreakdownRequest {
            group_by: dimensions.iter().map(|d| (*d).into()).collect(),
            ..Default::default()
        };
        let found = breakdown(&mesh, by(&[Agent])).await.unwrap();
        let groups: Vec<_> =
            found.groups.iter().map(|g| (g.keys[0].as_str(), g.calls, g.cost_nanos)).collect();
        assert_eq!(groups, [("writer", 2, 30_000), ("critic", 1, 15_000)], "dearest first");
        let total = found.total.unwrap();
        assert_eq!((total.calls, total.failed_calls, total.cost_nanos), (3, 0, 45_000));
        assert_eq!(total.usage.unwrap().input_tokens, 30);
        assert!(total.keys.is_empty() && !found.truncated);

        let found = breakdown(&mesh, by(&[Provider, Task, Step])).await.unwrap();
        let keys: Vec<_> = found.groups.iter().map(|group| group.keys.join(" ")).collect();
        assert_eq!(keys, ["a TASK_DRAFT two", "a TASK_DRAFT one"]);
        let found = breakdown(&mesh, by(&[Model, Run, Day])).await.unwrap();
        let keys = &found.groups[0].keys;
        assert_eq!((keys[0].as_str(), &keys[1]), ("a/m", &RunId::from_u128(5).to_string()));
        assert!(keys[2].len() == 10 && keys[2].starts_with("20"), "{}", keys[2]);

        let past = pb::GetCostBreakdownRequest { to: at(1_000_000), ..by(&[Agent]) };
        assert_eq!(breakdown(&mesh, past).await.unwrap().total.unwrap().calls, 0);
        for (wrong, field) in [
            (by(&[]), "group_by"),
            (by(&[Agent, Model, Day, Run]), "group_by"),
            (by(&[Agent, Agent]), "group_by[1]"),
            (by(&[Unspecified]), "group_by[0]"),
            (pb::GetCostBreakdownRequest { from: at(2), to: at(1), ..by(&[Agent]) }, "to"),
        ] {
            assert_eq!(fields(&breakdown(&mesh, wrong).await.unwrap_err()), [field]);
        }
    }
}

#[tokio::test]
async fn a_budget_is_made_changed_read_and_removed() {
    let (_server, meshes) = paid().await;
    for mesh in meshes {
        generate(&mesh, 1, call("writer", "s")).await.unwrap();
        let made = set(&mesh, tenant(1), limit(tenant_day(), 100_000)).await.unwrap().unwrap();
        assert_eq!((made.limit_nanos, made.soft_limit_nanos, made.spent_nanos), (100_000, 80_000, 15_000));
        let (start, end) = (made.period_start.unwrap(), made.period_end.unwrap());
        assert_eq!((start.seconds % 86_400, end.seconds - start.seconds), (0, 86_400));
        assert_eq!((made.held_nanos, made.soft_limit_time), (0, None));
        generate(&mesh, 1, call("writer", "s")).await.unwrap();
        let read = get(&mesh, tenant(1), Some(tenant_day())).await.unwrap();
        assert_eq!((read.spent_nanos, &read.etag), (30_000, &made.etag));
        assert_eq!(get(&mesh, tenant(2), Some(tenant_day())).await.unwrap_err().code(), Code::NotFound);

        let change = |etag: &str, limit_nanos| pb::SetBudgetRequest {
            etag: etag.into(),
            limit_nanos,
            soft_limit_nanos: limit_nanos.map(|_| 0),
            key: Some(tenant_day()),
        };
        let changed = set(&mesh, tenant(1), change(&made.etag, Some(7))).await.unwrap().unwrap();
        assert_eq!((changed.limit_nanos, changed.soft_limit_nanos), (7, 0));
        let stale = set(&mesh, tenant(1), change(&made.etag, Some(8))).await.unwrap_err();
        assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "BUDGET_CHANGED"));
        let foreign = set(&mesh, tenant(2), change(&changed.etag, Some(8))).await.unwrap_err();
        assert_eq!(foreign.code(), Code::Aborted);

        assert_eq!(set(&mesh, tenant(1), change(&changed.etag, None)).await.unwrap(), None);
        assert_eq!(set(&mesh, tenant(1), change("", None)).await.unwrap(), None, "a repeat is no fault");
        let gone = get(&mesh, tenant(1), Some(tenant_day())).await.unwrap_err();
        assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "NOT_FOUND"));
    }
}

#[tokio::test]
async fn every_fault_of_a_budget_is_named_at_once() {
    use pb::{BudgetPeriod, BudgetSubjectKind};
    let mesh = Mesh::local(Config::default()).await;
    let set_faults = async |request| fields(&set(&mesh, tenant(1), request).await.unwrap_err());
    assert_eq!(set_faults(pb::SetBudgetRequest::default()).await, ["key"]);
    let bad = pb::SetBudgetRequest {
        key: Some(pb::BudgetKey { subject_kind: 77, subject: "x".into(), period: 0 }),
        limit_nanos: Some(-1),
        soft_limit_nanos: Some(-2),
        etag: String::new(),
    };
    assert_eq!(set_faults(bad).await, ["key.subject_kind", "key.period", "limit_nanos", "soft_limit_nanos"]);
    let soft = |limit_nanos, soft| pb::SetBudgetRequest {
        limit_nanos,
        soft_limit_nanos: Some(soft),
        ..limit(tenant_day(), 0)
    };
    assert_eq!(set_faults(soft(Some(5), 6)).await, ["soft_limit_nanos"]);
    assert_eq!(set_faults(soft(None, 6)).await, ["soft_limit_nanos"], "there is no limit for it");
    for wrong in [
        key(BudgetSubjectKind::Tenant, "x", BudgetPeriod::Day),
        key(BudgetSubjectKind::Agent, "", BudgetPeriod::Day),
        key(BudgetSubjectKind::Agent, "a\n", BudgetPeriod::Day),
        key(BudgetSubjectKind::Run, "run_x", BudgetPeriod::Day),
    ] {
        assert_eq!(set_faults(limit(wrong.clone(), 1)).await, ["key.subject"], "{wrong:?}");
        assert_eq!(fields(&get(&mesh, tenant(1), Some(wrong)).await.unwrap_err()), ["key.subject"]);
    }
    assert_eq!(fields(&get(&mesh, tenant(1), None).await.unwrap_err()), ["key"]);
    let pages = budgets(&mesh, tenant(1), 501, "x").await.unwrap_err();
    assert_eq!(fields(&pages), ["page_size", "page_token"]);
}

#[tokio::test]
async fn budgets_are_listed_in_order_and_each_tenant_sees_its_own() {
    use pb::{BudgetPeriod, BudgetSubjectKind};
    let run = RunId::from_u128(5).to_string();
    for mesh in Mesh::both(Config::default()).await {
        generate(&mesh, 1, draft()).await.unwrap();
        let keys = [
            key(BudgetSubjectKind::Tenant, "", BudgetPeriod::Day),
            key(BudgetSubjectKind::Tenant, "", BudgetPeriod::Total),
            key(BudgetSubjectKind::Agent, "B", BudgetPeriod::Month),
            key(BudgetSubjectKind::Agent, "a:b", BudgetPeriod::Day),
            key(BudgetSubjectKind::Agent, "a:b", BudgetPeriod::Month),
            key(BudgetSubjectKind::Run, &run, BudgetPeriod::Total),
        ];
        for key in keys.iter().rev() {
            set(&mesh, tenant(1), limit(key.clone(), 5)).await.unwrap();
        }
        set(&mesh, tenant(2), limit(keys[2].clone(), 9)).await.unwrap();
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = budgets(&mesh, tenant(1), 2, &token).await.unwrap();
            assert!(page.budgets.len() <= 2);
            found.extend(page.budgets);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(found.iter().filter_map(|b| b.key.clone()).collect::<Vec<_>>(), keys);
        assert_eq!((found[1].period_start, found[1].period_end), (None, None), "TOTAL has no end");
        let others = budgets(&mesh, tenant(2), 0, "").await.unwrap().budgets;
        assert_eq!((others.len(), others[0].limit_nanos), (1, 9));
        let token = budgets(&mesh, tenant(1), 2, "").await.unwrap().next_page_token;
        let foreign = budgets(&mesh, tenant(2), 2, &token).await.unwrap_err();
        assert_eq!(fields(&foreign), ["page_token"]);
    }
}

#[tokio::test]
async fn an_exhausted_budget_is_told_with_its_quota() {
    use copydesk_llm_router::Error;
    use copydesk_llm_router::domain::{Period, SubjectKind};
    use copydesk_rpc::ServiceError;
    use copydesk_types::NanoDollars;
    use std::time::Duration;
    use tonic_types::StatusExt;
    let status = |resets_in| -> Status {
        let error = Error::BudgetExhausted {
            subject: SubjectKind::Agent,
            period: Period::Day,
            limit: NanoDollars(2_000_000_000),
            left: NanoDollars(500_000),
            worst: NanoDollars(600_000),
            resets_in,
        };
        ServiceError::from(error).into()
    };
    let soon = status(Some(Duration::from_secs(3_600)));
    assert_eq!((soon.code(), reason(&soon).as_str()), (Code::ResourceExhausted, "BUDGET_EXHAUSTED"));
    let details = soon.get_error_details();
    let quota = &details.quota_failure().unwrap().violations[0];
    assert_eq!(quota.subject, "agent day");
    assert_eq!(quota.description, "$0.000500 left of $2.000000, the call may cost $0.000600");
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3_600)));
    for late in [Some(Duration::from_secs(3_601)), None] {
        assert!(status(late).get_error_details().retry_info().is_none(), "not worth waiting for");
    }
}
