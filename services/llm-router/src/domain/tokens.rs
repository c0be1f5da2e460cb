//! How many tokens a prompt has, by the vocabularies that are built in.
use std::collections::HashSet;
use std::ops::Range;

use copydesk_proto::llm_router::v1::Role;
use serde_json::Value;
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

use super::call::estimate_tokens;
use super::{Part, Turn};

/// The longest stretch that is given to the tokenizer at once, in bytes: its splitting pattern goes back over runs of
/// blanks, so hostile input must not reach it in one piece.
const STRETCH: usize = 16 << 10;

/// What a message costs beside its role and text.
const FRAME: u64 = 3;

/// What the beginning of the answer costs.
const REPLY: u64 = 3;

/// A vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// GPT-4o and later models of OpenAI.
    O200k,
    /// GPT-4, GPT-3.5 and the third embedding models of OpenAI.
    Cl100k,
}

impl Encoding {
    /// The vocabulary of a model, by the provider's own name for it; `None` when it is not known here.
    pub fn of_model(model: &str) -> Option<Self> {
        // Brokers put the maker's name before the model's.
        let name = model.rsplit('/').next().unwrap_or(model);
        match get_tokenizer(name)? {
            Tokenizer::O200kBase => Some(Self::O200k),
            Tokenizer::Cl100kBase => Some(Self::Cl100k),
            _ => None,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::O200k => "o200k_base",
            Encoding::Cl100k => "cl100k_base",
        }
    }

    fn vocabulary(self) -> &'static CoreBPE {
        match self {
            Encoding::O200k => o200k_base_singleton(),
            Encoding::Cl100k => cl100k_base_singleton(),
        }
    }
}

/// A count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCount {
    /// The tokens of the prompt, frames included.
    pub tokens: u64,
    /// The vocabulary that was counted with.
    pub encoding: Encoding,
    /// True when the count is near, not exact.
    pub estimated: bool,
}

/// Counts a prompt for a model, by the provider's own name for it. Exact for messages of text to models whose vocabulary
/// is known; how tools are framed is not published. Pictures are not counted. A long prompt takes a processor for a
/// while: this is not for a thread that others wait for.
pub fn count_tokens(model: &str, turns: &[Turn]) -> TokenCount {
    let known = Encoding::of_model(model);
    let encoding = known.unwrap_or(Encoding::O200k);
    let mut counter = Counter { vocabulary: encoding.vocabulary(), tokens: REPLY, exact: known.is_some() };
    turns.iter().for_each(|turn| counter.turn(turn));
    TokenCount { tokens: counter.tokens, encoding, estimated: !counter.exact }
}

struct Counter {
    vocabulary: &'static CoreBPE,
    tokens: u64,
    exact: bool,
}

