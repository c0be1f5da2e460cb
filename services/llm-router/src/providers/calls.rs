//! Tool calls as they arrive: whole, or in fragments that belong together by a number.
use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::http::{REPLY_LIMIT, malformed};
use super::{Piece, ProviderError};
use crate::domain::{Call, Outcome, Part, StopReason, Tool, ToolCall};

/// The most tool calls in one answer.
const MOST: usize = 128;

/// The schema of a tool's arguments; for a tool without any, that of an empty object, since some servers want one.
pub fn parameters(tool: &Tool) -> Cow<'_, Value> {
    match &tool.parameters {
        Some(schema) => Cow::Borrowed(schema),
        None => Cow::Owned(json!({"type": "object", "properties": {}})),
    }
}

/// Names for calls that a provider leaves nameless. They go on where those of the conversation end, because an id may
/// stand in it only once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ids {
    next: usize,
}

impl Ids {
    /// The ids of the calls to come in a conversation.
    pub fn after(call: &Call) -> Self {
        let parts = call.turns().flat_map(|turn| &turn.parts);
        Self { next: parts.filter(|part| matches!(part, Part::ToolCall(_))).count() }
    }

    /// The provider's id, or the next of ours.
    pub fn or_own(&mut self, id: Option<String>) -> String {
        let own = format!("call_{}", self.next);
        self.next += 1;
        id.filter(|id| !id.is_empty()).unwrap_or(own)
    }

    /// True for an id of ours, which its provider does not know.
    pub fn is_own(id: &str) -> bool {
        id.strip_prefix("call_").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    }
}

/// Reads arguments written as text. None at all, or `null`, are an empty object.
pub fn arguments(text: &str) -> Result<Map<String, Value>, ProviderError> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let arguments: Option<Map<String, Value>> = serde_json::from_str(text).map_err(|error| {
        let error = super::http::bad_shape(error);
        ProviderError { detail: "the arguments of a tool call are no JSON object".to_owned(), ..error }
    })?;
    Ok(arguments.unwrap_or_default())
}

/// A whole call.
pub fn whole(id: String, name: String, arguments: Map<String, Value>) -> Result<ToolCall, ProviderError> {
    if name.is_empty() { Err(malformed("name of a tool")) } else { Ok(ToolCall { id, name, arguments }) }
}

/// Some providers give the ordinary reason where tools are asked for.
pub fn stop_reason(said: StopReason, has_calls: bool) -> StopReason {
    if has_calls && matches!(said, StopReason::End | StopReason::Unspecified) {
        StopReason::ToolCalls
    } else {
        said
    }
}

