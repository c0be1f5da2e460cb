//! OpenAI's vectors.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::EmbedCall;
use crate::providers::http;
use crate::providers::{ProviderError, Vectors, checks};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    /// OpenAI's own library asks for base64 unless told otherwise; servers differ in what they do unasked.
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

pub(super) fn body(call: &EmbedCall) -> Result<Vec<u8>, ProviderError> {
    let body = Body {
        model: &call.model,
        input: &call.inputs,
        encoding_format: "float",
        dimensions: call.dimensions,
    };
    http::encode(&body, &Map::new(), None)
}

#[derive(Deserialize)]
struct List {
    data: Option<Vec<Item>>,
    usage: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

/// Reads the vectors of `inputs` texts, each at its text's place.
pub(in crate::providers) fn read(bytes: &[u8], inputs: usize) -> Result<Vectors, ProviderError> {
    let list: List = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    if let Some(error) = list.error {
        return Err(http::of_event(&error));
    }
    let data = list.data.ok_or_else(|| http::malformed("data"))?;
    let usage = list.usage.and_then(|counts| counts.prompt_tokens.or(counts.total_tokens));
    let found = data.into_iter().map(|item| (item.index, item.embedding)).collect();
    checks::in_order(found, inputs, checks::read_tokens(usage))
}
