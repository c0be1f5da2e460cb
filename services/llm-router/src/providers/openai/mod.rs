//! Chat completions as OpenAI defined them and many others speak them.
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::http::{self, Endpoint};
use super::{BuildError, Entry, PieceStream, Preset, Provider, ProviderError, Reply, Vectors};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, EmbedCall};

mod embed;
mod message;
mod reply;
mod request;

pub(super) use embed::read as read_vectors;
pub(super) use reply::{Chunks, read as read_reply};
use request::Dialect;

const HOME: &str = "https://api.openai.com/v1";

const PRESETS: [Preset; 6] = [
    preset("groq", "https://api.groq.com/openai/v1"),
    // It counts unasked at the end of a stream, and refuses some fields of OpenAI's.
    Preset { stream_options: false, ..preset("cerebras", "https://api.cerebras.ai/v1") },
    Preset { json_schema: false, ..preset("deepseek", "https://api.deepseek.com/v1") },
    preset("vllm", "http://127.0.0.1:8000/v1"),
    preset("llama_cpp", "http://127.0.0.1:8080/v1"),
    preset("ollama_openai", "http://127.0.0.1:11434/v1"),
];

const fn preset(name: &'static str, base_url: &'static str) -> Preset {
    Preset { name, base_url, stream_options: true, json_schema: true }
}

pub(super) const ENTRY: Entry = Entry {
    kind: "openai",
    summary: "OpenAI and everything that speaks its chat completions (Groq, vLLM, LM Studio, …)",
    offline: false,
    capabilities: Capabilities::CHAT.and(Capabilities::TOOLS).and(Capabilities::JSON_SCHEMA),
    presets: &PRESETS,
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let preset = PRESETS.iter().find(|preset| preset.name == config.kind);
    let endpoint = Endpoint::build(config, preset.map_or(HOME, |preset| preset.base_url))?;
    let endpoint = endpoint.with_key("authorization", "Bearer ", config)?;
    let dialect = Dialect {
        new_limit: endpoint.host() == "api.openai.com",
        stream_options: preset.is_none_or(|preset| preset.stream_options),
        json_schema: preset.is_none_or(|preset| preset.json_schema),
    };
    Ok(Arc::new(OpenAi {
        chat: endpoint.at("/chat/completions"),
        embeddings: endpoint.at("/embeddings"),
        models: endpoint.at("/models"),
        endpoint,
        dialect,
    }))
}

struct OpenAi {
    endpoint: Endpoint,
    chat: Url,
    embeddings: Url,
    models: Url,
    dialect: Dialect,
}

#[async_trait]
impl Provider for OpenAi {
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError> {
        let body = http::encode(&self.dialect.body(call, false), &call.prompt.extra, None)?;
        self.endpoint.ask(&self.chat, body, |bytes| read_reply(bytes, call)).await
    }

    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError> {
        let body = http::encode(&self.dialect.body(call, true), &call.prompt.extra, None)?;
        self.endpoint.stream(&self.chat, body, Chunks::new(call)).await
    }

    async fn embed(&self, call: &EmbedCall) -> Result<Vectors, ProviderError> {
        let inputs = call.inputs.len();
        self.endpoint.ask(&self.embeddings, embed::body(call)?, |bytes| read_vectors(bytes, inputs)).await
    }

    async fn health(&self) -> Result<(), ProviderError> {
        self.endpoint.check(&self.models).await
    }
}
