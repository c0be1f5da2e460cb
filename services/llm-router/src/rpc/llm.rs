//! Text, vectors, rankings.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::llm_service_server::LlmService;
use copydesk_proto::llm_router::v1::stream_generate_response::Event;
use copydesk_rpc::{Caller, ProducedStream, ServiceError, StreamSink, Violations, produce};
use tonic::{Request, Response, Status};

use super::Rpc;
use crate::domain::Completion;
use crate::ports::{EventSink, Gone};
use crate::wire;

/// How many events of a stream may wait for their reader.
const WAITING: usize = 64;

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

    async fn embed(&self, request: Request<pb::EmbedRequest>) -> Result<Response<pb::EmbedResponse>, Status> {
        Caller::of(&request)?;
        wire::embed_order(request.into_inner(), self.desk.catalog())?;
        Err(Status::unimplemented("embed"))
    }

    async fn rerank(
        &self,
        request: Request<pb::RerankRequest>,
    ) -> Result<Response<pb::RerankResponse>, Status> {
        Caller::of(&request)?;
        wire::rerank_order(request.into_inner(), self.desk.catalog())?;
        Err(Status::unimplemented("rerank"))
    }

    async fn count_tokens(
        &self,
        request: Request<pb::CountTokensRequest>,
    ) -> Result<Response<pb::CountTokensResponse>, Status> {
        Caller::of(&request)?;
        let (model, turns) = wire::count_order(request.into_inner(), self.desk.catalog())?;
        Ok(Response::new(wire::count(self.desk.count_tokens(model.as_deref(), turns).await)))
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
