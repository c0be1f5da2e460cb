//! Each provider against recorded replies, over a real socket: what it sends, and what it makes of what comes.
//! `COPYDESK_UPDATE_GOLDEN=1` writes the requests anew.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

mod support;

use std::sync::Arc;

use copydesk_llm_router::ProviderConfig;
use copydesk_llm_router::domain::{Brief, Call, Outcome, Prompt, Schema, StopReason, Turn, Usage};
use copydesk_llm_router::providers::{self, Piece, Provider};
use copydesk_proto::llm_router::v1::{Role, Task};
use copydesk_types::Secret;
use futures_util::StreamExt;
use serde_json::{Value, json};
use support::server::{Act, Seen, Server, finish, json as reply, stream};

struct Kind {
    kind: &'static str,
    unary: &'static str,
    streamed: &'static str,
    /// Where the stream is cut to lose its end.
    cut: &'static str,
    error_event: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        kind: "openai",
        unary: include_str!("golden/openai_reply.json"),
        streamed: include_str!("golden/openai_stream.txt"),
        cut: "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
        error_event: "data: {\"error\":{\"type\":\"server_error\",\"message\":\"boom\"}}\n\n",
    },
    Kind {
        kind: "anthropic",
        unary: include_str!("golden/anthropic_reply.json"),
        streamed: include_str!("golden/anthropic_stream.txt"),
        cut: "event: message_delta",
        error_event: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"}}\n\n",
    },
    Kind {
        kind: "ollama",
        unary: include_str!("golden/ollama_reply.json"),
        streamed: include_str!("golden/ollama_stream.txt"),
        cut: "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true",
        error_event: "{\"error\":\"boom\"}\n",
    },
];

fn provider(kind: &str, url: &str) -> Arc<dyn Provider> {
    let config = ProviderConfig {
        name: kind.into(),
        kind: kind.into(),
        base_url: Some(url.into()),
        api_key: Some(Secret::new("k-123")),
        ..ProviderConfig::default()
    };
    (providers::entry(kind).unwrap().build)(&config).unwrap()
}

fn call(schema: Option<Value>) -> Call {
    let turn = |role, text: &str| Turn::text(role, text);
    let prompt = Prompt {
        task: Task::Draft,
        agent: "writer".into(),
        turns: vec![
            turn(Role::System, "You write."),
            turn(Role::User, "Write – now."),
            turn(Role::Assistant, "No."),
            turn(Role::User, "Please."),
        ],
        evidence: Vec::new(),
        brief: Brief::default(),
        schema: schema.map(|schema| Schema::compile(schema).unwrap()),
        temperature: Some(1.5),
        max_output_tokens: 99,
        ..Prompt::default()
    };
    Call {
        model: "m".into(),
        context_tokens: 8_192,
        max_output_tokens: 99,
        prompt: Arc::new(prompt),
        more: Vec::new(),
    }
}

