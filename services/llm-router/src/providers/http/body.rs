//! Bodies: a request's is written once, a reply's is read to a limit.
use bytes::{Bytes, BytesMut};
use http_body::Body;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Reply;
use super::client::next_bytes;
use super::failure::JsonFault;
use crate::domain::Outcome;
use crate::providers::ProviderError;

/// The most of one unary reply that is read, in bytes.
pub const REPLY_LIMIT: usize = 16 << 20;

/// A member of a request's body that the caller's own fields join instead of replacing it.
#[derive(Debug, Clone, Copy)]
pub struct Nested {
    /// Its name.
    pub field: &'static str,
    /// The name in it of the limit of output tokens, which is the router's to set.
    pub limit: &'static str,
}

/// A request's body in JSON, the caller's fields laid over it.
pub fn encode(
    body: &impl Serialize,
    extra: &Map<String, Value>,
    nested: Option<Nested>,
) -> Result<Vec<u8>, ProviderError> {
    let unwritable = |error: serde_json::Error| {
        ProviderError::new(Outcome::ProviderError, "the request cannot be written")
            .with_source(JsonFault::from(error))
    };
    if extra.is_empty() {
        return serde_json::to_vec(body).map_err(unwritable);
    }
    let mut written = serde_json::to_value(body).map_err(unwritable)?;
    if let Value::Object(fields) = &mut written {
        for (name, value) in extra {
            let nested = nested.filter(|nested| nested.field == name);
            match (nested, fields.get_mut(name), value) {
                (Some(nested), Some(Value::Object(ours)), Value::Object(theirs)) => {
                    let theirs = theirs.iter().filter(|(name, _)| *name != nested.limit);
                    ours.extend(theirs.map(|(name, value)| (name.clone(), value.clone())));
                }
                _ => {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
    }
    serde_json::to_vec(&written).map_err(unwritable)
}

/// The whole body, if it has at most `limit` bytes. One that arrives in one piece is not copied.
pub async fn read(reply: Reply, limit: usize) -> Result<Bytes, ProviderError> {
    let too_long = || ProviderError::new(Outcome::BadReply, "the reply is too long");
    let mut chunks = reply.into_body();
    let announced = usize::try_from(chunks.size_hint().exact().unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_long());
    }
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(chunk) = next_bytes(&mut chunks).await {
        let chunk = chunk
            .map_err(|e| ProviderError::new(Outcome::StreamBroken, "the reply broke off").with_source(e))?;
        if first.len() + body.len() + chunk.len() > limit {
            return Err(too_long());
        }
        if first.is_empty() && body.is_empty() {
            first = chunk;
            continue;
        }
        if body.is_empty() {
            body.reserve(announced.max(first.len() + chunk.len()));
            body.extend_from_slice(&std::mem::take(&mut first));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(if body.is_empty() { first } else { body.freeze() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_callers_fields_win_and_join_the_nested_ones() {
        let body = json!({"a": 1, "options": {"x": 1, "limit": 5}});
        let extra = json!({"a": 2, "b": null, "options": {"x": 2, "y": 3, "limit": 900}});
        let Value::Object(extra) = extra else { panic!("an object") };
        let nested = Nested { field: "options", limit: "limit" };
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
        let joined = read(encode(&body, &extra, Some(nested)).unwrap());
        assert_eq!(joined, json!({"a": 2, "b": null, "options": {"x": 2, "y": 3, "limit": 5}}));
        let replaced = read(encode(&body, &extra, None).unwrap());
        assert_eq!(replaced["options"], extra["options"]);
    }
}
