//! Chat completions as OpenAI defined them and many others speak them.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{self, Decode, Endpoint, event_error, malformed};
use super::sse::Decoder;
use super::{BuildError, Entry, Piece, PieceStream, Provider, ProviderError, Reply};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, StopReason, Usage};

const HOME: &str = "https://api.openai.com/v1";

pub(super) const ENTRY: Entry = Entry {
    kind: "openai",
    summary: "OpenAI and everything that speaks its chat completions (Groq, vLLM, LM Studio, …)",
    offline: false,
    capabilities: Capabilities::CHAT.and(Capabilities::TOOLS).and(Capabilities::JSON_SCHEMA),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME, "/chat/completions")?;
    let endpoint = endpoint.with_key("authorization", "Bearer ", config)?;
    // OpenAI's newer models take only the new name of the limit; other servers often know only the old one.
    let at_home = config.base_url.as_deref().is_none_or(|url| url.contains("://api.openai.com/"));
    let limit_field = if at_home { "max_completion_tokens" } else { "max_tokens" };
    Ok(Arc::new(OpenAi { endpoint, limit_field }))
}

struct OpenAi {
    endpoint: Endpoint,
    limit_field: &'static str,
}

#[async_trait]
impl Provider for OpenAi {
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError> {
        let body = self.endpoint.exchange(&self.body(call, false)).await?;
        read_reply(body)
    }

    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError> {
        let reply = self.endpoint.post(&self.body(call, true)).await?;
        Ok(http::pieces(reply, Chunks::default()))
    }

    async fn health(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

impl OpenAi {
    fn body(&self, call: &Call, stream: bool) -> Value {
        let messages: Vec<Value> =
            call.turns().map(|turn| json!({"role": role(turn.role), "content": turn.text})).collect();
        let mut body = json!({"model": call.model, "messages": messages});
        body[self.limit_field] = json!(call.prompt.max_output_tokens);
        if let Some(temperature) = call.prompt.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(schema) = &call.prompt.schema {
            // Not `strict`: that mode refuses schemas with optional fields, and we check the answer anyway.
            let format = json!({"name": "answer", "schema": schema.json(), "strict": false});
            body["response_format"] = json!({"type": "json_schema", "json_schema": format});
        }
        if stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::User | Role::Tool | Role::Unspecified => "user",
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "delta")]
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        Usage {
            input: counts.prompt_tokens,
            cached_input: counts.prompt_tokens_details.and_then(|d| d.cached_tokens).unwrap_or(0),
            output: counts.completion_tokens,
            estimated: false,
        }
    }
}

fn parse(body: Value) -> Result<Chunk, ProviderError> {
    if body.get("error").is_some_and(|error| !error.is_null()) {
        return Err(event_error(&body));
    }
    Chunk::deserialize(body).map_err(http::bad_shape)
}

fn read_reply(body: Value) -> Result<Reply, ProviderError> {
    let chunk = parse(body)?;
    let usage = chunk.usage.map(Usage::from);
    let choice = chunk.choices.into_iter().next().ok_or_else(|| malformed("choice"))?;
    let message = choice.message.ok_or_else(|| malformed("message"))?;
    let stop_reason = stop_reason(choice.finish_reason.as_deref(), message.refusal.is_some());
    let text = message.content.or(message.refusal).unwrap_or_default();
    Ok(Reply { text, stop_reason, usage, ..Reply::default() })
}

fn stop_reason(word: Option<&str>, refused: bool) -> StopReason {
    match word {
        _ if refused => StopReason::Refusal,
        Some("stop") => StopReason::End,
        Some("length") => StopReason::Length,
        Some("content_filter") => StopReason::Refusal,
        _ => StopReason::Unspecified,
    }
}

/// A stream in the making: the reason to finish comes before the token counts, and `[DONE]` after both.
#[derive(Default)]
struct Chunks {
    events: Decoder,
    finish: Option<String>,
    refused: bool,
    usage: Option<Usage>,
}

impl Chunks {
    fn take(&mut self, data: &str, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        if data.trim() == "[DONE]" {
            return self.close(pieces);
        }
        let chunk = parse(serde_json::from_str(data).map_err(http::bad_shape)?)?;
        if let Some(counts) = chunk.usage {
            self.usage = Some(counts.into());
        }
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        if let Some(message) = choice.message {
            self.refused |= message.refusal.is_some();
            let text = message.content.or(message.refusal).unwrap_or_default();
            pieces.extend((!text.is_empty()).then_some(Piece::Text(text)));
        }
        self.finish = choice.finish_reason.or(self.finish.take());
        Ok(())
    }

    fn close(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let finish = self.finish.take().ok_or_else(http::cut)?;
        let stop_reason = stop_reason(Some(&finish), self.refused);
        pieces.push(Piece::Done { stop_reason, usage: self.usage.take() });
        Ok(())
    }
}

impl Decode for Chunks {
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let events = self.events.push(bytes).map_err(http::bad_line)?;
        events.iter().try_for_each(|event| self.take(&event.data, pieces))
    }

    fn end(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        self.close(pieces)
    }
}
