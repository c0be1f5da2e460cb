//! Ollama's vectors.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::EmbedCall;
use crate::providers::http;
use crate::providers::{ProviderError, Vectors, checks};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

pub(super) fn body(call: &EmbedCall) -> Result<Vec<u8>, ProviderError> {
    let body = Body { model: &call.model, input: &call.inputs, dimensions: call.dimensions };
    http::encode(&body, &Map::new(), None)
}

#[derive(Deserialize)]
struct Embedded {
    embeddings: Option<Vec<Vec<f32>>>,
    prompt_eval_count: Option<u64>,
    error: Option<Value>,
}

/// Reads the vectors of `inputs` texts.
pub(in crate::providers) fn read(bytes: &[u8], inputs: usize) -> Result<Vectors, ProviderError> {
    let found: Embedded = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    if let Some(error) = found.error {
        return Err(http::of_event(&error));
    }
    let vectors = found.embeddings.ok_or_else(|| http::malformed("embeddings"))?;
    checks::vectors(vectors, inputs, checks::read_tokens(found.prompt_eval_count))
}
