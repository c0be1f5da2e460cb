//! Text, vectors, rankings.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::llm_service_server::LlmService;
use copydesk_proto::llm_router::v1::stream_generate_response::Event;
use copydesk_rpc::{CallContext, Caller, ProducedStream, ServiceError, StreamSink, Violations, produce};
use tonic::{Request, Response, Status};

use super::Rpc;
use crate::app::Visit;
use crate::error::Error;
use crate::ports::{EventSink, Gone, StreamEvent};
use crate::wire;

/// How many events of a stream may wait for their reader.
const WAITING: usize = 64;
/// The longest text, in bytes, that pieces are joined to while they wait for their reader.
const JOINED: usize = 16 << 10;

#[async_trait]
impl LlmService for Rpc {
    type StreamGenerateStream = ProducedStream<pb::StreamGenerateResponse>;

    async fn generate(
        &self,
        request: Request<pb::GenerateRequest>,
    ) -> Result<Response<pb::GenerateResponse>, Status> {
        let caller = Caller::of(&request)?;
        let visit = visit(&caller);
        let order = wire::order(request.into_inner(), "", true, &self.desk.catalog())?;
        let analyses = order.prompt.analyses.clone();
        let answer = self.desk.generate(visit, order).await.map_err(ServiceError::from)?;
        Ok(Response::new(wire::answer(answer, &analyses)))
    }

    async fn stream_generate(
        &self,
        request: Request<pb::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        let visit = visit(&Caller::of(&request)?);
        let mut violations = Violations::new();
        let inner = request.into_inner().request;
        violations.check(inner.is_some(), "request", "must be set");
        violations.finish()?;
        let order = wire::order(inner.unwrap_or_default(), "request.", false, &self.desk.catalog())?;
        let desk = Arc::clone(&self.desk);
        let stream = produce(WAITING, move |sink| async move {
            let sink = Arc::new(Sink(sink));
            let heard: Arc<dyn EventSink> = Arc::clone(&sink) as Arc<dyn EventSink>;
            let answer = desk.stream_generate(visit, order, heard).await?;
            let done = sink.send(Event::Done(wire::completion(answer.completion))).await;
            done.map_err(|gone| Error::from(gone).into())
        });
        Ok(Response::new(stream.begun().await?))
    }

    async fn embed(&self, request: Request<pb::EmbedRequest>) -> Result<Response<pb::EmbedResponse>, Status> {
        let visit = visit(&Caller::of(&request)?);
        let order = wire::embed_order(request.into_inner(), &self.desk.catalog())?;
        let embedded = self.desk.embed(visit, order).await.map_err(ServiceError::from)?;
        Ok(Response::new(wire::embedded(embedded)))
    }

    async fn rerank(
        &self,
        request: Request<pb::RerankRequest>,
    ) -> Result<Response<pb::RerankResponse>, Status> {
        let visit = visit(&Caller::of(&request)?);
        let order = wire::rerank_order(request.into_inner(), &self.desk.catalog())?;
        let ranked = self.desk.rerank(visit, order).await.map_err(ServiceError::from)?;
        Ok(Response::new(wire::ranked(ranked)))
    }

    async fn count_tokens(
        &self,
        request: Request<pb::CountTokensRequest>,
    ) -> Result<Response<pb::CountTokensResponse>, Status> {
        Caller::of(&request)?;
        let (model, turns) = wire::count_order(request.into_inner(), &self.desk.catalog())?;
        Ok(Response::new(wire::count(self.desk.count_tokens(model.as_deref(), turns).await)))
    }
}

struct Sink(StreamSink<pb::StreamGenerateResponse>);

impl Sink {
    async fn send(&self, event: Event) -> Result<(), Gone> {
        let response = pb::StreamGenerateResponse { event: Some(event) };
        self.0.send_or_join(response, join).await.map_err(|_| Gone)
    }
}

/// Joins a piece of text to the one before it, if that one still waits and is of the same kind.
fn join(
    last: &mut pb::StreamGenerateResponse,
    next: pb::StreamGenerateResponse,
) -> Option<pb::StreamGenerateResponse> {
    match (&mut last.event, next.event) {
        (Some(Event::Delta(last)), Some(Event::Delta(next)))
        | (Some(Event::Reasoning(last)), Some(Event::Reasoning(next)))
            if last.text.len() + next.text.len() <= JOINED =>
        {
            last.text.push_str(&next.text);
            None
        }
        (_, event) => Some(pb::StreamGenerateResponse { event }),
    }
}

#[async_trait]
impl EventSink for Sink {
    async fn event(&self, event: StreamEvent) -> Result<(), Gone> {
        self.send(match event {
            StreamEvent::Text(text) => Event::Delta(pb::Delta { text }),
            StreamEvent::Reasoning(text) => Event::Reasoning(pb::Delta { text }),
            StreamEvent::ToolCall(call) => Event::ToolCall(wire::tool_call(call)),
            StreamEvent::Restarted { model, outcome } => {
                Event::Restarted(pb::Restarted { model, outcome: outcome.as_str().to_owned() })
            }
        })
        .await
    }
}

fn visit(caller: &Caller) -> Visit {
    Visit::now(caller.tenant, CallContext::current().deadline())
}
