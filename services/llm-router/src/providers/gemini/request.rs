//! A call in Gemini's words.
use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::content::{Content, split};
use crate::domain::{Call, Tool, ToolChoice};
use crate::providers::http::Nested;

/// The caller's own settings join ours.
pub(super) const CONFIG: Nested = Nested { field: "generationConfig", limit: "maxOutputTokens" };

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    generation_config: Config<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: CallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Cow<'a, Value>>,
}

pub(super) fn body(call: &Call) -> Body<'_> {
    let prompt = &call.prompt;
    let (system, mut contents) = split(call);
    let mut system_instruction = (!system.is_empty()).then_some(Content { role: None, parts: system });
    if contents.is_empty() {
        // Contents must not be empty; instructions alone become what the user says.
        let said = system_instruction.take().map(|content| Content { role: Some("user"), ..content });
        contents.extend(said);
    }
    let schema = prompt.schema.as_ref();
    let declarations: Vec<Declaration<'_>> = prompt.tools.iter().map(declaration).collect();
    let tool_config = tool_config(&prompt.tool_choice).filter(|_| !declarations.is_empty());
    let tools = (!declarations.is_empty()).then_some(Tools { function_declarations: declarations });
    Body {
        system_instruction,
        contents,
        tools: tools.into_iter().collect(),
        tool_config,
        generation_config: Config {
            max_output_tokens: call.max_output_tokens,
            temperature: prompt.temperature,
            top_p: prompt.top_p,
            stop_sequences: &prompt.stop,
            response_mime_type: schema.map(|_| "application/json"),
            response_json_schema: schema.map(|schema| Cow::Borrowed(schema.json())),
        },
    }
}

fn declaration(tool: &Tool) -> Declaration<'_> {
    Declaration {
        name: &tool.name,
        description: &tool.description,
        parameters_json_schema: tool.parameters.as_ref(),
    }
}

fn tool_config(choice: &ToolChoice) -> Option<ToolConfig<'_>> {
    let (mode, name) = match choice {
        ToolChoice::Auto => return None,
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Named(name) => ("ANY", Some([name.as_str()])),
    };
    Some(ToolConfig { function_calling_config: CallingConfig { mode, allowed_function_names: name } })
}
