//! What the calls cost, and what they may cost.
use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::usage_service_server::UsageService;
use copydesk_rpc::{Caller, ServiceError, Violations, paging};
use copydesk_types::{RunId, TenantId};
use tonic::{Request, Response, Status};

use super::Rpc;
use crate::domain::UsageCursor;
use crate::wire;

#[async_trait]
impl UsageService for Rpc {
    async fn list_usage(
        &self,
        request: Request<pb::ListUsageRequest>,
    ) -> Result<Response<pb::ListUsageResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let request = request.into_inner();
        let filter = format!("ListUsage run={}", request.run_id);
        let (run, before, size) = read_list(&request, tenant, &filter)?;
        let page = self.desk.list_usage(tenant, run, before, size).await.map_err(ServiceError::from)?;
        let token = |cursor: UsageCursor| paging::encode(tenant, &filter, &cursor.encode());
        Ok(Response::new(pb::ListUsageResponse {
            records: page.rows.into_iter().map(wire::usage_record).collect(),
            next_page_token: page.next.map(token).unwrap_or_default(),
            total_cost_nanos: page.total.0,
        }))
    }

    async fn get_cost_breakdown(
        &self,
        _request: Request<pb::GetCostBreakdownRequest>,
    ) -> Result<Response<pb::GetCostBreakdownResponse>, Status> {
        Err(Status::unimplemented("get_cost_breakdown"))
    }

    async fn get_budget(
        &self,
        _request: Request<pb::GetBudgetRequest>,
    ) -> Result<Response<pb::GetBudgetResponse>, Status> {
        Err(Status::unimplemented("get_budget"))
    }

    async fn list_budgets(
        &self,
        _request: Request<pb::ListBudgetsRequest>,
    ) -> Result<Response<pb::ListBudgetsResponse>, Status> {
        Err(Status::unimplemented("list_budgets"))
    }

    async fn set_budget(
        &self,
        _request: Request<pb::SetBudgetRequest>,
    ) -> Result<Response<pb::SetBudgetResponse>, Status> {
        Err(Status::unimplemented("set_budget"))
    }
}

fn read_list(
    request: &pb::ListUsageRequest,
    tenant: TenantId,
    filter: &str,
) -> Result<(Option<RunId>, UsageCursor, u32), ServiceError> {
    let mut violations = Violations::new();
    let size = paging::size(request.page_size, &mut violations);
    let run = match request.run_id.as_str() {
        "" => None,
        text => violations.parse("run_id", text),
    };
    let cursor = paging::decode(tenant, filter, &request.page_token, &mut violations);
    let before = cursor.and_then(|cursor| violations.parse("page_token", &cursor));
    violations.finish()?;
    Ok((run, before.unwrap_or(UsageCursor::NEWEST), size))
}
