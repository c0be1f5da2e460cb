//! Gemini's answers, whole and in chunks, which have the same form.
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{Call, Outcome, StopReason, Usage};
use crate::providers::calls::{self, Ids};
use crate::providers::http::{self, Decode, malformed};
use crate::providers::sse::Decoder;
use crate::providers::{Piece, ProviderError, Reply};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    function_call: Option<FunctionCall>,
}

#[derive(Deserialize)]
struct FunctionCall {
    id: Option<String>,
    #[serde(default)]
    name: String,
    args: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

impl From<Counts> for Usage {
    /// Thoughts are written and paid like the answer, but counted beside it.
    fn from(counts: Counts) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0).saturating_add(b.unwrap_or(0));
        Usage {
            input: sum(counts.prompt_token_count, counts.tool_use_prompt_token_count),
            cached_input: counts.cached_content_token_count.unwrap_or(0),
            output: sum(counts.candidates_token_count, counts.thoughts_token_count),
            estimated: false,
        }
    }
}

/// An answer in the making; a whole one is made in a single step.
#[derive(Default)]
struct Answer {
    ids: Ids,
    has_calls: bool,
    stop: Option<StopReason>,
    usage: Option<Usage>,
}

impl Answer {
    fn take(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let chunk: Chunk = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
        if let Some(error) = chunk.error {
            return Err(http::of_event(&error));
        }
        self.usage = chunk.usage_metadata.map(Usage::from).or(self.usage);
        if chunk.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            self.stop = Some(StopReason::Refusal);
        }
        let Some(candidate) = chunk.candidates.into_iter().flatten().next() else { return Ok(()) };
        for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
            self.add(part, pieces)?;
        }
        if let Some(word) = candidate.finish_reason {
            self.stop = Some(stop_reason(&word)?);
        }
        Ok(())
    }

    fn add(&mut self, part: Part, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        if let Some(text) = part.text.filter(|text| !text.is_empty()) {
            pieces.push(if part.thought { Piece::Reasoning(text) } else { Piece::Text(text) });
        }
        if let Some(call) = part.function_call {
            self.has_calls = true;
            let whole = calls::whole(self.ids.or_own(call.id), call.name, call.args.unwrap_or_default())?;
            pieces.push(Piece::ToolCall(whole));
        }
        Ok(())
    }

    fn stop_reason(&self) -> Option<StopReason> {
        self.stop.map(|said| calls::stop_reason(said, self.has_calls))
    }
}

fn stop_reason(word: &str) -> Result<StopReason, ProviderError> {
    Ok(match word {
        "STOP" => StopReason::End,
        "MAX_TOKENS" => StopReason::Length,
        "SAFETY" | "RECITATION" | "PROHIBITED_CONTENT" | "BLOCKLIST" | "SPII" => StopReason::Refusal,
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" => {
            return Err(ProviderError::new(Outcome::BadReply, "the model made a malformed tool call"));
        }
        _ => StopReason::Unspecified,
    })
}

/// Reads a whole answer. A prompt that was blocked is a refusal without words.
pub(in crate::providers) fn read(bytes: &[u8], call: &Call) -> Result<Reply, ProviderError> {
    let mut answer = Answer { ids: Ids::after(call), ..Answer::default() };
    let mut pieces = Vec::new();
    answer.take(bytes, &mut pieces)?;
    let stop_reason = answer.stop_reason().ok_or_else(|| malformed("finishReason"))?;
    let mut reply = Reply { stop_reason, usage: answer.usage, ..Reply::default() };
    for piece in pieces {
        match piece {
            Piece::Text(text) => reply.text.push_str(&text),
            Piece::Reasoning(text) => reply.reasoning.push_str(&text),
            Piece::ToolCall(call) => reply.tool_calls.push(call),
            Piece::Done { .. } => {}
        }
    }
    Ok(reply)
}

/// A stream in the making. Nothing marks its end but the end of the body, after a chunk with a reason to finish.
#[derive(Default)]
pub(in crate::providers) struct Chunks {
    events: Decoder,
    answer: Answer,
}

impl Chunks {
    /// For the answer to this call.
    pub(in crate::providers) fn new(call: &Call) -> Self {
        let answer = Answer { ids: Ids::after(call), ..Answer::default() };
        Self { answer, ..Self::default() }
    }
}

impl Decode for Chunks {
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let Self { events, answer } = self;
        events.push(bytes, |data| answer.take(data.as_bytes(), pieces))
    }

    fn end(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let stop_reason = self.answer.stop_reason().ok_or_else(http::cut)?;
        pieces.push(Piece::Done { stop_reason, usage: self.answer.usage });
        Ok(())
    }
}
