//! Jina's vectors and rankings. The form of its vectors is OpenAI's.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::EmbedPurpose;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use url::Url;

use super::http::{self, Endpoint, malformed};
use super::openai::read_vectors;
use super::{BuildError, Entry, PieceStream, Provider, ProviderError, Ranking, Reply, Vectors, checks};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, EmbedCall, Outcome, RerankCall};

const HOME: &str = "https://api.jina.ai";

pub(super) const ENTRY: Entry = Entry {
    kind: "jina",
    summary: "Jina's vectors and rankings",
    offline: false,
    capabilities: Capabilities::EMBED.and(Capabilities::RERANK),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME)?.with_key("authorization", "Bearer ", config)?;
    Ok(Arc::new(Jina {
        embeddings: endpoint.at("/v1/embeddings"),
        rerank: endpoint.at("/v1/rerank"),
        models: endpoint.at("/v1/models"),
        endpoint,
    }))
}

struct Jina {
    endpoint: Endpoint,
    embeddings: Url,
    rerank: Url,
    models: Url,
}

#[async_trait]
impl Provider for Jina {
    async fn generate(&self, _call: &Call) -> Result<Reply, ProviderError> {
        Err(super::writes_nothing())
    }

    async fn stream(&self, _call: &Call) -> Result<PieceStream, ProviderError> {
        Err(super::writes_nothing())
    }

    async fn embed(&self, call: &EmbedCall) -> Result<Vectors, ProviderError> {
        let body = EmbedBody {
            model: &call.model,
            input: &call.inputs,
            task: match call.purpose {
                EmbedPurpose::Unspecified => None,
                EmbedPurpose::Document => Some("retrieval.passage"),
                EmbedPurpose::Query => Some("retrieval.query"),
            },
            embedding_type: "float",
            dimensions: call.dimensions,
        };
        let (body, inputs) = (http::encode(&body, &Map::new(), None)?, call.inputs.len());
        self.endpoint.ask(&self.embeddings, body, |bytes| read_vectors(bytes, inputs)).await
    }

    async fn rerank(&self, call: &RerankCall) -> Result<Ranking, ProviderError> {
        let body = RerankBody {
            model: &call.model,
            query: &call.query,
            documents: &call.documents,
            top_n: call.top_n,
            return_documents: false,
        };
        let body = http::encode(&body, &Map::new(), None)?;
        let read = |bytes: &[u8]| read_ranking(bytes, call.documents.len(), call.top_n);
        self.endpoint.ask(&self.rerank, body, read).await
    }

    /// Not every server of this form lists its models: one that only does not know the list is there.
    async fn health(&self) -> Result<(), ProviderError> {
        match self.endpoint.check(&self.models).await {
            Err(error) if error.outcome == Outcome::NotFound => Ok(()),
            result => result,
        }
    }
}

#[derive(Serialize)]
struct EmbedBody<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'static str>,
    embedding_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Serialize)]
struct RerankBody<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    top_n: usize,
    return_documents: bool,
}

#[derive(Deserialize)]
struct Ranked {
    results: Option<Vec<Scored>>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    relevance_score: f64,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

/// Reads the ranking of `documents` documents.
pub(super) fn read_ranking(bytes: &[u8], documents: usize, top_n: usize) -> Result<Ranking, ProviderError> {
    let found: Ranked = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    let usage = checks::read_tokens(found.usage.and_then(|u| u.total_tokens.or(u.prompt_tokens)));
    let results = found.results.ok_or_else(|| malformed("results"))?;
    let results = results.into_iter().map(|one| (one.index, one.relevance_score)).collect();
    checks::ranking(results, documents, top_n, usage)
}
