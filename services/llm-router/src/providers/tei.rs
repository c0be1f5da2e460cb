//! Text Embeddings Inference: one model per server, so no request names one.
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use url::Url;

use super::http::{self, Endpoint};
use super::{BuildError, Entry, PieceStream, Provider, ProviderError, Ranking, Reply, Vectors, checks};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, EmbedCall, RerankCall};

const HOME: &str = "http://127.0.0.1:8080";

pub(super) const ENTRY: Entry = Entry {
    kind: "tei",
    summary: "vectors and rankings by Text Embeddings Inference",
    offline: false,
    capabilities: Capabilities::EMBED.and(Capabilities::RERANK),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME)?.with_key("authorization", "Bearer ", config)?;
    Ok(Arc::new(Tei {
        embed: endpoint.at("/embed"),
        rerank: endpoint.at("/rerank"),
        health: endpoint.at("/health"),
        endpoint,
    }))
}

struct Tei {
    endpoint: Endpoint,
    embed: Url,
    rerank: Url,
    health: Url,
}

#[async_trait]
impl Provider for Tei {
    async fn generate(&self, _call: &Call) -> Result<Reply, ProviderError> {
        Err(super::writes_nothing())
    }

    async fn stream(&self, _call: &Call) -> Result<PieceStream, ProviderError> {
        Err(super::writes_nothing())
    }

    async fn embed(&self, call: &EmbedCall) -> Result<Vectors, ProviderError> {
        let body = EmbedBody { inputs: &call.inputs, dimensions: call.dimensions };
        let (body, inputs) = (http::encode(&body, &Map::new(), None)?, call.inputs.len());
        self.endpoint.ask(&self.embed, body, |bytes| read_vectors(bytes, inputs)).await
    }

    async fn rerank(&self, call: &RerankCall) -> Result<Ranking, ProviderError> {
        let body = RerankBody { query: &call.query, texts: &call.documents, truncate: true };
        let body = http::encode(&body, &Map::new(), None)?;
        let read = |bytes: &[u8]| read_ranking(bytes, call.documents.len(), call.top_n);
        self.endpoint.ask(&self.rerank, body, read).await
    }

    async fn health(&self) -> Result<(), ProviderError> {
        self.endpoint.check(&self.health).await
    }
}

#[derive(Serialize)]
struct EmbedBody<'a> {
    inputs: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Serialize)]
struct RerankBody<'a> {
    query: &'a str,
    texts: &'a [String],
    /// The beginning of a long document ranks it well enough; otherwise one such document fails the whole call.
    truncate: bool,
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    score: f64,
}

/// Reads the vectors of `inputs` texts; tokens are not counted here.
pub(super) fn read_vectors(bytes: &[u8], inputs: usize) -> Result<Vectors, ProviderError> {
    let vectors = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    checks::vectors(vectors, inputs, None)
}

/// Reads the ranking of `documents` documents; all of them are ranked here, whatever was asked for.
pub(super) fn read_ranking(bytes: &[u8], documents: usize, top_n: usize) -> Result<Ranking, ProviderError> {
    let found: Vec<Scored> = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    let results = found.into_iter().map(|one| (one.index, one.score)).collect();
    checks::ranking(results, documents, top_n, None)
}
