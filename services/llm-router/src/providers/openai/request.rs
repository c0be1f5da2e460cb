//! A call in OpenAI's words.
use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::message::{self, Message};
use crate::domain::{Call, Schema, Tool, ToolChoice};
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
pub(super) struct Function<T> {
    r#type: &'static str,
    function: T,
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
            messages.push(Message::instruction(form::in_words(schema)));
        }
        call.turns().for_each(|turn| message::add(turn, &mut messages));
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

/// What stands around every function.
pub(super) fn function<T>(function: T) -> Function<T> {
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
