//! Anthropic's whole answers.
use serde::Deserialize;
use serde_json::{Map, Value};

use super::TOOL;
use crate::domain::{StopReason, Usage};
use crate::providers::calls;
use crate::providers::http::{self, malformed};
use crate::providers::{ProviderError, Reply};

#[derive(Deserialize)]
pub(super) struct Message {
    content: Option<Vec<Block>>,
    stop_reason: Option<String>,
    pub(super) usage: Option<Counts>,
    error: Option<Value>,
}

/// A block of any type; which fields it has depends on the type.
#[derive(Deserialize)]
pub(super) struct Block {
    pub(super) r#type: String,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) input: Option<Map<String, Value>>,
}

#[derive(Deserialize, Default, Clone, Copy)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Counts {
    /// Later counts replace earlier ones where they say something.
    pub(super) fn update(&mut self, later: Counts) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
    }

    /// Here `input_tokens` leaves out what was read from or written to the cache; the ledger counts it in.
    pub(super) fn usage(&self) -> Usage {
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

/// Reads a whole message. With `answer_in_tool` the answer is the input of our tool; words around it are not.
pub(in crate::providers) fn read(bytes: &[u8], answer_in_tool: bool) -> Result<Reply, ProviderError> {
    let message: Message = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
    if let Some(error) = message.error {
        return Err(http::of_event(&error));
    }
    let reason = message.stop_reason.ok_or_else(|| malformed("stop_reason"))?;
    let mut reply = Reply { usage: message.usage.map(|counts| counts.usage()), ..Reply::default() };
    let mut answer = None;
    for block in message.content.into_iter().flatten() {
        match block.r#type.as_str() {
            "text" => reply.text.push_str(&block.text.unwrap_or_default()),
            "thinking" => reply.reasoning.push_str(&block.thinking.unwrap_or_default()),
            "tool_use" if is_answer(&block, answer_in_tool) => answer = answer.or(block.input),
            "tool_use" => {
                let id =
                    block.id.filter(|id| !id.is_empty()).ok_or_else(|| malformed("id of a tool call"))?;
                let (name, input) = (block.name.unwrap_or_default(), block.input.unwrap_or_default());
                reply.tool_calls.push(calls::whole(id, name, input)?);
            }
            _ => {}
        }
    }
    if let Some(answer) = answer {
        reply.text = Value::Object(answer).to_string();
    }
    reply.stop_reason = stop_reason(&reason, !reply.tool_calls.is_empty());
    Ok(reply)
}

pub(super) fn is_answer(block: &Block, answer_in_tool: bool) -> bool {
    answer_in_tool && block.name.as_deref() == Some(TOOL)
}

/// `pause_turn` is an answer that its own server-side tools have not finished: neither whole nor too long.
pub(super) fn stop_reason(word: &str, has_calls: bool) -> StopReason {
    let said = match word {
        "end_turn" | "stop_sequence" | "tool_use" => StopReason::End,
        "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
        "refusal" => StopReason::Refusal,
        _ => return StopReason::Unspecified,
    };
    calls::stop_reason(said, has_calls)
}
