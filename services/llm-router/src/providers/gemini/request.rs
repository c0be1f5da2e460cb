//! A call in Gemini's words.
use std::borrow::Cow;

use copydesk_proto::llm_router::v1::Role;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::{Call, Image, ImageSource, Part, Tool, ToolCall, ToolChoice, ToolResult, Turn};
use crate::providers::calls::Ids;
use crate::providers::http::Nested;
use crate::providers::picture::Base64;

/// The caller's own settings join ours.
pub(super) const CONFIG: Nested = Nested { field: "generationConfig", limit: "maxOutputTokens" };

/// What stands for the signature of a thought that is not at hand: a conversation keeps none, and may have been begun
/// by another model. Models since Gemini 3 refuse a call in the history without either.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

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
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<PartBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", untagged)]
enum PartBody<'a> {
    Text {
        text: &'a str,
    },
    InlineData {
        inline_data: InlineData<'a>,
    },
    FileData {
        file_data: FileData<'a>,
    },
    FunctionCall {
        function_call: FunctionCall<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'static str>,
    },
    FunctionResponse {
        function_response: FunctionResponse<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InlineData<'a> {
    mime_type: &'a str,
    data: Base64<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    mime_type: &'a str,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    name: &'a str,
    args: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    name: &'a str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Response<'a> {
    Result(&'a str),
    Error(&'a str),
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

/// The system's parts, and the other turns as contents: what follows each other in the same role becomes one.
fn split(call: &Call) -> (Vec<PartBody<'_>>, Vec<Content<'_>>) {
    let mut system = Vec::new();
    let mut contents: Vec<Content<'_>> = Vec::new();
    let signed = wants_signatures(&call.model);
    for turn in call.turns() {
        let parts = parts(turn, signed);
        let role = match turn.role {
            Role::System => {
                system.extend(parts);
                continue;
            }
            Role::Assistant => "model",
            Role::User | Role::Tool | Role::Unspecified => "user",
        };
        match contents.last_mut() {
            Some(last) if last.role == Some(role) => last.parts.extend(parts),
            _ if parts.is_empty() => {}
            _ => contents.push(Content { role: Some(role), parts }),
        }
    }
    (system, contents)
}

fn wants_signatures(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    !["gemini-1", "gemini-2", "gemma"].iter().any(|old| name.starts_with(old))
}

fn parts(turn: &Turn, signed: bool) -> Vec<PartBody<'_>> {
    let first = (!turn.text.is_empty()).then_some(PartBody::Text { text: &turn.text });
    // Of several calls made at once, the first carries the signature.
    let mut signature = signed.then_some(NO_SIGNATURE);
    let more = turn.parts.iter().map(|part| match part {
        Part::Text(text) => PartBody::Text { text },
        Part::Image(image) => picture(image),
        Part::ToolCall(call) => {
            PartBody::FunctionCall { function_call: function_call(call), thought_signature: signature.take() }
        }
        Part::ToolResult(result) => PartBody::FunctionResponse { function_response: response(result) },
    });
    first.into_iter().chain(more).collect()
}

fn picture(image: &Image) -> PartBody<'_> {
    let mime_type = image.media_type.as_str();
    match &image.source {
        ImageSource::Data(bytes) => {
            PartBody::InlineData { inline_data: InlineData { mime_type, data: Base64(bytes) } }
        }
        ImageSource::Url(file_uri) => PartBody::FileData { file_data: FileData { mime_type, file_uri } },
    }
}

fn function_call(call: &ToolCall) -> FunctionCall<'_> {
    FunctionCall { id: theirs(&call.id), name: &call.name, args: &call.arguments }
}

fn response(result: &ToolResult) -> FunctionResponse<'_> {
    let response =
        if result.is_error { Response::Error(&result.text) } else { Response::Result(&result.text) };
    FunctionResponse { id: theirs(&result.call_id), name: &result.name, response }
}

fn theirs(id: &str) -> Option<&str> {
    (!Ids::is_own(id)).then_some(id)
}
