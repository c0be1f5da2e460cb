//! A call in OpenAI's words.
use std::borrow::Cow;

use copydesk_proto::llm_router::v1::Role;
use serde::Serialize;
use serde_json::Value;

use crate::domain::{Call, ImageSource, Part, Schema, Tool, ToolChoice, Turn};
use crate::providers::picture::DataUrl;
use crate::providers::{calls, form};

/// In what the servers that speak this protocol differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    /// OpenAI's newer models take only the new name of the output limit; other servers often know only the old one.
    pub new_limit: bool,
    /// Whether a stream is asked to count its tokens.
    pub stream_options: bool,
    /// Whether a schema is taken, or only told in words.
    pub json_schema: bool,
}

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<ToolBody<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Message<'a> {
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
struct Function<T> {
    r#type: &'static str,
    function: T,
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

#[derive(Serialize)]
struct ToolBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    parameters: Cow<'a, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named(Function<Named<'a>>),
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonObject,
    JsonSchema { json_schema: SchemaBody<'a> },
}

#[derive(Serialize)]
struct SchemaBody<'a> {
    name: &'static str,
    schema: &'a Value,
    strict: bool,
}

impl Dialect {
    pub(super) fn body<'a>(&self, call: &'a Call, stream: bool) -> Body<'a> {
        let prompt = &call.prompt;
        let mut messages = Vec::with_capacity(prompt.turns.len() + call.more.len());
        if let Some(schema) = prompt.schema.as_ref().filter(|_| !self.json_schema) {
            messages.push(Message::said("system", Content::Text(Cow::Owned(form::in_words(schema)))));
        }
        call.turns().for_each(|turn| add(turn, &mut messages));
        let limit = Some(call.max_output_tokens);
        Body {
            model: &call.model,
            messages,
            max_tokens: limit.filter(|_| !self.new_limit),
            max_completion_tokens: limit.filter(|_| self.new_limit),
            temperature: prompt.temperature,
            top_p: prompt.top_p,
            stop: &prompt.stop,
            tools: prompt.tools.iter().map(tool).collect(),
            tool_choice: choice(&prompt.tool_choice).filter(|_| !prompt.tools.is_empty()),
            response_format: prompt.schema.as_ref().map(|schema| self.format(schema)),
            stream,
            stream_options: (stream && self.stream_options).then_some(StreamOptions { include_usage: true }),
        }
    }

    fn format<'a>(&self, schema: &'a Schema) -> Format<'a> {
        if !self.json_schema {
            return Format::JsonObject;
        }
        // Not `strict`: that mode refuses schemas with optional fields, and we check the answer anyway.
        Format::JsonSchema {
            json_schema: SchemaBody { name: "answer", schema: schema.json(), strict: false },
        }
    }
}

impl<'a> Message<'a> {
    fn said(role: &'static str, content: Content<'a>) -> Self {
        Self { role, content: Some(content), tool_calls: Vec::new(), tool_call_id: None }
    }
}

/// A turn is one message, but each tool result is one of its own.
fn add<'a>(turn: &'a Turn, messages: &mut Vec<Message<'a>>) {
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

fn function<T>(function: T) -> Function<T> {
    Function { r#type: "function", function }
}

fn tool(tool: &Tool) -> Function<ToolBody<'_>> {
    function(ToolBody {
        name: &tool.name,
        description: &tool.description,
        parameters: calls::parameters(tool),
    })
}

/// `auto` is what servers do unasked, and some refuse to be asked for it.
fn choice(choice: &ToolChoice) -> Option<Choice<'_>> {
    Some(match choice {
        ToolChoice::Auto => return None,
        ToolChoice::None => Choice::Word("none"),
        ToolChoice::Required => Choice::Word("required"),
        ToolChoice::Named(name) => Choice::Named(function(Named { name })),
    })
}
