//! Streams of every kind: in any cut, broken, and with the oddities that servers put into them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::kinds::{KINDS, call, gather, golden, provider, score_schema};
use crate::support::server::{Act, Server, finish, stream};
use copydesk_llm_router::domain::{Outcome, StopReason, Usage};
use serde_json::json;

#[tokio::test]
async fn streams_give_the_same_in_any_cut() {
    for kind in &KINDS {
        for (text, width) in [(kind.streamed.to_owned(), 100_000), (kind.streamed.to_owned(), 7)]
            .into_iter()
            .chain([1, 2, 3, 5, 64].map(|width| (kind.streamed.replace("\r\n", "\n"), width)))
            .chain([1, 4].map(|width| (kind.streamed.replace("\r\n", "\n").replace('\n', "\r\n"), width)))
        {
            let server = Server::start(vec![stream(&text, width, finish())]).await;
            let _ = provider(kind.kind, &server.url).stream(&call(None)).await.unwrap();
            golden(&format!("{}_request_stream", kind.kind), &server.seen()[0].body);
            let found = gather(kind.kind, &call(None), stream(&text, width, finish())).await;
            assert_eq!(found.text, "Vans – cold.", "{} in pieces of {width}", kind.kind);
            assert_eq!(found.done(), (StopReason::End, Some(kind.usage())), "{}", kind.kind);
            assert!(found.reasoning.is_empty() && found.tool_calls.is_empty(), "{}", kind.kind);
        }
    }
}

#[tokio::test]
async fn a_broken_stream_never_ends_cleanly() {
    for kind in &KINDS {
        let half = kind.half();
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
            ("no text", stream_bytes(half.as_bytes(), b"\xff\n\n"), Outcome::BadReply),
        ] {
            let found = gather(kind.kind, &call(None), script).await;
            assert!(found.text.starts_with("Vans"), "{}: {what}: text before the break counts", kind.kind);
            let error = found.error();
            assert_eq!(error.outcome, outcome, "{}: {what}", kind.kind);
            assert_eq!(error.status, Some(200), "{}: {what}", kind.kind);
            let message = (what == "error event").then_some("boom");
            assert_eq!(error.message.as_deref(), message, "{}: {what}", kind.kind);
        }
    }
}

/// A stream that ends with bytes of any kind.
fn stream_bytes(text: &[u8], end: &[u8]) -> Vec<Act> {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
    vec![Act::Send([head.as_bytes(), text, end].concat()), Act::WaitForClient]
}

/// OpenAI's chunks as events.
fn chunks(chunks: &[&str]) -> Vec<Act> {
    let events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    stream(&events, 9, finish())
}

const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const DONE: &str = "[DONE]";