/// Calls that arrive in fragments.
#[derive(Debug, Default)]
pub struct Assembly {
    ids: Ids,
    open: Vec<Fragments>,
    begun: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Fragments {
    index: usize,
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    /// For an answer whose nameless calls get these ids.
    pub fn new(ids: Ids) -> Self {
        Self { ids, ..Self::default() }
    }

    /// True when a call has begun.
    pub fn has_calls(&self) -> bool {
        self.begun > 0
    }

    /// True when the call with this number has begun and is not complete.
    pub fn has(&self, index: usize) -> bool {
        self.open.iter().any(|call| call.index == index)
    }

    /// Adds a fragment to the call with this number. Without a number, one that brings an id begins a call and one
    /// without belongs to the last; another id under the same number begins another call.
    pub fn add(
        &mut self,
        index: Option<usize>,
        id: Option<String>,
        name: Option<String>,
        arguments: &str,
    ) -> Result<(), ProviderError> {
        let id = id.unwrap_or_default();
        let same = |call: &Fragments| id.is_empty() || call.id.is_empty() || call.id == id;
        let place = match index {
            Some(index) => self.open.iter().rposition(|call| call.index == index),
            None => self.open.len().checked_sub(1),
        };
        let place = place.filter(|place| self.open.get(*place).is_some_and(same));
        self.bytes += arguments.len() + name.as_ref().map_or(0, String::len);
        if self.bytes > REPLY_LIMIT {
            return Err(ProviderError::new(Outcome::BadReply, "the tool calls are too long"));
        }
        if let Some(call) = place.and_then(|place| self.open.get_mut(place)) {
            if call.id.is_empty() {
                call.id = id;
            }
            // Some repeat the name in every fragment, none cuts it.
            call.name = name.filter(|name| !name.is_empty()).unwrap_or(std::mem::take(&mut call.name));
            call.arguments.push_str(arguments);
            return Ok(());
        }
        self.begun += 1;
        if self.begun > MOST {
            return Err(ProviderError::new(Outcome::BadReply, "the reply has too many tool calls"));
        }
        let index = index.unwrap_or(self.open.len());
        let name = name.unwrap_or_default();
        self.open.push(Fragments { index, id, name, arguments: arguments.to_owned() });
        Ok(())
    }

    /// Gives the call with this number, which is complete; nothing when there is none.
    pub fn finish(&mut self, index: usize, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let Some(place) = self.open.iter().position(|call| call.index == index) else { return Ok(()) };
        let call = self.open.remove(place);
        self.give(call, pieces)
    }

    /// Gives all calls, which are complete, in the order of their numbers.
    pub fn finish_all(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let mut open = std::mem::take(&mut self.open);
        open.sort_by_key(|call| call.index);
        open.into_iter().try_for_each(|call| self.give(call, pieces))
    }

    fn give(&mut self, call: Fragments, pieces: &mut Vec<Piece>) -> Result<(), ProviderError> {
        let id = self.ids.or_own(Some(call.id));
        pieces.push(Piece::ToolCall(whole(id, call.name, arguments(&call.arguments)?)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn given(assembly: &mut Assembly) -> Vec<String> {
        let mut pieces = Vec::new();
        assembly.finish_all(&mut pieces).unwrap();
        let shown = |piece| match piece {
            Piece::ToolCall(call) => format!("{} {} {}", call.id, call.name, Value::Object(call.arguments)),
            other => panic!("{other:?}"),
        };
        pieces.into_iter().map(shown).collect()
    }

    #[test]
    fn fragments_find_their_call() {
        let mut calls = Assembly::default();
        calls.add(Some(1), id("b"), id("two"), "{\"x\"").unwrap();
        calls.add(Some(0), id("a"), id("one"), "").unwrap();
        calls.add(Some(1), None, None, ":1}").unwrap();
        calls.add(Some(0), id(""), id(""), "").unwrap();
        assert_eq!(given(&mut calls), ["a one {}", r#"b two {"x":1}"#]);
        assert!(calls.has_calls());
    }

    #[test]
    fn numbers_may_be_missing_or_repeated_and_ids_too() {
        let mut calls = Assembly::default();
        calls.add(None, id("a"), id("one"), "{").unwrap();
        calls.add(None, None, None, "}").unwrap();
        calls.add(None, id("b"), id("two"), "").unwrap();
        assert_eq!(given(&mut calls), ["a one {}", "b two {}"]);
        let mut calls = Assembly::new(Ids { next: 3 });
        calls.add(Some(0), id("a"), id("one"), "{}").unwrap();
        calls.add(Some(0), id("b"), id("two"), "{}").unwrap();
        calls.add(Some(2), None, id("three"), "null").unwrap();
        assert_eq!(given(&mut calls), ["a one {}", "b two {}", "call_5 three {}"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for (name, arguments) in [("", "{}"), ("f", "{"), ("f", "[1]"), ("f", "\"{}\"")] {
            let mut calls = Assembly::default();
            calls.add(Some(0), id("a"), id(name), arguments).unwrap();
            let error = calls.finish(0, &mut Vec::new()).unwrap_err();
            assert_eq!(error.outcome, Outcome::BadReply, "{name} {arguments}");
        }
        let mut calls = Assembly::default();
        let many = (0..=MOST).try_for_each(|n| calls.add(Some(n), None, id("f"), ""));
        assert_eq!(many.unwrap_err().outcome, Outcome::BadReply);
    }

    #[test]
    fn own_ids_are_known() {
        assert!(Ids::is_own("call_12"));
        assert!(!Ids::is_own("call_") && !Ids::is_own("call_1a") && !Ids::is_own("fc-1"));
    }
}