fn golden(name: &str, seen: &Value) {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("COPYDESK_UPDATE_GOLDEN").is_ok() {
        std::fs::write(&path, format!("{seen:#}\n")).unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(*seen, expected, "{name}");
}

fn key_header(kind: &str, seen: &Seen) -> Option<String> {
    let name = if kind == "anthropic" { "x-api-key" } else { "authorization" };
    seen.header(name).map(str::to_owned)
}

#[tokio::test]
async fn requests_and_replies_are_as_the_protocols_say() {
    for kind in &KINDS {
        let server = Server::start(vec![reply("200 OK", "", kind.unary)]).await;
        let provider = provider(kind.kind, &server.url);
        let answer = provider.generate(&call(None)).await.unwrap();
        assert_eq!(answer.text, "Vans – cold.", "{}", kind.kind);
        assert_eq!(answer.stop_reason, StopReason::End);
        let cached_input = if kind.kind == "ollama" { 0 } else { 4 };
        assert_eq!(
            answer.usage,
            Some(Usage { input: 21, cached_input, output: 6, estimated: false }),
            "{}",
            kind.kind
        );

        let schema = json!({"type": "object", "properties": {"score": {"type": "number"}}});
        let _ = provider.generate(&call(Some(schema))).await;
        let seen = server.seen();
        golden(&format!("{}_request", kind.kind), &seen[0].body);
        golden(&format!("{}_request_schema", kind.kind), &seen[1].body);
        let prefix = if kind.kind == "anthropic" { "" } else { "Bearer " };
        assert_eq!(key_header(kind.kind, &seen[0]), Some(format!("{prefix}k-123")));
    }
}

#[tokio::test]
async fn streams_give_the_same_in_any_cut() {
    for kind in &KINDS {
        for width in [1, 7, 100_000] {
            let server = Server::start(vec![stream(kind.streamed, width, finish())]).await;
            let mut pieces = provider(kind.kind, &server.url).stream(&call(None)).await.unwrap();
            let mut text = String::new();
            let mut ends = Vec::new();
            while let Some(piece) = pieces.next().await {
                match piece.unwrap() {
                    Piece::Text(more) => {
                        assert!(!more.is_empty() && ends.is_empty());
                        text.push_str(&more);
                    }
                    other @ (Piece::Reasoning(_) | Piece::ToolCall(_)) => panic!("unexpected {other:?}"),
                    Piece::Done { stop_reason, usage } => ends.push((stop_reason, usage)),
                }
            }
            assert_eq!(text, "Vans – cold.", "{} in pieces of {width}", kind.kind);
            let cached_input = if kind.kind == "ollama" { 0 } else { 4 };
            let usage = Usage { input: 21, cached_input, output: 6, estimated: false };
            assert_eq!(ends, [(StopReason::End, Some(usage))], "{}", kind.kind);
            golden(&format!("{}_request_stream", kind.kind), &server.seen()[0].body);
        }
    }
}

/// The texts of a stream and how it ended.
async fn drain(kind: &str, script: Vec<Act>) -> (String, Option<Outcome>) {
    let server = Server::start(vec![script]).await;
    let mut pieces = provider(kind, &server.url).stream(&call(None)).await.unwrap();
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(Piece::Text(more)) => text.push_str(&more),
            Ok(other @ (Piece::Reasoning(_) | Piece::ToolCall(_))) => panic!("unexpected {other:?}"),
            Ok(Piece::Done { .. }) => return (text, None),
            Err(error) => {
                assert!(pieces.next().await.is_none(), "nothing comes after an error");
                return (text, Some(error.outcome));
            }
        }
    }
    panic!("{kind}: a stream ended without an end");
}

#[tokio::test]
async fn a_broken_stream_never_ends_cleanly() {
    for kind in &KINDS {
        let cut = kind.streamed.find(kind.cut).unwrap_or_else(|| panic!("{} has no cut", kind.kind));
        let half = &kind.streamed[..cut];
        for (what, script, outcome) in [
            ("early end", stream(half, 50, finish()), Outcome::StreamBroken),
            ("reset", stream(half, 50, vec![Act::Reset]), Outcome::StreamBroken),
            ("closed", stream(half, 50, vec![Act::Close]), Outcome::StreamBroken),
            (
                "error event",
                stream(&format!("{half}{}", kind.error_event), 50, finish()),
                Outcome::ProviderError,
            ),
            ("nonsense", stream(&format!("{half}data: {{\n\n{{\n"), 50, finish()), Outcome::BadReply),
        ] {
            let (text, end) = drain(kind.kind, script).await;
            assert_eq!(end, Some(outcome), "{}: {what}", kind.kind);
            assert!(text.starts_with("Vans"), "{}: {what}: text before the break counts", kind.kind);
        }
    }
    let done =
        format!("{}data: [DONE]\n\n", &KINDS[0].streamed[..KINDS[0].streamed.find(KINDS[0].cut).unwrap()]);
    assert_eq!(
        drain("openai", stream(&done, 50, finish())).await.1,
        Some(Outcome::StreamBroken),
        "no finish reason"
    );
}

