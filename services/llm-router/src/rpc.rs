//! The door: convert, ask the desk, convert.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::llm_service_server::LlmService;
use copydesk_proto::llm_router::v1::routing_service_server::RoutingService;
use copydesk_proto::llm_router::v1::stream_generate_response::Event;
use copydesk_proto::llm_router::v1::usage_service_server::UsageService;
use copydesk_rpc::{Caller, ProducedStream, ServiceError, StreamSink, Violations, paging, produce};
use copydesk_types::{RunId, TenantId};
use tonic::{Request, Response, Status};

use crate::app::Desk;
use crate::domain::{Completion, UsageCursor};
use crate::ports::{EventSink, Gone};
use crate::wire;

/// How many events of a stream may wait for their reader.
const WAITING: usize = 64;

/// The handlers.
#[derive(Clone)]
pub struct Rpc {
    desk: Arc<Desk>,
}

impl Rpc {
    /// Handlers over a desk.
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }
}

#[async_trait]
impl LlmService for Rpc {
    type StreamGenerateStream = ProducedStream<pb::StreamGenerateResponse>;

    async fn generate(
        &self,
        request: Request<pb::GenerateRequest>,
    ) -> Result<Response<pb::GenerateResponse>, Status> {
        let caller = Caller::of(&request)?;
        let order = wire::order(request.into_inner(), "", true, self.desk.catalog())?;
        let answer = self.desk.generate(caller.tenant, &order).await.map_err(ServiceError::from)?;
        Ok(Response::new(wire::answer(answer)))
    }

    async fn stream_generate(
        &self,
        request: Request<pb::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let inner = request.into_inner().request;
        violations.check(inner.is_some(), "request", "must be set");
        violations.finish()?;
        let order = wire::order(inner.unwrap_or_default(), "request.", false, self.desk.catalog())?;
        let desk = Arc::clone(&self.desk);
        let stream = produce(WAITING, move |sink| async move {
            let sink = Sink(sink);
            desk.stream_generate(caller.tenant, &order, &sink).await.map_err(ServiceError::from)
        });
        Ok(Response::new(stream))
    }
}

struct Sink(StreamSink<pb::StreamGenerateResponse>);

impl Sink {
    async fn send(&self, event: Event) -> Result<(), Gone> {
        self.0.send(pb::StreamGenerateResponse { event: Some(event) }).await.map_err(|_| Gone)
    }
}

#[async_trait]
impl EventSink for Sink {
    async fn delta(&self, text: String) -> Result<(), Gone> {
        self.send(Event::Delta(pb::Delta { text })).await
    }

    async fn done(&self, completion: Completion) -> Result<(), Gone> {
        self.send(Event::Done(wire::completion(completion))).await
    }
}

#[async_trait]
impl RoutingService for Rpc {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        Caller::of(&request)?;
        let models = self.desk.catalog().targets().iter().map(wire::model).collect();
        Ok(Response::new(pb::ListModelsResponse { models }))
    }
}

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
