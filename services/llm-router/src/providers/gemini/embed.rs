//! Gemini's vectors.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{full_name, task_type};
use crate::domain::EmbedCall;
use crate::providers::http;
use crate::providers::{ProviderError, Vectors, checks};

#[derive(Serialize)]
struct Body<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Text<'a>; 1],
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

pub(super) fn body(call: &EmbedCall) -> Result<Vec<u8>, ProviderError> {
    let model = full_name(&call.model);
    let request = |text| Request {
        model: &model,
        content: Content { parts: [Text { text }] },
        task_type: task_type(call.purpose),
        output_dimensionality: call.dimensions,
    };
    let requests = call.inputs.iter().map(|text| request(text)).collect();
    http::encode(&Body { requests }, &Map::new(), None)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Embedded {
    embeddings: Option<Vec<Embedding>>,
    usage_metadata: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Embedding {
    values: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    prompt_token_count: Option<u64>,
}

/// Reads the vectors of `inputs` texts.
pub(in crate::providers) fn read(bytes: &[u8], inputs: usize) -> Result<Vectors, ProviderError> {
    let found: Embedded = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    if let Some(error) = found.error {
        return Err(http::of_event(&error));
    }
    let embeddings = found.embeddings.ok_or_else(|| http::malformed("embeddings"))?;
    let tokens = found.usage_metadata.and_then(|counts| counts.prompt_token_count);
    let vectors = embeddings.into_iter().map(|embedding| embedding.values).collect();
    checks::vectors(vectors, inputs, checks::read_tokens(tokens))
}
