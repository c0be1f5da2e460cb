//! Which models there are, how they do, and which one would be chosen.
use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::routing_service_server::RoutingService;
use copydesk_rpc::{Caller, Violations};
use tonic::{Request, Response, Status};

use super::Rpc;
use crate::wire;

#[async_trait]
impl RoutingService for Rpc {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        Caller::of(&request)?;
        let models = self.desk.catalog().targets().iter().map(|target| wire::model(target)).collect();
        Ok(Response::new(pb::ListModelsResponse { models }))
    }

    async fn explain_route(
        &self,
        request: Request<pb::ExplainRouteRequest>,
    ) -> Result<Response<pb::ExplainRouteResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let mut violations = Violations::new();
        let inner = request.into_inner().request;
        violations.check(inner.is_some(), "request", "must be set");
        violations.finish()?;
        let order = wire::order(inner.unwrap_or_default(), "request.", true, &self.desk.catalog())?;
        let decision = wire::decision(self.desk.explain(tenant, &order).await);
        Ok(Response::new(pb::ExplainRouteResponse { decision: Some(decision) }))
    }

    async fn list_providers(
        &self,
        request: Request<pb::ListProvidersRequest>,
    ) -> Result<Response<pb::ListProvidersResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let providers = self.desk.list_providers(tenant, request.into_inner().check).await;
        Ok(Response::new(wire::providers(&providers)))
    }
}
