//! Ollama's answers, whole and line by line.
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{Call, StopReason, ToolCall, Usage};
use crate::providers::calls::{self, Ids};
use crate::providers::http::{self, Decode, malformed};
use crate::providers::lines::Lines;
use crate::providers::{Piece, ProviderError, Reply};

/// A whole answer, or one line of it.
#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

#[derive(Deserialize, Default)]
struct Message {
    content: Option<String>,
    thinking: Option<String>,
    tool_calls: Option<Vec<CallBody>>,
}

#[derive(Deserialize)]
struct CallBody {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    name: String,
    arguments: Option<Map<String, Value>>,
}

impl Line {
    fn parse(bytes: &[u8]) -> Result<Self, ProviderError> {
        let line: Line = serde_json::from_slice(bytes).map_err(http::bad_shape)?;
        match &line.error {
            Some(error) => Err(http::of_event(error)),
            None => Ok(line),
        }
    }

    fn stop_reason(&self, has_calls: bool) -> StopReason {
        let said = match self.done_reason.as_deref() {
            Some("stop") => StopReason::End,
            Some("length") => StopReason::Length,
            _ => StopReason::Unspecified,
        };
        calls::stop_reason(said, has_calls)
    }

    /// A prompt that is wholly cached is not counted; then there is no count to give.
    fn usage(&self) -> Option<Usage> {
        let (input, output) = (self.prompt_eval_count?, self.eval_count?);
        Some(Usage { input, cached_input: 0, output, estimated: false })
    }
}

impl Message {
    /// Calls come whole, and in most versions without an id.
    fn tool_calls(&mut self, ids: &mut Ids) -> Result<Vec<ToolCall>, ProviderError> {
        let found = self.tool_calls.take().into_iter().flatten();
        let whole = |call: CallBody| {
            calls::whole(ids.or_own(call.id), call.function.name, call.function.arguments.unwrap_or_default())
        };
        found.map(whole).collect()
    }
}

/// Reads a whole answer.
pub(in crate::providers) fn read(bytes: &[u8], call: &Call) -> Result<Reply, ProviderError> {
    let mut line = Line::parse(bytes)?;
    if !line.done {
        return Err(malformed("end"));
    }
    let mut message = line.message.take().ok_or_else(|| malformed("message"))?;
    let tool_calls = message.tool_calls(&mut Ids::after(call))?;
    Ok(Reply {
        text: message.content.unwrap_or_default(),
        stop_reason: line.stop_reason(!tool_calls.is_empty()),
        usage: line.usage(),
        tool_calls,
        reasoning: message.thinking.unwrap_or_default(),
    })
}

/// A stream in the making.
#[derive(Default)]
pub(in crate::providers) struct Objects {
    lines: Lines,
    answer: Unfinished,
}

#[derive(Default)]
struct Unfinished {
    ids: Ids,
    has_calls: bool,
    done: bool,
}

impl Objects {
    /// For the answer to this call.
    pub(in crate::providers) fn new(call: &Call) -> Self {
        let answer = Unfinished { ids: Ids::after(call), ..Unfinished::default() };
        Self { answer, ..Self::default() }
    }
}

impl Unfinished {
    fn take(&mut self, line: &str, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        if line.trim().is_empty() || self.done {
            return Ok(());
        }
        let mut line = Line::parse(line.as_bytes())?;
        let mut message = line.message.take().unwrap_or_default();
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        pieces.extend(said(message.thinking.take()).map(Piece::Reasoning));
        pieces.extend(said(message.content.take()).map(Piece::Text));
        for call in message.tool_calls(&mut self.ids)? {
            self.has_calls = true;
            pieces.push(Piece::ToolCall(call));
        }
        self.done = line.done;
        if self.done {
            pieces.push(Piece::Done { stop_reason: line.stop_reason(self.has_calls), usage: line.usage() });
        }
        Ok(())
    }
}

impl Decode for Objects {
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let Self { lines, answer } = self;
        lines.push(bytes, |line| answer.take(line, pieces))
    }

    fn end(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        match self.lines.rest()? {
            // A cut line is a broken stream, not a strange one.
            Some(line) => self.answer.take(&line, pieces).map_err(|error| match error.message {
                Some(_) => error,
                None => http::cut().with_source(error),
            }),
            None => Ok(()),
        }
    }
}
