//! Anthropic's streamed answers: blocks one after another, each in deltas.
use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::reply::{Block, Counts, Message, is_answer, stop_reason};
use crate::providers::calls::Assembly;
use crate::providers::http::{self, Decode};
use crate::providers::sse::Decoder;
use crate::providers::{Piece, ProviderError};

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    index: Option<usize>,
    message: Option<Message>,
    content_block: Option<Block>,
    delta: Option<Delta>,
    usage: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

/// A stream in the making: counts come at both ends, the reason to stop just before the end.
#[derive(Default)]
pub(in crate::providers) struct Events {
    events: Decoder,
    answer: Unfinished,
}

#[derive(Default)]
struct Unfinished {
    answer_in_tool: bool,
    /// The number of the block that is our tool's input.
    answer: Option<usize>,
    calls: Assembly,
    counts: Option<Counts>,
    stop: Option<String>,
}

impl Events {
    /// With `answer_in_tool` the answer is the input of our tool; words around it are not.
    pub(in crate::providers) fn new(answer_in_tool: bool) -> Self {
        Self { answer: Unfinished { answer_in_tool, ..Unfinished::default() }, ..Self::default() }
    }
}

impl Unfinished {
    fn take(&mut self, data: &str, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let event: Event<'_> = serde_json::from_str(data).map_err(http::bad_shape)?;
        if let Some(error) = event.error {
            return Err(http::of_event(&error));
        }
        let index = event.index.unwrap_or(0);
        match event.r#type.as_ref() {
            "error" => Err(http::of_event(&Value::Null)),
            "message_start" => {
                self.count(event.message.and_then(|message| message.usage));
                Ok(())
            }
            "content_block_start" => {
                event.content_block.map_or(Ok(()), |block| self.begin(index, block, pieces))
            }
            "content_block_delta" => event.delta.map_or(Ok(()), |delta| self.add(index, delta, pieces)),
            "content_block_stop" => self.calls.finish(index, pieces),
            "message_delta" => {
                self.count(event.usage);
                self.stop = event.delta.and_then(|delta| delta.stop_reason).or(self.stop.take());
                Ok(())
            }
            "message_stop" => self.close(pieces),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, index: usize, block: Block, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        match block.r#type.as_str() {
            "tool_use" if is_answer(&block, self.answer_in_tool) => {
                self.answer = Some(index);
                Ok(())
            }
            "tool_use" => {
                // The input is empty here and follows in deltas, unless a server sends it at once.
                let whole = block.input.filter(|input| !input.is_empty()).map(Value::Object);
                let input = whole.map(|input| input.to_string()).unwrap_or_default();
                self.calls.add(Some(index), block.id, block.name, &input)
            }
            "text" | "thinking" => {
                self.say(block.text, block.thinking, pieces);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, index: usize, delta: Delta, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        self.say(delta.text, delta.thinking, pieces);
        match delta.partial_json.filter(|json| !json.is_empty()) {
            Some(json) if self.answer == Some(index) => pieces.push(Piece::Text(json)),
            // Tools that run at the provider have inputs too, which are not ours to answer.
            Some(json) if self.calls.has(index) => self.calls.add(Some(index), None, None, &json)?,
            Some(_) | None => {}
        }
        Ok(())
    }

    fn say(&self, text: Option<String>, thinking: Option<String>, pieces: &mut Vec<Piece>) {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        pieces.extend(said(thinking).map(Piece::Reasoning));
        pieces.extend(said(text).filter(|_| !self.answer_in_tool).map(Piece::Text));
    }

    fn count(&mut self, counts: Option<Counts>) {
        if let Some(counts) = counts {
            self.counts.get_or_insert_default().update(counts);
        }
    }

    fn close(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let stop = self.stop.take().ok_or_else(http::cut)?;
        self.calls.finish_all(pieces)?;
        let usage = self.counts.map(|counts| counts.usage());
        pieces.push(Piece::Done { stop_reason: stop_reason(&stop, self.calls.has_calls()), usage });
        Ok(())
    }
}

impl Decode for Events {
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let Self { events, answer } = self;
        events.push(bytes, |data| answer.take(data, pieces))
    }

    fn end(&mut self, _pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        Err(http::cut())
    }
}