#[tokio::test]
async fn failures_have_reasons() {
    let limited = r#"{"error":{"type":"rate_limit_error","message":"slow down, k-123"}}"#;
    for kind in &KINDS {
        for (script, outcome) in [
            (reply("429 Too Many Requests", "retry-after: 7\r\n", limited), Outcome::RateLimited),
            (reply("500 Internal Server Error", "", "oops"), Outcome::ProviderError),
            (reply("401 Unauthorized", "", "{}"), Outcome::Auth),
            (reply("400 Bad Request", "", "{}"), Outcome::RefusedInput),
            (reply("200 OK", "", "not json"), Outcome::BadReply),
            (reply("200 OK", "", "[]"), Outcome::BadReply),
            (
                reply("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", ""),
                Outcome::ProviderError,
            ),
            (vec![Act::Reset], Outcome::Unreachable),
            (
                vec![Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec()), Act::Close],
                Outcome::BadReply,
            ),
        ] {
            let shown = format!("{} {script:?}", kind.kind);
            let server = Server::start(vec![script]).await;
            let error = provider(kind.kind, &server.url).generate(&call(None)).await.unwrap_err();
            assert_eq!(error.outcome, outcome, "{shown}");
            assert!(!format!("{error:?}").contains("k-123"), "no key in {error:?}");
            let seconds = error.retry_after.map(|d| d.as_secs());
            assert_eq!(seconds, (outcome == Outcome::RateLimited).then_some(7));
        }
        let error = provider(kind.kind, &Server::nobody().await).generate(&call(None)).await.unwrap_err();
        assert_eq!(error.outcome, Outcome::Unreachable);
    }
}

#[tokio::test]
async fn dropping_a_call_closes_the_socket() {
    for kind in &KINDS {
        let half = &kind.streamed[..kind.streamed.find(kind.cut).unwrap()];
        let mut server =
            Server::start(vec![vec![Act::WaitForClient], stream(half, 1_000, vec![Act::WaitForClient])])
                .await;
        let provider = provider(kind.kind, &server.url);
        {
            let call = call(None);
            let unary = provider.generate(&call);
            tokio::select! { _ = unary => panic!("no reply was sent"), () = server.arrival() => {} }
        }
        server.departure().await;
        let mut pieces = provider.stream(&call(None)).await.unwrap();
        assert!(pieces.next().await.unwrap().is_ok());
        drop(pieces);
        server.departure().await;
    }
}

#[tokio::test]
async fn a_forced_tool_call_carries_the_structured_answer() {
    let body = json!({"type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
        "content": [{"type": "text", "text": "Sure."}, {"type": "tool_use", "id": "t", "name": "answer", "input": {"score": 3}}],
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    let server = Server::start(vec![reply("200 OK", "", &body.to_string())]).await;
    let answer = provider("anthropic", &server.url).generate(&call(None)).await.unwrap();
    assert_eq!(answer.text, r#"{"score":3}"#);
}

#[tokio::test]
async fn a_local_ollama_is_found_with_its_first_chat_model() {
    let tags = r#"{"models":[{"name":"nomic-embed-text:latest"},{"name":"llama3.2:3b"}]}"#;
    let server = Server::start(vec![reply("200 OK", "", tags)]).await;
    let found = copydesk_llm_router::discover_ollama(&server.url).await.unwrap();
    assert_eq!(found.models[0].name, "llama3.2:3b");
    assert!(server.seen()[0].head.starts_with("GET /api/tags "));
    assert!(copydesk_llm_router::discover_ollama(&Server::nobody().await).await.is_none());
    let silent = Server::start(vec![vec![Act::WaitForClient]]).await;
    assert!(copydesk_llm_router::discover_ollama(&silent.url).await.is_none());
}
