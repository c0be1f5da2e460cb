//! The service behind its full stack, and requests for it.
use std::future::Future;

use copydesk_llm_router::{Config, ModelConfig, Peers, ProviderConfig, RetryConfig, build};
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::types::v1 as types;
use copydesk_rpc::{Channel, testing};
use copydesk_store::DatabaseConfig;
use copydesk_types::{Scopes, TenantId};
use futures_util::StreamExt;
use pb::stream_generate_response::Event;
use tempfile::TempDir;
use tonic::Status;

pub struct Mesh {
    pub channel: Channel,
    pub llm: pb::llm_service_client::LlmServiceClient<Channel>,
    pub usage: pb::usage_service_client::UsageServiceClient<Channel>,
    pub routing: pb::routing_service_client::RoutingServiceClient<Channel>,
    _dir: TempDir,
}

impl Mesh {
    pub async fn local(config: Config) -> Self {
        Self::start(config, false).await
    }

    /// The same suite runs over both: in process, and over a loopback port.
    pub async fn both(config: Config) -> [Self; 2] {
        [Self::start(config.clone(), false).await, Self::start(config, true).await]
    }

    async fn start(config: Config, remote: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = DatabaseConfig::file(dir.path().join("router.sqlite3"));
        let context = testing::context(dir.path());
        let service = build(config, &database, context, Peers::default(), None).await.unwrap();
        let channel = if remote { testing::remote(service).await } else { testing::local(service) };
        Self {
            llm: pb::llm_service_client::LlmServiceClient::new(channel.clone()),
            usage: pb::usage_service_client::UsageServiceClient::new(channel.clone()),
            routing: pb::routing_service_client::RoutingServiceClient::new(channel.clone()),
            channel,
            _dir: dir,
        }
    }

    /// How the providers do.
    pub async fn providers(&self) -> Vec<pb::Provider> {
        let mut routing = self.routing.clone();
        let call = async { routing.list_providers(pb::ListProvidersRequest::default()).await };
        user(tenant(1), call).await.unwrap().into_inner().providers
    }

    pub async fn ledger(&self, tenant: TenantId) -> pb::ListUsageResponse {
        let call = async { self.usage.clone().list_usage(pb::ListUsageRequest::default()).await };
        user(tenant, call).await.unwrap().into_inner()
    }
}

pub async fn generate(
    mesh: &Mesh,
    of: u128,
    request: pb::GenerateRequest,
) -> Result<pb::GenerateResponse, Status> {
    let mut llm = mesh.llm.clone();
    user(tenant(of), async { llm.generate(request).await }).await.map(tonic::Response::into_inner)
}

/// The text, and the completion or the status that ended it.
pub async fn streamed(mesh: &Mesh, request: pb::GenerateRequest) -> (String, Result<pb::Completion, Status>) {
    streamed_to(mesh, 1, request).await
}

/// Opens a stream.
pub async fn open(
    mesh: &Mesh,
    of: u128,
    request: pb::GenerateRequest,
) -> Result<tonic::Streaming<pb::StreamGenerateResponse>, Status> {
    let mut llm = mesh.llm.clone();
    let request = pb::StreamGenerateRequest { request: Some(request) };
    user(tenant(of), async { llm.stream_generate(request).await }).await.map(tonic::Response::into_inner)
}

/// The same as [`streamed`] for any tenant.
pub async fn streamed_to(
    mesh: &Mesh,
    of: u128,
    request: pb::GenerateRequest,
) -> (String, Result<pb::Completion, Status>) {
    let mut events = match open(mesh, of, request).await {
        Ok(events) => events,
        Err(status) => return (String::new(), Err(status)),
    };
    let (mut text, mut done) = (String::new(), None);
    while let Some(event) = events.next().await {
        match event {
            Err(status) => return (text, Err(status)),
            Ok(event) => match event.event.unwrap() {
                Event::Delta(delta) => {
                    assert!(!delta.text.is_empty() && done.is_none(), "done is last");
                    text.push_str(&delta.text);
                }
                Event::Reasoning(_) | Event::ToolCall(_) | Event::Restarted(_) => {}
                Event::Done(completion) => assert!(done.replace(completion).is_none(), "done comes once"),
            },
        }
    }
    (text, Ok(done.expect("a stream ends with done or a status")))
}

pub fn outcomes(completion: &pb::Completion) -> Vec<(&str, &str)> {
    completion.attempts.iter().map(|a| (a.model.as_str(), a.outcome.as_str())).collect()
}

pub fn tenant(n: u128) -> TenantId {
    TenantId::from_u128(n)
}

