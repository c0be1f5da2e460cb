//! A call in Anthropic's words.
use std::borrow::Cow;

use copydesk_proto::llm_router::v1::Role;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{TOOL, carries_answer, thinks};
use crate::domain::{Call, Image, ImageSource, Part, ToolChoice, Turn};
use crate::providers::picture::Base64;
use crate::providers::{calls, form};

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    system: String,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a Map<String, Value>,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: Base64<'a> },
    Url { url: &'a str },
}

#[derive(Serialize)]
struct ToolBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    input_schema: Cow<'a, Value>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Choice<'a> {
    None,
    Any,
    Tool { name: &'a str },
}

pub(super) fn body(call: &Call, stream: bool) -> Body<'_> {
    let prompt = &call.prompt;
    let (mut system, mut messages) = split(call);
    if let Some(schema) = prompt.schema.as_ref().filter(|_| !carries_answer(call)) {
        let asked = form::in_words(schema);
        system = if system.is_empty() { asked } else { format!("{system}\n\n{asked}") };
    }
    if messages.is_empty() {
        // A conversation must begin with the user; instructions alone become what the user says.
        let content = Content::Text(Cow::Owned(std::mem::take(&mut system)));
        messages.push(Message { role: "user", content });
    }
    // Thinking allows no temperature, and newer models take only one of the two.
    let temperature = prompt.temperature.filter(|_| !thinks(call)).map(|degree| degree.min(1.0));
    let (tools, tool_choice) = tools(call);
    Body {
        model: &call.model,
        max_tokens: call.max_output_tokens,
        system,
        messages,
        temperature,
        top_p: prompt.top_p.filter(|_| temperature.is_none()),
        stop_sequences: &prompt.stop,
        tools,
        tool_choice,
        stream,
    }
}

fn tools(call: &Call) -> (Vec<ToolBody<'_>>, Option<Choice<'_>>) {
    let prompt = &call.prompt;
    if let Some(schema) = prompt.schema.as_ref().filter(|_| carries_answer(call)) {
        let input_schema = Cow::Borrowed(schema.json());
        let tool = ToolBody { name: TOOL, description: "Gives the answer.", input_schema };
        return (vec![tool], Some(Choice::Tool { name: TOOL }));
    }
    let choice = match &prompt.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(Choice::None),
        ToolChoice::Required => Some(Choice::Any),
        ToolChoice::Named(name) => Some(Choice::Tool { name }),
    };
    let body = |tool| ToolBody {
        input_schema: calls::parameters(tool),
        name: &tool.name,
        description: &tool.description,
    };
    (prompt.tools.iter().map(body).collect(), choice.filter(|_| !prompt.tools.is_empty()))
}

/// The system texts joined, and the other turns as messages: user and assistant take turns, so what follows each other
/// in the same role becomes one message, several tool results too.
fn split(call: &Call) -> (String, Vec<Message<'_>>) {
    let mut system: Vec<&str> = Vec::new();
    let mut spoken: Vec<(&'static str, Vec<Block<'_>>)> = Vec::new();
    for turn in call.turns() {
        let role = match turn.role {
            Role::System => {
                system.extend(texts(turn));
                continue;
            }
            Role::Assistant => "assistant",
            Role::User | Role::Tool | Role::Unspecified => "user",
        };
        let blocks = blocks(turn);
        match spoken.last_mut() {
            Some((last, said)) if *last == role => said.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => spoken.push((role, blocks)),
        }
    }
    let message = |(role, blocks)| Message { role, content: content(blocks) };
    (system.join("\n\n"), spoken.into_iter().map(message).collect())
}

fn content(blocks: Vec<Block<'_>>) -> Content<'_> {
    match blocks.as_slice() {
        [Block::Text { text }] => Content::Text(Cow::Borrowed(text)),
        _ => Content::Blocks(blocks),
    }
}

/// Blank texts are left out: the provider refuses them.
fn texts(turn: &Turn) -> impl Iterator<Item = &str> {
    let more = turn.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Image(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
    });
    std::iter::once(turn.text.as_str()).chain(more).filter(|text| !text.trim().is_empty())
}

fn blocks(turn: &Turn) -> Vec<Block<'_>> {
    let said = |text: &'_ str| !text.trim().is_empty();
    let first = said(&turn.text).then_some(Block::Text { text: &turn.text });
    let more = turn.parts.iter().filter_map(|part| match part {
        Part::Text(text) => said(text).then_some(Block::Text { text }),
        Part::Image(image) => Some(Block::Image { source: source(image) }),
        Part::ToolCall(call) => {
            Some(Block::ToolUse { id: &call.id, name: &call.name, input: &call.arguments })
        }
        Part::ToolResult(result) => Some(Block::ToolResult {
            tool_use_id: &result.call_id,
            content: &result.text,
            is_error: result.is_error,
        }),
    });
    first.into_iter().chain(more).collect()
}

fn source(image: &Image) -> Source<'_> {
    match &image.source {
        ImageSource::Data(bytes) => Source::Base64 { media_type: &image.media_type, data: Base64(bytes) },
        ImageSource::Url(url) => Source::Url { url },
    }
}
