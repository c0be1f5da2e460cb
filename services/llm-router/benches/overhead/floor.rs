//! The floor: the contract in front, the provider's protocol behind, and nothing between. tonic as it is, hyper as it is;
//! no identity, no layer, no choice, no record.
use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::types::v1::TokenUsage;
use futures_util::{Stream, stream};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request as HttpRequest, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use pb::llm_service_server::{LlmService, LlmServiceServer};
use pb::stream_generate_response::Event;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Serves for ever.
pub async fn serve(listener: TcpListener, upstream: &str) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let floor = Floor { client, uri: format!("http://{upstream}/v1/chat/completions").parse()? };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(Server::builder().add_service(LlmServiceServer::new(floor)).serve_with_incoming(incoming).await?)
}

struct Floor {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
}

#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    messages: [Said<'a>; 1],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Answered {
    choices: Vec<Choice>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Text>,
    delta: Option<Text>,
}

#[derive(Deserialize)]
struct Text {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Floor {
    async fn ask(&self, request: &pb::GenerateRequest, stream: bool) -> Result<Incoming, Status> {
        let content = request.messages.first().map_or("", |message| &message.text);
        let asked = Asked { model: "m", messages: [Said { role: "user", content }], stream };
        let body = serde_json::to_vec(&asked).map_err(internal)?;
        let mut request = HttpRequest::post(self.uri.clone()).body(Full::from(body)).map_err(internal)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self.client.request(request).await.map_err(internal)?.into_body())
    }
}

#[tonic::async_trait]
impl LlmService for Floor {
    type StreamGenerateStream =
        Pin<Box<dyn Stream<Item = Result<pb::StreamGenerateResponse, Status>> + Send>>;

    async fn generate(
        &self,
        request: Request<pb::GenerateRequest>,
    ) -> Result<Response<pb::GenerateResponse>, Status> {
        let body = self.ask(request.get_ref(), false).await?.collect().await.map_err(internal)?.to_bytes();
        let answered: Answered = serde_json::from_slice(&body).map_err(internal)?;
        let text = answered.choices.into_iter().next().and_then(|choice| choice.message);
        let text = text.and_then(|text| text.content).unwrap_or_default();
        let completion = Some(completion(answered.usage));
        Ok(Response::new(pb::GenerateResponse { text, completion, ..pb::GenerateResponse::default() }))
    }

    async fn stream_generate(
        &self,
        request: Request<pb::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        let request = request.into_inner().request.unwrap_or_default();
        let state =
            Lines { body: self.ask(&request, true).await?, rest: Vec::new(), events: VecDeque::new() };
        let events = stream::try_unfold(state, |mut state| async move {
            let event = state.next().await?;
            Ok(event.map(|event| (pb::StreamGenerateResponse { event: Some(event) }, state)))
        });
        Ok(Response::new(Box::pin(events)))
    }

    async fn embed(&self, _: Request<pb::EmbedRequest>) -> Result<Response<pb::EmbedResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn rerank(&self, _: Request<pb::RerankRequest>) -> Result<Response<pb::RerankResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn count_tokens(
        &self,
        _: Request<pb::CountTokensRequest>,
    ) -> Result<Response<pb::CountTokensResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

/// A streamed body on its way into events.
struct Lines {
    body: Incoming,
    rest: Vec<u8>,
    events: VecDeque<Event>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Event>, Status> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let Ok(data) = frame.map_err(internal)?.into_data() else { continue };
            self.rest.extend_from_slice(&data);
            while let Some(end) = memchr::memchr(b'\n', &self.rest) {
                if let Some(json) = self.rest[..end].strip_prefix(b"data: ").filter(|json| *json != b"[DONE]")
                {
                    self.events.extend(event(json)?);
                }
                self.rest.drain(..=end);
            }
        }
    }
}

fn event(json: &[u8]) -> Result<Option<Event>, Status> {
    let answered: Answered = serde_json::from_slice(json).map_err(internal)?;
    let text = answered.choices.into_iter().next().and_then(|choice| choice.delta?.content);
    Ok(match (text, answered.usage) {
        (Some(text), _) => Some(Event::Delta(pb::Delta { text })),
        (None, Some(usage)) => Some(Event::Done(completion(Some(usage)))),
        (None, None) => None,
    })
}

fn completion(counts: Option<Counts>) -> pb::Completion {
    let usage = counts.map(|counts| TokenUsage {
        input_tokens: counts.prompt_tokens,
        output_tokens: counts.completion_tokens,
        ..TokenUsage::default()
    });
    pb::Completion { model: "p/m".to_owned(), usage, ..pb::Completion::default() }
}

fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}
