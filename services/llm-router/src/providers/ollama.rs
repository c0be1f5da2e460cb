//! Ollama's own chat: one JSON object per line, and a schema in `format`.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{self, Decode, Endpoint, malformed};
use super::lines::Lines;
use super::{BuildError, Entry, Piece, PieceStream, Provider, ProviderError, Reply};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, Outcome, StopReason, Usage};

const HOME: &str = "http://127.0.0.1:11434";

pub(super) const ENTRY: Entry = Entry {
    kind: "ollama",
    summary: "models on this machine or network, by Ollama",
    offline: false,
    capabilities: Capabilities::CHAT.and(Capabilities::TOOLS).and(Capabilities::JSON_SCHEMA),
    presets: &[],
    build,
};

fn build(config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let endpoint = Endpoint::build(config, HOME, "/api/chat")?;
    let endpoint = endpoint.with_key("authorization", "Bearer ", config)?;
    Ok(Arc::new(Ollama { endpoint }))
}

struct Ollama {
    endpoint: Endpoint,
}

#[async_trait]
impl Provider for Ollama {
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError> {
        let line = parse(self.endpoint.exchange(&body(call, false)).await?)?;
        if !line.done {
            return Err(malformed("end"));
        }
        let usage = line.usage();
        let stop_reason = line.stop_reason();
        let text = line.message.ok_or_else(|| malformed("message"))?.content;
        Ok(Reply { text, stop_reason, usage, ..Reply::default() })
    }

    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError> {
        let reply = self.endpoint.post(&body(call, true)).await?;
        Ok(http::pieces(reply, Objects::default()))
    }

    async fn health(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

fn body(call: &Call, stream: bool) -> Value {
    let messages: Vec<Value> =
        call.turns().map(|turn| json!({"role": role(turn.role), "content": turn.text})).collect();
    let mut options = json!({"num_predict": call.prompt.max_output_tokens});
    if let Some(temperature) = call.prompt.temperature {
        options["temperature"] = json!(temperature);
    }
    if call.context_tokens > 0 {
        // Without it Ollama takes a small window and cuts a long prompt from the front without a word.
        options["num_ctx"] = json!(call.context_tokens);
    }
    let mut body = json!({"model": call.model, "messages": messages, "stream": stream, "options": options});
    if let Some(schema) = &call.prompt.schema {
        body["format"] = schema.json().clone();
    }
    body
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::User | Role::Tool | Role::Unspecified => "user",
    }
}

#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: String,
}

impl Line {
    fn stop_reason(&self) -> StopReason {
        match self.done_reason.as_deref() {
            Some("stop") => StopReason::End,
            Some("length") => StopReason::Length,
            _ => StopReason::Unspecified,
        }
    }

    /// A prompt that is wholly cached is not counted; then there is no count to give.
    fn usage(&self) -> Option<Usage> {
        let (input, output) = (self.prompt_eval_count?, self.eval_count?);
        Some(Usage { input, cached_input: 0, output, estimated: false })
    }
}

/// Errors are a plain sentence here, which may quote the prompt: it is not kept.
fn parse(body: Value) -> Result<Line, ProviderError> {
    if body.get("error").is_some() {
        return Err(ProviderError::new(Outcome::ProviderError, "an error in the reply"));
    }
    Line::deserialize(body).map_err(http::bad_shape)
}

#[derive(Default)]
struct Objects {
    lines: Lines,
    done: bool,
}

impl Objects {
    fn take(&mut self, line: &str, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        if line.trim().is_empty() || self.done {
            return Ok(());
        }
        let line = parse(serde_json::from_str(line).map_err(http::bad_shape)?)?;
        let (usage, stop_reason) = (line.usage(), line.stop_reason());
        self.done = line.done;
        let text = line.message.map(|message| message.content).unwrap_or_default();
        pieces.extend((!text.is_empty()).then_some(Piece::Text(text)));
        pieces.extend(self.done.then_some(Piece::Done { stop_reason, usage }));
        Ok(())
    }
}

impl Decode for Objects {
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let lines = self.lines.push(bytes).map_err(http::bad_line)?;
        lines.iter().try_for_each(|line| self.take(line, pieces))
    }

    fn end(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        match self.lines.rest().map_err(http::bad_line)? {
            // A cut line is a broken stream, not a strange one.
            Some(line) => self.take(&line, pieces).map_err(|e| http::cut().with_source(e)),
            None => Ok(()),
        }
    }
}