#[tokio::test]
async fn an_openai_stream_may_lack_counts_and_the_last_mark_but_no_reason() {
    let counted =
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"prompt_cache_hit_tokens":2}}"#;
    let groq = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}}}"#;
    let usage = Usage { input: 3, cached_input: 2, output: 1, estimated: false };
    for (what, script, counts) in [
        ("no counts", chunks(&[TEXT, STOP, DONE]), None),
        ("counts at the end", chunks(&[TEXT, STOP, counted, DONE]), Some(usage)),
        ("counts before the reason", chunks(&[TEXT, counted, STOP, DONE]), Some(usage)),
        ("groq's counts", chunks(&[TEXT, groq, DONE]), Some(usage)),
        ("no [DONE]", chunks(&[TEXT, STOP, counted]), Some(usage)),
        ("an empty reason on the way", chunks(&[&TEXT.replace("null}]", "\"\"}]"), STOP, DONE]), None),
        ("null instead of choices", chunks(&[r#"{"choices":null}"#, TEXT, STOP, DONE]), None),
    ] {
        let found = gather("openai", &call(None), script).await;
        assert_eq!((found.text.as_str(), found.done()), ("Hi", (StopReason::End, counts)), "{what}");
    }
    let found = gather("openai", &call(None), chunks(&[TEXT, DONE])).await;
    assert_eq!(found.error().outcome, Outcome::StreamBroken, "[DONE] without a reason");
}

#[tokio::test]
async fn reasons_to_stop_have_names() {
    for (word, reason) in [
        ("stop", StopReason::End),
        ("length", StopReason::Length),
        ("content_filter", StopReason::Refusal),
        ("tool_calls", StopReason::ToolCalls),
        ("function_call", StopReason::ToolCalls),
        ("who knows", StopReason::Unspecified),
    ] {
        let stop = STOP.replace("stop\"", &format!("{word}\""));
        let found = gather("openai", &call(None), chunks(&[&stop, DONE])).await;
        assert_eq!(found.done().0, reason, "{word}");
    }
    let refused = r#"{"choices":[{"delta":{"content":null,"refusal":"I will not."}}]}"#;
    let found = gather("openai", &call(None), chunks(&[refused, STOP, DONE])).await;
    assert_eq!((found.text.as_str(), found.done().0), ("I will not.", StopReason::Refusal));

    for (word, reason) in [
        ("stop_sequence", StopReason::End),
        ("max_tokens", StopReason::Length),
        ("model_context_window_exceeded", StopReason::Length),
        ("refusal", StopReason::Refusal),
        ("pause_turn", StopReason::Unspecified),
    ] {
        let text = KINDS[1].streamed.replace("end_turn", word);
        let found = gather("anthropic", &call(None), stream(&text, 99, finish())).await;
        assert_eq!(found.done().0, reason, "{word}");
    }
    for (word, reason) in [
        ("MAX_TOKENS", StopReason::Length),
        ("SAFETY", StopReason::Refusal),
        ("RECITATION", StopReason::Refusal),
        ("PROHIBITED_CONTENT", StopReason::Refusal),
        ("BLOCKLIST", StopReason::Refusal),
        ("SPII", StopReason::Refusal),
        ("OTHER", StopReason::Unspecified),
    ] {
        let text = KINDS[2].streamed.replace("STOP", word);
        let found = gather("gemini", &call(None), stream(&text, 99, finish())).await;
        assert_eq!(found.done().0, reason, "{word}");
    }
}

#[tokio::test]
async fn a_prompt_that_gemini_blocks_is_refused_without_words() {
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}"#;
    let found = gather("gemini", &call(None), stream(&format!("data: {blocked}\r\n\r\n"), 5, finish())).await;
    let usage = Usage { input: 3, ..Usage::default() };
    assert_eq!((found.text.as_str(), found.done()), ("", (StopReason::Refusal, Some(usage))));
    let server = Server::start(vec![crate::support::server::json("200 OK", "", blocked)]).await;
    let answer = provider("gemini", &server.url).generate(&call(None)).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.stop_reason), ("", StopReason::Refusal));
}

#[tokio::test]
async fn errors_in_a_stream_keep_their_reason() {
    for (event, outcome) in [
        (r#"{"error":{"code":"insufficient_quota","message":"m"}}"#, Outcome::Auth),
        (r#"{"error":{"type":"rate_limit_exceeded"}}"#, Outcome::RateLimited),
        (
            r#"{"error":{"code":502,"message":"m"},"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            Outcome::ProviderError,
        ),
        (r#"{"error":"CUDA out of memory"}"#, Outcome::ProviderError),
        (r#"{"choices":[],"x_groq":{"error":"over capacity"}}"#, Outcome::ProviderError),
    ] {
        let found = gather("openai", &call(None), chunks(&[TEXT, event, STOP, DONE])).await;
        assert_eq!(found.text, "Hi", "{event}");
        assert_eq!(found.error().outcome, outcome, "{event}");
    }
    let error = r#"{"type":"error","error":{"type":"authentication_error","message":"not k-123"}}"#;
    let text = format!("event: error\ndata: {error}\n\n");
    let error = gather("anthropic", &call(None), stream(&text, 9, finish())).await.error();
    assert_eq!((error.outcome, error.message.as_deref()), (Outcome::Auth, Some("not ***")));
}

#[tokio::test]
async fn a_structured_answer_streams_as_the_tools_input() {
    let block = |index: usize, body: serde_json::Value| {
        format!("data: {}\n\n", json!({"type": "content_block_start", "index": index, "content_block": body}))
    };
    let delta = |index: usize, body: serde_json::Value| {
        format!("data: {}\n\n", json!({"type": "content_block_delta", "index": index, "delta": body}))
    };
    let text = [
        block(0, json!({"type": "text", "text": "Sure"})),
        delta(0, json!({"type": "text_delta", "text": " thing."})),
        block(1, json!({"type": "tool_use", "id": "t", "name": "answer", "input": {}})),
        delta(1, json!({"type": "input_json_delta", "partial_json": "{\"score\":"})),
        delta(1, json!({"type": "input_json_delta", "partial_json": "3}"})),
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}\n\n".to_owned(),
        "data: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ]
    .concat();
    let found = gather("anthropic", &call(Some(score_schema())), stream(&text, 11, finish())).await;
    assert_eq!((found.text.as_str(), found.done()), (r#"{"score":3}"#, (StopReason::End, None)));
    assert!(found.tool_calls.is_empty());
}