impl Counter {
    fn turn(&mut self, turn: &Turn) {
        self.tokens += FRAME;
        self.text(role(turn.role));
        self.text(&turn.text);
        for part in &turn.parts {
            match part {
                Part::Text(text) => self.text(text),
                Part::Image(_) => {}
                Part::ToolCall(call) => {
                    self.exact = false;
                    self.text(&call.name);
                    self.text(&Value::Object(call.arguments.clone()).to_string());
                }
                Part::ToolResult(result) => {
                    self.exact = false;
                    self.text(&result.text);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        let mut start = 0;
        while start < text.len() {
            let (end, exact) = stretch_end(text, start);
            self.exact &= exact;
            self.stretch(&text[start..end]);
            start = end;
        }
    }

    fn stretch(&mut self, text: &str) {
        // The fallible call, with no special token allowed; the others panic where this one reports.
        match self.vocabulary.encode(text, &HashSet::new()) {
            Ok((tokens, _)) => self.tokens += tokens.len() as u64,
            Err(_) => {
                self.exact = false;
                self.tokens += estimate_tokens(text.len());
            }
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "",
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Where the stretch that begins at `start` ends, and whether the tokenizer would end a token there anyhow.
fn stretch_end(text: &str, start: usize) -> (usize, bool) {
    if text.len() - start <= STRETCH {
        return (text.len(), true);
    }
    let limit = text.floor_char_boundary(start + STRETCH);
    match word_start(text.as_bytes(), start + 1..limit) {
        Some(at) => (at, true),
        None => (limit, false),
    }
}

/// The last blank between two letters: a word ends before it, and the next one takes it along, in every vocabulary here.
fn word_start(bytes: &[u8], range: Range<usize>) -> Option<usize> {
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    range.rev().find(|at| bytes[*at] == b' ' && letter(at - 1) && letter(at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Image, ImageSource, ToolCall};

    fn user(text: &str) -> Turn {
        Turn::text(Role::User, text)
    }

    #[test]
    fn counts_as_openai_publishes_it() {
        let turns = [Turn::text(Role::System, "You are a helpful assistant."), user("hello world")];
        let count = count_tokens("gpt-4o-mini", &turns);
        // 6 and 2 tokens of text, a role and a frame for each message, and the beginning of the answer.
        assert_eq!(count.tokens, (3 + 1 + 6) + (3 + 1 + 2) + 3);
        assert_eq!((count.encoding, count.estimated), (Encoding::O200k, false));
        let old = count_tokens("gpt-4", &turns);
        assert_eq!((old.tokens, old.encoding.as_str(), old.estimated), (19, "cl100k_base", false));
    }

    #[test]
    fn models_are_known_by_their_names() {
        for model in [
            "gpt-4o",
            "gpt-4.1-mini",
            "gpt-5",
            "o1",
            "o3-mini",
            "o4-mini",
            "openai/gpt-4o",
            "ft:gpt-4o:org::x",
        ] {
            assert_eq!(Encoding::of_model(model), Some(Encoding::O200k), "{model}");
        }
        for model in ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "text-embedding-3-small"] {
            assert_eq!(Encoding::of_model(model), Some(Encoding::Cl100k), "{model}");
        }
        for model in ["claude-sonnet-4-5", "llama3.1:8b", "text-davinci-003", "", "openai/gpt-oss-20b"] {
            assert_eq!(Encoding::of_model(model), None, "{model}");
            let count = count_tokens(model, &[user("hello world")]);
            assert_eq!(
                (count.tokens, count.encoding, count.estimated),
                (9, Encoding::O200k, true),
                "{model}"
            );
        }
    }

    #[test]
    fn tools_are_counted_near_and_pictures_not_at_all() {
        let plain = count_tokens("gpt-4o", &[user("look")]);
        let image = Image {
            media_type: String::new(),
            source: ImageSource::Url("https://example.com/a".into()),
            detail: String::new(),
        };
        let picture = Turn { parts: vec![Part::Image(image)], ..user("look") };
        assert_eq!(count_tokens("gpt-4o", &[picture]), plain);
        let call = ToolCall { id: "1".into(), name: "weather".into(), arguments: serde_json::Map::new() };
        let called = count_tokens("gpt-4o", &[Turn { parts: vec![Part::ToolCall(call)], ..user("look") }]);
        assert!(called.tokens > plain.tokens && called.estimated);
    }

    #[test]
    fn long_text_is_counted_in_stretches_without_a_difference() {
        let text = "Graded alerts cut the number of alarms per shift, said the driver's union. \n\n  It's 23 to 3.4!\t"
            .repeat(600);
        for model in ["gpt-4o", "gpt-4"] {
            let at_once = Encoding::of_model(model).unwrap().vocabulary().encode_ordinary(&text).len() as u64;
            let count = count_tokens(model, &[user(&text)]);
            assert_eq!((count.tokens, count.estimated), (at_once + FRAME + 1 + REPLY, false), "{model}");
        }
    }

    #[test]
    fn hostile_runs_are_counted_not_feared() {
        for text in [
            " ".repeat(200_000),
            "\n".repeat(200_000),
            "a".repeat(200_000),
            "é".repeat(100_000),
            "<|endoftext|>".repeat(10_000),
        ] {
            let count = count_tokens("gpt-4o", &[user(&text)]);
            assert!(count.estimated && count.tokens > 100, "{count:?}");
        }
        assert_eq!(count_tokens("gpt-4o", &[]).tokens, REPLY);
    }
}
