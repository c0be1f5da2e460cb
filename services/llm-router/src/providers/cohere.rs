//! Cohere's vectors and rankings.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::EmbedPurpose;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use url::Url;

use super::http::{self, Endpoint, malformed};
use super::{BuildError, Entry, PieceStream, Provider, ProviderError, Ranking, Reply, Vectors, checks};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, EmbedCall, RerankCall};

const HOME: &str = "https://api.cohere.com";

pub(super) const ENTRY: Entry = Entry {
    kind: "cohere",
    summary: "Cohere's vectors and rankings",
    offline: false,
    capabilities: Capabilities::EMBED.and(Capabilities::RERANK),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME)?.with_key("authorization", "Bearer ", config)?;
    Ok(Arc::new(Cohere {
        embed: endpoint.at("/v2/embed"),
        rerank: endpoint.at("/v2/rerank"),
        models: endpoint.at("/v1/models"),
        endpoint,
    }))
}

struct Cohere {
    endpoint: Endpoint,
    embed: Url,
    rerank: Url,
    models: Url,
}

#[async_trait]
impl Provider for Cohere {
    async fn generate(&self, _call: &Call) -> Result<Reply, ProviderError> {
        Err(super::writes_nothing())
    }

    async fn stream(&self, _call: &Call) -> Result<PieceStream, ProviderError> {
        Err(super::writes_nothing())
    }

    async fn embed(&self, call: &EmbedCall) -> Result<Vectors, ProviderError> {
        let body = EmbedBody {
            model: &call.model,
            texts: &call.inputs,
            // The field is required; texts whose purpose nobody told are most likely to be found later.
            input_type: match call.purpose {
                EmbedPurpose::Unspecified | EmbedPurpose::Document => "search_document",
                EmbedPurpose::Query => "search_query",
            },
            embedding_types: ["float"],
            output_dimension: call.dimensions,
        };
        let (body, inputs) = (http::encode(&body, &Map::new(), None)?, call.inputs.len());
        self.endpoint.ask(&self.embed, body, |bytes| read_vectors(bytes, inputs)).await
    }

    async fn rerank(&self, call: &RerankCall) -> Result<Ranking, ProviderError> {
        let body = RerankBody {
            model: &call.model,
            query: &call.query,
            documents: &call.documents,
            top_n: call.top_n,
        };
        let body = http::encode(&body, &Map::new(), None)?;
        let read = |bytes: &[u8]| read_ranking(bytes, call.documents.len(), call.top_n);
        self.endpoint.ask(&self.rerank, body, read).await
    }

    async fn health(&self) -> Result<(), ProviderError> {
        self.endpoint.check(&self.models).await
    }
}

#[derive(Serialize)]
struct EmbedBody<'a> {
    model: &'a str,
    texts: &'a [String],
    input_type: &'static str,
    embedding_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<u32>,
}

#[derive(Serialize)]
struct RerankBody<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [String],
    top_n: usize,
}

#[derive(Deserialize)]
struct Embedded {
    embeddings: Option<Floats>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Floats {
    float: Option<Vec<Vec<f32>>>,
}

#[derive(Deserialize)]
struct Ranked {
    results: Option<Vec<Scored>>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    relevance_score: f64,
}

/// What is billed: tokens of vectors, but searches of rankings, which are no tokens.
#[derive(Deserialize)]
struct Meta {
    billed_units: Option<Billed>,
}

#[derive(Deserialize)]
struct Billed {
    input_tokens: Option<f64>,
}

impl Meta {
    /// The counts are written as fractions in some versions.
    fn tokens(&self) -> Option<u64> {
        let tokens = self.billed_units.as_ref()?.input_tokens?;
        (tokens.is_finite() && tokens >= 0.0).then_some(tokens as u64)
    }
}

/// Reads the vectors of `inputs` texts.
pub(super) fn read_vectors(bytes: &[u8], inputs: usize) -> Result<Vectors, ProviderError> {
    let found: Embedded = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    let tokens = found.meta.and_then(|meta| meta.tokens());
    let vectors = found.embeddings.and_then(|floats| floats.float).ok_or_else(|| malformed("embeddings"))?;
    checks::vectors(vectors, inputs, checks::read_tokens(tokens))
}

/// Reads the ranking of `documents` documents.
pub(super) fn read_ranking(bytes: &[u8], documents: usize, top_n: usize) -> Result<Ranking, ProviderError> {
    let found: Ranked = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    let tokens = found.meta.and_then(|meta| meta.tokens());
    let results = found.results.ok_or_else(|| malformed("results"))?;
    let results = results.into_iter().map(|one| (one.index, one.relevance_score)).collect();
    checks::ranking(results, documents, top_n, checks::read_tokens(tokens))
}
