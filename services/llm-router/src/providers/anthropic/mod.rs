//! Anthropic's Messages. The system text stands apart; a schema becomes a tool that the model must call.
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::http::{self, Endpoint};
use super::{BuildError, Entry, PieceStream, Provider, ProviderError, Reply};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities};

mod reply;
mod request;
mod stream;

pub(super) use reply::read as read_reply;
pub(super) use stream::Events;

const HOME: &str = "https://api.anthropic.com";

/// The tool that carries a structured answer.
const TOOL: &str = "answer";

pub(super) const ENTRY: Entry = Entry {
    kind: "anthropic",
    summary: "Anthropic's Messages API",
    offline: false,
    capabilities: Capabilities::CHAT
        .and(Capabilities::TOOLS)
        .and(Capabilities::IMAGES)
        .and(Capabilities::JSON_SCHEMA),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME)?.with_header("anthropic-version", "2023-06-01").with_key(
        "x-api-key",
        "",
        config,
    )?;
    let (messages, models) = (endpoint.at("/v1/messages"), endpoint.at("/v1/models"));
    Ok(Arc::new(Anthropic { endpoint, messages, models }))
}

struct Anthropic {
    endpoint: Endpoint,
    messages: Url,
    models: Url,
}

#[async_trait]
impl Provider for Anthropic {
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError> {
        let body = http::encode(&request::body(call, false), &call.prompt.extra, None)?;
        self.endpoint.ask(&self.messages, body, |bytes| read_reply(bytes, carries_answer(call))).await
    }

    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError> {
        let body = http::encode(&request::body(call, true), &call.prompt.extra, None)?;
        self.endpoint.stream(&self.messages, body, Events::new(carries_answer(call))).await
    }

    async fn health(&self) -> Result<(), ProviderError> {
        self.endpoint.check(&self.models).await
    }
}

/// True when the answer comes as the input of our tool: there is a schema, and the caller's own fields do not turn on
/// thinking, beside which no tool may be forced.
fn carries_answer(call: &Call) -> bool {
    call.prompt.schema.is_some() && !thinks(call)
}

fn thinks(call: &Call) -> bool {
    let kind = call.prompt.extra.get("thinking").and_then(|thinking| thinking.get("type"));
    kind.is_some_and(|kind| kind != "disabled")
}
