//! The kinds that write, with recorded answers, and calls for them.
use std::sync::Arc;

use bytes::Bytes;
use copydesk_llm_router::ProviderConfig;
use copydesk_llm_router::domain::{
    Call, Image, ImageSource, Part, Prompt, Schema, StopReason, Tool, ToolCall, ToolResult, Turn, Usage,
};
use copydesk_llm_router::providers::{self, Piece, Provider, ProviderError};
use copydesk_proto::llm_router::v1::{Role, Task};
use copydesk_types::Secret;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::server::{Act, Server};

pub const KEY: &str = "k-123";

pub struct Kind {
    pub kind: &'static str,
    pub unary: &'static str,
    pub streamed: &'static str,
    pub unary_tools: &'static str,
    pub streamed_tools: &'static str,
    /// Where the stream is cut to lose its end.
    pub cut: &'static str,
    pub error_event: &'static str,
    /// The header that carries the key, and what stands before it.
    pub key: (&'static str, &'static str),
    /// Whether its tool calls have ids of their own.
    pub has_ids: bool,
}

impl Kind {
    /// The stream without its end.
    pub fn half(&self) -> &'static str {
        let cut = self.streamed.find(self.cut).unwrap_or_else(|| panic!("{} has no cut", self.kind));
        &self.streamed[..cut]
    }

    /// What the recorded answers say was counted.
    pub fn usage(&self) -> Usage {
        let cached_input = if self.kind == "ollama" { 0 } else { 4 };
        Usage { input: 21, cached_input, output: 6, estimated: false }
    }
}

pub const KINDS: [Kind; 4] = [
    Kind {
        kind: "openai",
        unary: include_str!("../golden/openai_reply.json"),
        streamed: include_str!("../golden/openai_stream.txt"),
        unary_tools: include_str!("../golden/openai_reply_tools.json"),
        streamed_tools: include_str!("../golden/openai_stream_tools.txt"),
        cut: "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
        error_event: "data: {\"error\":{\"type\":\"server_error\",\"message\":\"boom\"}}\n\n",
        key: ("authorization", "Bearer "),
        has_ids: true,
    },
    Kind {
        kind: "anthropic",
        unary: include_str!("../golden/anthropic_reply.json"),
        streamed: include_str!("../golden/anthropic_stream.txt"),
        unary_tools: include_str!("../golden/anthropic_reply_tools.json"),
        streamed_tools: include_str!("../golden/anthropic_stream_tools.txt"),
        cut: "event: message_delta",
        error_event: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"}}\n\n",
        key: ("x-api-key", ""),
        has_ids: true,
    },
    Kind {
        kind: "gemini",
        unary: include_str!("../golden/gemini_reply.json"),
        streamed: include_str!("../golden/gemini_stream.txt"),
        unary_tools: include_str!("../golden/gemini_reply_tools.json"),
        streamed_tools: include_str!("../golden/gemini_stream_tools.txt"),
        cut: "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\"",
        error_event: "data: {\"error\":{\"code\":503,\"message\":\"boom\",\"status\":\"UNAVAILABLE\"}}\n\n",
        key: ("x-goog-api-key", ""),
        has_ids: false,
    },
    Kind {
        kind: "ollama",
        unary: include_str!("../golden/ollama_reply.json"),
        streamed: include_str!("../golden/ollama_stream.txt"),
        unary_tools: include_str!("../golden/ollama_reply_tools.json"),
        streamed_tools: include_str!("../golden/ollama_stream_tools.txt"),
        cut: "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true",
        error_event: "{\"error\":\"boom\"}\n",
        key: ("authorization", "Bearer "),
        has_ids: false,
    },
];

pub fn provider(kind: &str, url: &str) -> Arc<dyn Provider> {
    let config = ProviderConfig {
        name: kind.into(),
        kind: kind.into(),
        base_url: Some(url.into()),
        api_key: Some(Secret::new(KEY)),
        ..ProviderConfig::default()
    };
    (providers::entry(kind).unwrap().build)(&config).unwrap()
}

/// A call whose prompt was changed.
pub fn call_with(change: impl FnOnce(&mut Prompt)) -> Call {
    let mut prompt = Prompt {
        task: Task::Draft,
        agent: "writer".into(),
        turns: vec![
            Turn::text(Role::System, "You write."),
            Turn::text(Role::User, "Write – now."),
            Turn::text(Role::Assistant, "No."),
            Turn::text(Role::User, "Please."),
        ],
        temperature: Some(1.5),
        max_output_tokens: 99,
        ..Prompt::default()
    };
    change(&mut prompt);
    Call {
        model: "m".into(),
        context_tokens: 8_192,
        max_output_tokens: prompt.max_output_tokens,
        prompt: Arc::new(prompt),
        more: Vec::new(),
    }
}

