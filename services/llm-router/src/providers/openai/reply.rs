//! OpenAI's answers, whole and in chunks, with what other servers add to them.
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{Call, StopReason, Usage};
use crate::providers::calls::{self, Assembly, Ids};
use crate::providers::http::{self, Decode, malformed};
use crate::providers::sse::Decoder;
use crate::providers::{Piece, ProviderError, Reply};

/// A whole completion, or one chunk of it.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Counts>,
    x_groq: Option<Groq>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    delta: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
    /// DeepSeek's and vLLM's name for it.
    reasoning_content: Option<String>,
    /// Groq's and OpenRouter's.
    reasoning: Option<String>,
    tool_calls: Option<Vec<CallPart>>,
}

#[derive(Deserialize)]
struct CallPart {
    index: Option<usize>,
    id: Option<String>,
    function: Option<FunctionPart>,
}

#[derive(Deserialize)]
struct FunctionPart {
    name: Option<String>,
    arguments: Option<String>,
}

/// Groq's own corner: token counts of a stream, and why one was stopped early.
#[derive(Deserialize)]
struct Groq {
    usage: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    /// DeepSeek's name for what the cache gave.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let cached = counts.prompt_tokens_details.and_then(|details| details.cached_tokens);
        Usage {
            input: counts.prompt_tokens.unwrap_or(0),
            cached_input: cached.or(counts.prompt_cache_hit_tokens).unwrap_or(0),
            output: counts.completion_tokens.unwrap_or(0),
            estimated: false,
        }
    }
}

impl Chunk {
    fn parse(bytes: &[u8]) -> Result<Self, ProviderError> {
        let mut chunk: Chunk = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
        let groq = chunk.x_groq.as_mut().and_then(|groq| groq.error.take());
        match chunk.error.take().or(groq) {
            Some(error) => Err(http::of_event(&error)),
            None => Ok(chunk),
        }
    }

    fn usage(&mut self) -> Option<Usage> {
        let groq = self.x_groq.take().and_then(|groq| groq.usage);
        self.usage.take().or(groq).map(Usage::from)
    }
}

impl Message {
    fn text(&mut self) -> (Option<String>, bool) {
        let refusal = self.refusal.take().filter(|text| !text.is_empty());
        let refused = refusal.is_some();
        (self.content.take().filter(|text| !text.is_empty()).or(refusal), refused)
    }

    fn reasoning(&mut self) -> Option<String> {
        let said = |text: &mut Option<String>| text.take().filter(|text| !text.is_empty());
        said(&mut self.reasoning_content).or_else(|| said(&mut self.reasoning))
    }
}

/// Reads a whole completion.
pub(in crate::providers) fn read(bytes: &[u8], call: &Call) -> Result<Reply, ProviderError> {
    let mut chunk = Chunk::parse(bytes)?;
    let usage = chunk.usage();
    let choice = chunk.choices.into_iter().flatten().next().ok_or_else(|| malformed("choice"))?;
    let mut message = choice.message.ok_or_else(|| malformed("message"))?;
    let (text, refused) = message.text();
    let reasoning = message.reasoning().unwrap_or_default();
    let mut ids = Ids::after(call);
    let mut tool_calls = Vec::new();
    for part in message.tool_calls.into_iter().flatten() {
        let function = part.function.ok_or_else(|| malformed("function in a tool call"))?;
        let arguments = calls::arguments(function.arguments.as_deref().unwrap_or_default())?;
        tool_calls.push(calls::whole(ids.or_own(part.id), function.name.unwrap_or_default(), arguments)?);
    }
    let stop_reason = stop_reason(choice.finish_reason.as_deref(), refused, !tool_calls.is_empty());
    Ok(Reply { text: text.unwrap_or_default(), stop_reason, usage, tool_calls, reasoning })
}

fn stop_reason(word: Option<&str>, refused: bool, has_calls: bool) -> StopReason {
    let said = match word {
        _ if refused => StopReason::Refusal,
        Some("stop") => StopReason::End,
        Some("length") => StopReason::Length,
        Some("content_filter") => StopReason::Refusal,
        Some("tool_calls" | "function_call") => StopReason::ToolCalls,
        _ => StopReason::Unspecified,
    };
    calls::stop_reason(said, has_calls)
}

/// A stream in the making: the reason to finish comes before the token counts, and `[DONE]` after both.
#[derive(Default)]
pub(in crate::providers) struct Chunks {
    events: Decoder,
    answer: Unfinished,
}

#[derive(Default)]
struct Unfinished {
    calls: Assembly,
    finish: Option<String>,
    refused: bool,
    usage: Option<Usage>,
}

impl Chunks {
    /// For the answer to this call.
    pub(in crate::providers) fn new(call: &Call) -> Self {
        let answer = Unfinished { calls: Assembly::new(Ids::after(call)), ..Unfinished::default() };
        Self { answer, ..Self::default() }
    }
}

impl Unfinished {
    fn take(&mut self, data: &str, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        if data.trim() == "[DONE]" {
            return self.close(pieces);
        }
        let mut chunk = Chunk::parse(data.as_bytes())?;
        self.usage = chunk.usage().or(self.usage);
        let Some(mut choice) = chunk.choices.into_iter().flatten().next() else { return Ok(()) };
        if let Some(message) = choice.delta.take().or_else(|| choice.message.take()) {
            self.add(message, pieces)?;
        }
        if let Some(word) = choice.finish_reason.filter(|word| !word.is_empty()) {
            self.finish = Some(word);
            self.calls.finish_all(pieces)?;
        }
        Ok(())
    }

    fn add(&mut self, mut message: Message, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        pieces.extend(message.reasoning().map(Piece::Reasoning));
        let (text, refused) = message.text();
        self.refused |= refused;
        pieces.extend(text.map(Piece::Text));
        for part in message.tool_calls.into_iter().flatten() {
            let (name, arguments) = part.function.map_or((None, None), |f| (f.name, f.arguments));
            self.calls.add(part.index, part.id, name, arguments.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }

    fn close(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let finish = self.finish.take().ok_or_else(http::cut)?;
        self.calls.finish_all(pieces)?;
        let stop_reason = stop_reason(Some(&finish), self.refused, self.calls.has_calls());
        pieces.push(Piece::Done { stop_reason, usage: self.usage.take() });
        Ok(())
    }
}

impl Decode for Chunks {
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let Self { events, answer } = self;
        events.push(bytes, |data| answer.take(data, pieces))
    }

    fn end(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        self.answer.close(pieces)
    }
}
