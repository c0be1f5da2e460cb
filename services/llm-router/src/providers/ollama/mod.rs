//! Ollama's own chat: one JSON object per line, and a schema in `format`.
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::http::{self, Endpoint};
use super::{BuildError, Entry, PieceStream, Provider, ProviderError, Reply, Vectors};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, EmbedCall};

mod embed;
mod reply;
mod request;

pub(super) use embed::read as read_vectors;
pub(super) use reply::{Objects, read as read_reply};

const HOME: &str = "http://127.0.0.1:11434";

pub(super) const ENTRY: Entry = Entry {
    kind: "ollama",
    summary: "models on this machine or network, by Ollama",
    offline: false,
    capabilities: Capabilities::CHAT.and(Capabilities::TOOLS).and(Capabilities::JSON_SCHEMA),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME)?.with_key("authorization", "Bearer ", config)?;
    Ok(Arc::new(Ollama {
        chat: endpoint.at("/api/chat"),
        embeddings: endpoint.at("/api/embed"),
        tags: endpoint.at("/api/tags"),
        endpoint,
    }))
}

struct Ollama {
    endpoint: Endpoint,
    chat: Url,
    embeddings: Url,
    tags: Url,
}

#[async_trait]
impl Provider for Ollama {
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError> {
        let body = http::encode(&request::body(call, false)?, &call.prompt.extra, Some(request::OPTIONS))?;
        self.endpoint.ask(&self.chat, body, |bytes| read_reply(bytes, call)).await
    }

    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError> {
        let body = http::encode(&request::body(call, true)?, &call.prompt.extra, Some(request::OPTIONS))?;
        self.endpoint.stream(&self.chat, body, Objects::new(call)).await
    }

    async fn embed(&self, call: &EmbedCall) -> Result<Vectors, ProviderError> {
        let inputs = call.inputs.len();
        self.endpoint.ask(&self.embeddings, embed::body(call)?, |bytes| read_vectors(bytes, inputs)).await
    }

    async fn health(&self) -> Result<(), ProviderError> {
        self.endpoint.check(&self.tags).await
    }
}
