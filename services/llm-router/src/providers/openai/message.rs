//! A conversation in OpenAI's words.
use std::borrow::Cow;

use copydesk_proto::llm_router::v1::Role;
use serde::Serialize;

use super::request::{Function, function};
use crate::domain::{ImageSource, Part, Turn};
use crate::providers::picture::DataUrl;

#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    /// `null` in a message of tool calls alone.
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<PartBody<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PartBody<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: Address<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Address<'a> {
    There(&'a str),
    Here(DataUrl<'a>),
}

#[derive(Serialize)]
struct CallBody<'a> {
    id: &'a str,
    #[serde(flatten)]
    function: Function<CallFunction<'a>>,
}

#[derive(Serialize)]
struct CallFunction<'a> {
    name: &'a str,
    arguments: String,
}

impl<'a> Message<'a> {
    /// An instruction of ours.
    pub(super) fn instruction(text: String) -> Self {
        Self::said("system", Content::Text(Cow::Owned(text)))
    }

    fn said(role: &'static str, content: Content<'a>) -> Self {
        Self { role, content: Some(content), tool_calls: Vec::new(), tool_call_id: None }
    }
}

/// Adds a turn: one message, but each tool result is one of its own.
pub(super) fn add<'a>(turn: &'a Turn, messages: &mut Vec<Message<'a>>) {
    let mut tool_calls = Vec::new();
    for part in &turn.parts {
        match part {
            Part::ToolResult(result) => messages.push(Message {
                tool_call_id: Some(&result.call_id),
                ..Message::said("tool", Content::Text(Cow::Borrowed(&result.text)))
            }),
            Part::ToolCall(call) => tool_calls.push(CallBody {
                id: &call.id,
                function: function(CallFunction {
                    name: &call.name,
                    arguments: serde_json::to_string(&call.arguments).unwrap_or_default(),
                }),
            }),
            Part::Text(_) | Part::Image(_) => {}
        }
    }
    let content = content(turn);
    if content.is_some() || !tool_calls.is_empty() {
        messages.push(Message { role: role(turn.role), content, tool_calls, tool_call_id: None });
    }
}

/// Texts alone are one text, because many servers take a list of parts from users only.
fn content(turn: &Turn) -> Option<Content<'_>> {
    let mut parts = Vec::new();
    if !turn.text.is_empty() {
        parts.push(PartBody::Text { text: &turn.text });
    }
    for part in &turn.parts {
        match part {
            Part::Text(text) => parts.push(PartBody::Text { text }),
            Part::Image(image) => {
                let url = match &image.source {
                    ImageSource::Data(bytes) => {
                        Address::Here(DataUrl { media_type: &image.media_type, bytes })
                    }
                    ImageSource::Url(url) => Address::There(url),
                };
                parts.push(PartBody::ImageUrl { image_url: ImageUrl { url, detail: &image.detail } });
            }
            Part::ToolCall(_) | Part::ToolResult(_) => {}
        }
    }
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| match part {
            PartBody::Text { text } => Some(*text),
            PartBody::ImageUrl { .. } => None,
        })
        .collect();
    match texts.as_deref() {
        Some([]) => None,
        Some([text]) => Some(Content::Text(Cow::Borrowed(text))),
        Some(texts) => Some(Content::Text(Cow::Owned(texts.join("\n\n")))),
        None => Some(Content::Parts(parts)),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::User | Role::Tool | Role::Unspecified => "user",
    }
}