pub async fn user<F: Future>(tenant: TenantId, work: F) -> F::Output {
    // How the providers do is the operator's to see.
    let scopes: Scopes = ["*", "platform:read"].into_iter().collect();
    testing::as_caller(tenant, scopes, work).await
}

/// An OpenAI-like provider at `url` with one model that costs 1,000 nano-dollars a token either way.
pub fn openai(name: &str, url: &str) -> ProviderConfig {
    ProviderConfig {
        name: name.into(),
        kind: "openai".into(),
        base_url: Some(url.into()),
        models: vec![ModelConfig {
            name: "m".into(),
            input_nanos_per_million: 1_000_000_000,
            cached_input_nanos_per_million: 500_000_000,
            output_nanos_per_million: 1_000_000_000,
            context_tokens: 8_192,
            ..ModelConfig::default()
        }],
        ..ProviderConfig::default()
    }
}

/// Only these providers, without the offline writer, each asked once.
pub fn only(providers: Vec<ProviderConfig>) -> Config {
    let retry = RetryConfig { rounds: 1, ..RetryConfig::default() };
    Config { providers, retry, offline_fallback: false, ..Config::default() }
}

pub fn ask(text: &str) -> pb::GenerateRequest {
    pb::GenerateRequest {
        messages: vec![pb::Message { role: pb::Role::User.into(), text: text.into(), parts: Vec::new() }],
        ..pb::GenerateRequest::default()
    }
}

/// A social post about vans from one passage.
pub fn draft() -> pb::GenerateRequest {
    let text = "Graded alerts cut temperature alerts from 23 per shift to 3.4 per shift.\n\
        Drivers acknowledged 88 percent of graded alerts within five minutes.\n";
    pb::GenerateRequest {
        task: pb::Task::Draft.into(),
        evidence: vec![types::Passage {
            passage_id: "psg_1".into(),
            document_id: "doc_1".into(),
            title: "Graded alerts".into(),
            text: text.into(),
            score: 1.0,
            ..types::Passage::default()
        }],
        brief: Some(pb::Brief {
            topic: "graded alerts".into(),
            content_type: types::ContentType::Social.into(),
            ..pb::Brief::default()
        }),
        ..ask("Write a post about graded alerts.")
    }
}

/// A chat completion as OpenAI would send it: 10 tokens in, 5 out.
pub fn completion(text: &str) -> String {
    let body = serde_json::json!({
        "id": "c1", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    });
    body.to_string()
}

/// JSON as the contract carries it; an object.
pub fn object(value: serde_json::Value) -> prost_types::Struct {
    match proto(value).kind {
        Some(prost_types::value::Kind::StructValue(object)) => object,
        other => panic!("{other:?} is no object"),
    }
}

fn proto(value: serde_json::Value) -> prost_types::Value {
    use serde_json::Value;
    match value {
        Value::Null => prost_types::Value {
            kind: Some(prost_types::value::Kind::NullValue(prost_types::NullValue::NullValue.into())),
        },
        Value::Bool(yes) => yes.into(),
        Value::Number(number) => number.as_f64().unwrap().into(),
        Value::String(text) => text.into(),
        Value::Array(list) => list.into_iter().map(proto).collect::<Vec<_>>().into(),
        Value::Object(map) => {
            let fields = map.into_iter().map(|(name, value)| (name, proto(value))).collect();
            let object = prost_types::Struct { fields };
            prost_types::Value { kind: Some(prost_types::value::Kind::StructValue(object)) }
        }
    }
}

/// What a status' ErrorInfo says under this name.
pub fn metadata(status: &tonic::Status, name: &str) -> String {
    use tonic_types::StatusExt;
    let info = status.get_error_details().error_info().cloned();
    info.and_then(|info| info.metadata.get(name).cloned()).unwrap_or_default()
}

/// When a status says to ask again.
pub fn retry_delay(status: &tonic::Status) -> Option<std::time::Duration> {
    use tonic_types::StatusExt;
    status.get_error_details().retry_info().and_then(|info| info.retry_delay)
}

/// The reason in a status' ErrorInfo.
pub fn reason(status: &tonic::Status) -> String {
    use tonic_types::StatusExt;
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The fields that a status complains about, in order.
pub fn fields(status: &tonic::Status) -> Vec<String> {
    use tonic_types::StatusExt;
    let details = status.get_error_details();
    details
        .bad_request()
        .map(|b| b.field_violations.iter().map(|f| f.field.clone()).collect())
        .unwrap_or_default()
}
