//! What the calls cost, and what they may cost.
use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::usage_service_server::UsageService;
use copydesk_rpc::{Caller, ServiceError, Violations, paging};
use tonic::{Request, Response, Status};

use super::Rpc;
use crate::domain::{BudgetKey, UsageCursor};
use crate::wire;

/// What the page tokens of ListBudgets are bound to: it has no filter.
const ALL_BUDGETS: &str = "ListBudgets";

#[async_trait]
impl UsageService for Rpc {
    async fn list_usage(
        &self,
        request: Request<pb::ListUsageRequest>,
    ) -> Result<Response<pb::ListUsageResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let mut violations = Violations::new();
        let query = wire::usage_query(request.into_inner(), tenant, &mut violations);
        violations.finish()?;
        let page = self.desk.list_usage(tenant, &query.filter, query.before, query.size).await;
        let page = page.map_err(ServiceError::from)?;
        let token = |cursor: UsageCursor| paging::encode(tenant, &query.bound_to, &cursor.encode());
        Ok(Response::new(pb::ListUsageResponse {
            records: page.rows.into_iter().map(wire::usage_record).collect(),
            next_page_token: page.next.map(token).unwrap_or_default(),
            total_cost_nanos: page.total.0,
        }))
    }

    async fn get_cost_breakdown(
        &self,
        request: Request<pb::GetCostBreakdownRequest>,
    ) -> Result<Response<pb::GetCostBreakdownResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let by = wire::dimensions(&request.group_by, &mut violations);
        let (from, to) = wire::times(request.from, request.to, &mut violations);
        violations.finish()?;
        let breakdown = self.desk.cost_breakdown(tenant, &by, from, to).await.map_err(ServiceError::from)?;
        Ok(Response::new(wire::cost_breakdown(breakdown, &by)))
    }

    async fn get_budget(
        &self,
        request: Request<pb::GetBudgetRequest>,
    ) -> Result<Response<pb::GetBudgetResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let mut violations = Violations::new();
        let key = wire::budget_key(request.into_inner().key, &mut violations);
        let key = checked(key, violations)?;
        let standing = self.desk.budget(tenant, &key).await.map_err(ServiceError::from)?;
        Ok(Response::new(pb::GetBudgetResponse { budget: Some(wire::budget(standing)) }))
    }

    async fn list_budgets(
        &self,
        request: Request<pb::ListBudgetsRequest>,
    ) -> Result<Response<pb::ListBudgetsResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let size = paging::size(request.page_size, &mut violations);
        let cursor = paging::decode(tenant, ALL_BUDGETS, &request.page_token, &mut violations);
        let after = cursor.and_then(|cursor| wire::budget_after(&cursor, &mut violations));
        violations.finish()?;
        let page = self.desk.list_budgets(tenant, after.as_ref(), size).await.map_err(ServiceError::from)?;
        let token = |key: BudgetKey| paging::encode(tenant, ALL_BUDGETS, &wire::budget_cursor(&key));
        Ok(Response::new(pb::ListBudgetsResponse {
            budgets: page.standings.into_iter().map(wire::budget).collect(),
            next_page_token: page.next.map(token).unwrap_or_default(),
        }))
    }

    async fn set_budget(
        &self,
        request: Request<pb::SetBudgetRequest>,
    ) -> Result<Response<pb::SetBudgetResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let key = wire::budget_key(request.key.clone(), &mut violations);
        let limits = wire::limits(&request, &mut violations);
        let key = checked(key, violations)?;
        let standing = self.desk.set_budget(tenant, &key, limits, &request.etag).await;
        let standing = standing.map_err(ServiceError::from)?;
        Ok(Response::new(pb::SetBudgetResponse { budget: standing.map(wire::budget) }))
    }
}

/// The key, unless something is wrong with the request; a key that is missing is.
fn checked(key: Option<BudgetKey>, violations: Violations) -> Result<BudgetKey, ServiceError> {
    violations.finish()?;
    key.ok_or_else(|| ServiceError::new(copydesk_rpc::Kind::Internal, "INTERNAL", "internal error"))
}