pub fn call(schema: Option<Value>) -> Call {
    call_with(|prompt| prompt.schema = schema.map(|schema| Schema::compile(schema).unwrap()))
}

pub fn score_schema() -> Value {
    json!({"type": "object", "properties": {"score": {"type": "number"}}})
}

pub fn tools() -> Vec<Tool> {
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tool = |name: &str, description: &str, parameters| Tool {
        name: name.into(),
        description: description.into(),
        parameters,
    };
    vec![tool("weather", "Tells the weather.", Some(city)), tool("time", "", None)]
}

/// A conversation with everything in it: pictures, tool calls and their results.
pub fn busy_call(with_addresses: bool) -> Call {
    let picture = |source, media_type: &str, detail: &str| {
        Part::Image(Image { media_type: media_type.into(), source, detail: detail.into() })
    };
    let mut seen = vec![picture(ImageSource::Data(Bytes::from_static(&[0, 250, 7, 1])), "image/png", "low")];
    if with_addresses {
        let there = ImageSource::Url("https://pictures.example/a.jpg".into());
        seen.push(picture(there, "", ""));
    }
    seen.push(Part::Text("And then?".into()));
    let asked = |id: &str, name: &str, arguments: Value| {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments })
    };
    let gave = |id: &str, name: &str, text: &str, is_error| {
        let result = ToolResult { call_id: id.into(), name: name.into(), text: text.into(), is_error };
        Turn { role: Role::Tool, text: String::new(), parts: vec![Part::ToolResult(result)] }
    };
    call_with(|prompt| {
        prompt.turns = vec![
            Turn::text(Role::System, "You look."),
            Turn { role: Role::User, text: "What is this?".into(), parts: seen },
            Turn {
                role: Role::Assistant,
                text: "Let me see.".into(),
                parts: vec![
                    asked("t1", "weather", json!({"city": "Oslo"})),
                    asked("call_1", "time", json!({})),
                ],
            },
            gave("t1", "weather", "cold", false),
            gave("call_1", "time", "no clock", true),
            Turn::text(Role::User, "So?"),
        ];
        prompt.tools = tools();
        prompt.top_p = Some(0.5);
        prompt.temperature = None;
        prompt.stop = vec!["END".into()];
        prompt.extra = serde_json::from_value(json!({"seed": 7})).unwrap();
    })
}

/// Compares with a file of tests/black_box/golden, or writes it when `COPYDESK_UPDATE_GOLDEN` is set.
pub fn golden(name: &str, seen: &Value) {
    let path = format!("{}/tests/black_box/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("COPYDESK_UPDATE_GOLDEN").is_ok() {
        std::fs::write(&path, format!("{seen:#}\n")).unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(*seen, expected, "{name}");
}

/// A stream, gathered.
#[derive(Debug, Default)]
pub struct Gathered {
    pub text: String,
    pub reasoning: String,
    pub tool_calls: Vec<ToolCall>,
    /// The end, or the error that came instead of one.
    pub end: Option<Result<(StopReason, Option<Usage>), ProviderError>>,
}

impl Gathered {
    pub fn done(&self) -> (StopReason, Option<Usage>) {
        *self.end.as_ref().unwrap().as_ref().unwrap()
    }

    pub fn error(self) -> ProviderError {
        self.end.unwrap().unwrap_err()
    }
}

/// Streams the answer to a call from a server that does as the script says.
pub async fn gather(kind: &str, call: &Call, script: Vec<Act>) -> Gathered {
    let server = Server::start(vec![script]).await;
    let mut pieces = provider(kind, &server.url).stream(call).await.unwrap();
    let mut found = Gathered::default();
    while let Some(piece) = pieces.next().await {
        assert!(found.end.is_none(), "{kind}: nothing comes after the end");
        match piece {
            Ok(Piece::Text(more)) => {
                assert!(!more.is_empty());
                found.text.push_str(&more);
            }
            Ok(Piece::Reasoning(more)) => {
                assert!(!more.is_empty());
                found.reasoning.push_str(&more);
            }
            Ok(Piece::ToolCall(call)) => found.tool_calls.push(call),
            Ok(Piece::Done { stop_reason, usage }) => found.end = Some(Ok((stop_reason, usage))),
            Err(error) => found.end = Some(Err(error)),
        }
    }
    assert!(found.end.is_some(), "{kind}: a stream ended without an end");
    found
}
