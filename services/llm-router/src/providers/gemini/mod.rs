//! Google's Gemini: the model stands in the address, and a conversation is contents made of parts.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::EmbedPurpose;
use url::Url;

use super::http::{self, Endpoint};
use super::{BuildError, Entry, PieceStream, Provider, ProviderError, Reply, Vectors};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, EmbedCall};

mod content;
mod embed;
mod reply;
mod request;

pub(super) use embed::read as read_vectors;
pub(super) use reply::{Chunks, read as read_reply};

const HOME: &str = "https://generativelanguage.googleapis.com/v1beta";

pub(super) const ENTRY: Entry = Entry {
    kind: "gemini",
    summary: "Google's Gemini API",
    offline: false,
    capabilities: Capabilities::CHAT
        .and(Capabilities::TOOLS)
        .and(Capabilities::IMAGES)
        .and(Capabilities::JSON_SCHEMA),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME)?.with_key("x-goog-api-key", "", config)?;
    let mut models = endpoint.at("/models");
    models.query_pairs_mut().append_pair("pageSize", "1");
    Ok(Arc::new(Gemini { endpoint, models }))
}

struct Gemini {
    endpoint: Endpoint,
    models: Url,
}

impl Gemini {
    /// The address of a method of a model, whatever characters the model's name has.
    fn at(&self, model: &str, method: &str) -> Url {
        let mut url = self.endpoint.at("");
        if let Ok(mut path) = url.path_segments_mut() {
            let (folders, name) = model.rsplit_once('/').unwrap_or(("", model));
            let folders = if folders.is_empty() { "models" } else { folders };
            path.pop_if_empty().extend(folders.split('/')).push(&format!("{name}:{method}"));
        }
        url
    }
}

/// A model's full name: with the folder where it lies, `models` unless it says another.
fn full_name(model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("models/{model}") }
}

#[async_trait]
impl Provider for Gemini {
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError> {
        let body = http::encode(&request::body(call), &call.prompt.extra, Some(request::CONFIG))?;
        let url = self.at(&call.model, "generateContent");
        self.endpoint.ask(&url, body, |bytes| read_reply(bytes, call)).await
    }

    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError> {
        let body = http::encode(&request::body(call), &call.prompt.extra, Some(request::CONFIG))?;
        let mut url = self.at(&call.model, "streamGenerateContent");
        url.query_pairs_mut().append_pair("alt", "sse");
        self.endpoint.stream(&url, body, Chunks::new(call)).await
    }

    async fn embed(&self, call: &EmbedCall) -> Result<Vectors, ProviderError> {
        let url = self.at(&call.model, "batchEmbedContents");
        let inputs = call.inputs.len();
        self.endpoint.ask(&url, embed::body(call)?, |bytes| read_vectors(bytes, inputs)).await
    }

    async fn health(&self) -> Result<(), ProviderError> {
        self.endpoint.check(&self.models).await
    }
}

/// What the vectors are for, in Gemini's word.
fn task_type(purpose: EmbedPurpose) -> Option<&'static str> {
    match purpose {
        EmbedPurpose::Unspecified => None,
        EmbedPurpose::Document => Some("RETRIEVAL_DOCUMENT"),
        EmbedPurpose::Query => Some("RETRIEVAL_QUERY"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_safe_in_its_address() {
        let config = ProviderConfig {
            base_url: Some("http://127.0.0.1:9/v1beta/".into()),
            ..ProviderConfig::default()
        };
        let gemini = Gemini {
            models: Url::parse("http://127.0.0.1:9").unwrap(),
            endpoint: Endpoint::build(&config, HOME).unwrap(),
        };
        for (model, path) in [
            ("gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:x"),
            ("models/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:x"),
            ("tunedModels/mine", "/v1beta/tunedModels/mine:x"),
            ("a?b#c d%e", "/v1beta/models/a%3Fb%23c%20d%25e:x"),
            ("../../admin", "/v1beta/admin:x"),
        ] {
            assert_eq!(gemini.at(model, "x").path(), path, "{model}");
        }
        assert_eq!([full_name("a"), full_name("tunedModels/a")], ["models/a", "tunedModels/a"]);
    }
}
