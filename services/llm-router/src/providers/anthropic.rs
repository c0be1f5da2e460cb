//! Anthropic's Messages. The system text stands apart; a schema becomes a tool that the model must call.
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

const HOME: &str = "https://api.anthropic.com";

/// The tool that carries a structured answer.
const TOOL: &str = "answer";

pub(super) const ENTRY: Entry = Entry {
    kind: "anthropic",
    summary: "Anthropic's Messages API",
    offline: false,
    capabilities: Capabilities::CHAT
        .and(Capabilities::TOOLS)
        .and(Capabilities::IMAGES)
        .and(Capabilities::JSON_SCHEMA),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME, "/v1/messages")?
        .with_header("anthropic-version", "2023-06-01")
        .with_key("x-api-key", "", config)?;
    Ok(Arc::new(Anthropic { endpoint }))
}

struct Anthropic {
    endpoint: Endpoint,
}

#[async_trait]
impl Provider for Anthropic {
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError> {
        read_reply(self.endpoint.exchange(&body(call, false)).await?)
    }

    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError> {
        let reply = self.endpoint.post(&body(call, true)).await?;
        Ok(http::pieces(reply, Events::default()))
    }

    async fn health(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

fn body(call: &Call, stream: bool) -> Value {
    let (system, mut messages) = split(call);
    let mut body = json!({"model": call.model, "max_tokens": call.prompt.max_output_tokens});
    if messages.is_empty() {
        // A conversation must begin with the user; instructions alone become what the user says.
        messages.push(json!({"role": "user", "content": system}));
    } else if !system.is_empty() {
        body["system"] = json!(system);
    }
    body["messages"] = json!(messages);
    if let Some(temperature) = call.prompt.temperature {
        body["temperature"] = json!(temperature.min(1.0));
    }
    if let Some(schema) = &call.prompt.schema {
        body["tools"] =
            json!([{"name": TOOL, "description": "Gives the answer.", "input_schema": schema.json()}]);
        body["tool_choice"] = json!({"type": "tool", "name": TOOL});
    }
    if stream {
        body["stream"] = json!(true);
    }
    body
}

/// The system texts joined, and the other turns as messages.
fn split(call: &Call) -> (String, Vec<Value>) {
    let mut system = Vec::new();
    let mut messages = Vec::new();
    for turn in call.turns() {
        match turn.role {
            Role::System => system.push(turn.text.as_str()),
            Role::Assistant => messages.push(json!({"role": "assistant", "content": turn.text})),
            Role::User | Role::Tool | Role::Unspecified => {
                messages.push(json!({"role": "user", "content": turn.text}))
            }
        }
    }
    (system.join("\n\n"), messages)
}

#[derive(Deserialize)]
struct MessageBody {
    #[serde(default)]
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        input: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize, Default, Clone, Copy)]
struct Counts {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Counts {
    /// Later counts replace earlier ones where they say something.
    fn update(&mut self, later: Counts) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
    }

    /// Here `input_tokens` leaves out what was read from or written to the cache; the ledger counts it in.
    fn usage(&self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        Usage {
            input: self.input_tokens.unwrap_or(0).saturating_add(cached).saturating_add(written),
            cached_input: cached,
            output: self.output_tokens.unwrap_or(0),
            estimated: false,
        }
    }
}

fn read_reply(body: Value) -> Result<Reply, ProviderError> {
    if body.get("type").and_then(Value::as_str) == Some("error") {
        return Err(event_error(&body));
    }
    let message = MessageBody::deserialize(body).map_err(http::bad_shape)?;
    let reason = message.stop_reason.ok_or_else(|| malformed("stop_reason"))?;
    let mut text = String::new();
    for block in &message.content {
        match block {
            Block::Text { text: more } => text.push_str(more),
            // The answer is the tool's input; words around it are not.
            Block::ToolUse { input } => {
                text = input.to_string();
                break;
            }
            Block::Other => {}
        }
    }
    let usage = message.usage.map(|counts| counts.usage());
    Ok(Reply { text, stop_reason: stop_reason(&reason), usage, ..Reply::default() })
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "end_turn" | "stop_sequence" | "tool_use" => StopReason::End,
        "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
        "refusal" => StopReason::Refusal,
        _ => StopReason::Unspecified,
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: MessageBody,
    },
    ContentBlockDelta {
        delta: Delta,
    },
    MessageDelta {
        delta: MessageEnd,
        usage: Option<Counts>,
    },
    MessageStop,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Delta {
    text: Option<String>,
}

#[derive(Deserialize)]
struct MessageEnd {
    stop_reason: Option<String>,
}

/// A stream in the making: counts come at both ends, the reason to stop just before the end.
#[derive(Default)]
struct Events {
    events: Decoder,
    counts: Option<Counts>,
    stop: Option<String>,
}

impl Events {
    fn take(&mut self, data: &str, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let body: Value = serde_json::from_str(data).map_err(http::bad_shape)?;
        if body.get("type").and_then(Value::as_str) == Some("error") {
            return Err(event_error(&body));
        }
        match Event::deserialize(body).map_err(http::bad_shape)? {
            Event::MessageStart { message } => self.count(message.usage),
            Event::ContentBlockDelta { delta } => {
                pieces.extend(delta.text.filter(|text| !text.is_empty()).map(Piece::Text));
            }
            Event::MessageDelta { delta, usage } => {
                self.count(usage);
                self.stop = delta.stop_reason.or(self.stop.take());
            }
            Event::MessageStop => {
                let stop_reason = stop_reason(&self.stop.take().ok_or_else(http::cut)?);
                let usage = self.counts.map(|counts| counts.usage());
                pieces.push(Piece::Done { stop_reason, usage });
            }
            Event::Other => {}
        }
        Ok(())
    }

    fn count(&mut self, counts: Option<Counts>) {
        if let Some(counts) = counts {
            self.counts.get_or_insert_default().update(counts);
        }
    }
}

impl Decode for Events {
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let events = self.events.push(bytes).map_err(http::bad_line)?;
        events.iter().try_for_each(|event| self.take(&event.data, pieces))
    }

    fn end(&mut self, _pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        Err(http::cut())
    }
}
