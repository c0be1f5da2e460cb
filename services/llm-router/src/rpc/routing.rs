//! Which models there are, how they do, and which one would be chosen.
use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::routing_service_server::RoutingService;
use copydesk_rpc::Caller;
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
        _request: Request<pb::ExplainRouteRequest>,
    ) -> Result<Response<pb::ExplainRouteResponse>, Status> {
        Err(Status::unimplemented("explain_route"))
    }

    async fn list_providers(
        &self,
        _request: Request<pb::ListProvidersRequest>,
    ) -> Result<Response<pb::ListProvidersResponse>, Status> {
        Err(Status::unimplemented("list_providers"))
    }
}
