//! A call in Ollama's words.
use std::borrow::Cow;

use copydesk_proto::llm_router::v1::Role;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::{Call, ImageSource, Outcome, Part, ToolChoice, Turn};
use crate::providers::http::Nested;
use crate::providers::picture::Base64;
use crate::providers::{ProviderError, calls};

/// The caller's own options join ours.
pub(super) const OPTIONS: Nested = Nested { field: "options", limit: "num_predict" };

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    options: Options<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a Value>,
}

#[derive(Serialize)]
struct Options<'a> {
    num_predict: u32,
    /// Without it Ollama takes a small window and cuts a long prompt from the front without a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    num_ctx: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Base64<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Function<CallBody<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
}

#[derive(Serialize)]
struct Function<T> {
    function: T,
}

#[derive(Serialize)]
struct CallBody<'a> {
    name: &'a str,
    arguments: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct ToolBody<'a> {
    r#type: &'static str,
    function: FunctionBody<'a>,
}

#[derive(Serialize)]
struct FunctionBody<'a> {
    name: &'a str,
    description: &'a str,
    parameters: Cow<'a, Value>,
}

/// # Errors
/// A picture is named by its address: Ollama loads none.
pub(super) fn body(call: &Call, stream: bool) -> Result<Body<'_>, ProviderError> {
    let prompt = &call.prompt;
    let mut messages = Vec::with_capacity(prompt.turns.len() + call.more.len());
    call.turns().try_for_each(|turn| add(turn, &mut messages))?;
    Ok(Body {
        model: &call.model,
        messages,
        stream,
        options: Options {
            num_predict: call.max_output_tokens,
            num_ctx: Some(call.context_tokens).filter(|tokens| *tokens > 0),
            temperature: prompt.temperature,
            top_p: prompt.top_p,
            stop: &prompt.stop,
        },
        tools: tools(call),
        format: prompt.schema.as_ref().map(|schema| schema.json()),
    })
}

/// A tool cannot be forced here; of a named one at least no other is offered.
fn tools(call: &Call) -> Vec<ToolBody<'_>> {
    let prompt = &call.prompt;
    let offered = prompt.tools.iter().filter(|tool| match &prompt.tool_choice {
        ToolChoice::Auto | ToolChoice::Required => true,
        ToolChoice::None => false,
        ToolChoice::Named(name) => *name == tool.name,
    });
    let body = |tool| {
        let parameters = calls::parameters(tool);
        let function = FunctionBody { name: &tool.name, description: &tool.description, parameters };
        ToolBody { r#type: "function", function }
    };
    offered.map(body).collect()
}

/// A turn is one message, but each tool result is one of its own.
fn add<'a>(turn: &'a Turn, messages: &mut Vec<Message<'a>>) -> Result<(), ProviderError> {
    let mut message = Message::said(role(turn.role), Cow::Borrowed(&turn.text));
    for part in &turn.parts {
        match part {
            Part::Text(text) if message.content.is_empty() => message.content = Cow::Borrowed(text),
            Part::Text(text) => message.content = Cow::Owned(format!("{}\n\n{text}", message.content)),
            Part::Image(image) => match &image.source {
                ImageSource::Data(bytes) => message.images.push(Base64(bytes)),
                ImageSource::Url(_) => {
                    let words = "Ollama takes no picture by its address";
                    return Err(ProviderError::new(Outcome::RefusedInput, words));
                }
            },
            Part::ToolCall(call) => message
                .tool_calls
                .push(Function { function: CallBody { name: &call.name, arguments: &call.arguments } }),
            Part::ToolResult(result) => messages.push(Message {
                tool_name: Some(&result.name),
                ..Message::said("tool", Cow::Borrowed(&result.text))
            }),
        }
    }
    if !(message.content.is_empty() && message.images.is_empty() && message.tool_calls.is_empty()) {
        messages.push(message);
    }
    Ok(())
}

impl<'a> Message<'a> {
    fn said(role: &'static str, content: Cow<'a, str>) -> Self {
        Self { role, content, images: Vec::new(), tool_calls: Vec::new(), tool_name: None }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::User | Role::Tool | Role::Unspecified => "user",
    }
}
