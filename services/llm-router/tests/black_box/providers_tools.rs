//! Tools, pictures and thoughts: what is sent, and what is made of the answers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::kinds::{KINDS, Kind, busy_call, call, call_with, gather, golden, provider, tools};
use crate::support::server::{Server, finish, json as reply, stream};
use copydesk_llm_router::domain::{Outcome, StopReason, ToolCall, ToolChoice};
use serde_json::{Value, json};

/// The two calls that the recorded answers make; nameless ones get ids after the `before` of the conversation.
fn expected(kind: &Kind, before: usize) -> Vec<ToolCall> {
    let ids = if kind.has_ids {
        ["call_a".to_owned(), "call_b".to_owned()]
    } else {
        [format!("call_{before}"), format!("call_{}", before + 1)]
    };
    let made = |id, name: &str, arguments: Value| ToolCall {
        id,
        name: name.into(),
        arguments: serde_json::from_value(arguments).unwrap(),
    };
    let [first, second] = ids;
    vec![made(first, "weather", json!({"city": "Tromsø"})), made(second, "time", json!({}))]
}

#[tokio::test]
async fn a_whole_conversation_is_sent_in_each_protocols_words() {
    for kind in &KINDS {
        let server = Server::start(vec![reply("200 OK", "", kind.unary_tools)]).await;
        let provider = provider(kind.kind, &server.url);
        let answer = provider.generate(&busy_call(kind.kind != "ollama")).await.unwrap();
        golden(&format!("{}_request_tools", kind.kind), &server.seen()[0].body);
        assert_eq!(answer.text, "Let me look.", "{}", kind.kind);
        assert_eq!(answer.reasoning, "Two – things.", "{}", kind.kind);
        assert_eq!(answer.tool_calls, expected(kind, 2), "{}", kind.kind);
        assert_eq!(answer.stop_reason, StopReason::ToolCalls, "{}", kind.kind);
        assert_eq!(answer.usage, Some(kind.usage()), "{}", kind.kind);
    }
}

#[tokio::test]
async fn streamed_tool_calls_arrive_whole_in_any_cut() {
    for kind in &KINDS {
        for width in [1, 3, 17, 100_000] {
            let script = stream(kind.streamed_tools, width, finish());
            let found = gather(kind.kind, &call_with(|prompt| prompt.tools = tools()), script).await;
            assert_eq!(found.text, "Let me look.", "{} in pieces of {width}", kind.kind);
            assert_eq!(found.reasoning, "Two – things.", "{}", kind.kind);
            assert_eq!(found.tool_calls, expected(kind, 0), "{}", kind.kind);
            assert_eq!(found.done(), (StopReason::ToolCalls, Some(kind.usage())), "{}", kind.kind);
        }
    }
}

#[tokio::test]
async fn a_cut_tool_call_is_not_given() {
    let cuts = [
        (
            "openai",
            "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}",
        ),
        ("anthropic", "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":3}"),
        ("gemini", "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\""),
        ("ollama", "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\""),
    ];
    for (kind, (name, cut)) in KINDS.iter().zip(cuts) {
        assert_eq!(kind.kind, name);
        let half = &kind.streamed_tools[..kind.streamed_tools.find(cut).unwrap()];
        let found = gather(kind.kind, &call(None), stream(half, 50, finish())).await;
        assert!(found.tool_calls.is_empty(), "{name}");
        assert_eq!(found.error().outcome, Outcome::StreamBroken, "{name}");
    }
}

#[tokio::test]
async fn every_choice_has_its_word() {
    let auto = Value::Null;
    let named = |json: Value| (ToolChoice::Named("time".into()), json);
    for (kind, place, words) in [
        (
            "openai",
            "/tool_choice",
            [
                (ToolChoice::Auto, auto.clone()),
                (ToolChoice::None, json!("none")),
                (ToolChoice::Required, json!("required")),
                named(json!({"type": "function", "function": {"name": "time"}})),
            ],
        ),
        (
            "anthropic",
            "/tool_choice",
            [
                (ToolChoice::Auto, auto.clone()),
                (ToolChoice::None, json!({"type": "none"})),
                (ToolChoice::Required, json!({"type": "any"})),
                named(json!({"type": "tool", "name": "time"})),
            ],
        ),
        (
            "gemini",
            "/toolConfig/functionCallingConfig",
            [
                (ToolChoice::Auto, auto),
                (ToolChoice::None, json!({"mode": "NONE"})),
                (ToolChoice::Required, json!({"mode": "ANY"})),
                named(json!({"mode": "ANY", "allowedFunctionNames": ["time"]})),
            ],
        ),
    ] {
        for (choice, word) in words {
            let body = sent(kind, choice.clone()).await;
            assert_eq!(body.pointer(place).cloned().unwrap_or_default(), word, "{kind} {choice:?}");
            assert!(body["tools"].is_array(), "{kind} {choice:?}");
        }
    }
    // Ollama cannot be forced; it is offered what may be asked for.
    for (choice, offered) in [(ToolChoice::Auto, 2), (ToolChoice::Required, 2), (ToolChoice::None, 0)] {
        let tools = sent("ollama", choice).await["tools"].as_array().map_or(0, Vec::len);
        assert_eq!(tools, offered);
    }
    let body = sent("ollama", ToolChoice::Named("time".into())).await;
    assert_eq!(body.pointer("/tools/0/function/name"), Some(&json!("time")));
}

/// The body that goes out with two tools and a choice among them.
async fn sent(kind: &str, choice: ToolChoice) -> Value {
    let server = Server::start(vec![reply("200 OK", "", "{}")]).await;
    let call = call_with(|prompt| {
        prompt.tools = tools();
        prompt.tool_choice = choice;
    });
    let _ = provider(kind, &server.url).generate(&call).await;
    server.seen()[0].body.clone()
}

#[tokio::test]
async fn arguments_that_are_no_object_are_a_bad_reply() {
    let openai = KINDS[0].unary_tools;
    let streamed = KINDS[0].streamed_tools;
    for (from, to) in [("Tromsø\\\"}", "Tromsø"), ("{\\\"city\\\":\\\"Tromsø\\\"}", "[1]"), ("weather", "")]
    {
        let body = openai.replace(from, to);
        assert_ne!(body, openai, "{from}");
        let server = Server::start(vec![reply("200 OK", "", &body)]).await;
        let error = provider("openai", &server.url).generate(&call(None)).await.unwrap_err();
        assert_eq!(error.outcome, Outcome::BadReply, "{to}");
        assert!(!format!("{error:?}").contains("Troms"), "arguments stay out of logs: {error:?}");
    }
    for text in [streamed.replace("Tromsø\\\"}", "Tromsø"), streamed.replace("\"weather\"", "\"\"")] {
        let error = gather("openai", &call(None), stream(&text, 40, finish())).await.error();
        assert_eq!(error.outcome, Outcome::BadReply);
    }
    let malformed = KINDS[2].unary.replace("STOP", "MALFORMED_FUNCTION_CALL");
    let server = Server::start(vec![reply("200 OK", "", &malformed)]).await;
    let error = provider("gemini", &server.url).generate(&call(None)).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::BadReply);
}

#[tokio::test]
async fn a_forced_call_that_ends_with_stop_still_asks_for_tools() {
    let body = KINDS[0].unary_tools.replace("\"finish_reason\":\"tool_calls\"", "\"finish_reason\":\"stop\"");
    let server = Server::start(vec![reply("200 OK", "", &body)]).await;
    let answer = provider("openai", &server.url).generate(&call(None)).await.unwrap();
    assert_eq!(answer.stop_reason, StopReason::ToolCalls);
    let cut =
        KINDS[0].unary_tools.replace("\"finish_reason\":\"tool_calls\"", "\"finish_reason\":\"length\"");
    let server = Server::start(vec![reply("200 OK", "", &cut)]).await;
    let answer = provider("openai", &server.url).generate(&call(None)).await.unwrap();
    assert_eq!(answer.stop_reason, StopReason::Length, "calls of an answer that was cut may be cut too");
}

#[tokio::test]
async fn newer_geminis_get_a_stand_in_for_the_signature_of_a_call() {
    for (model, signed) in
        [("gemini-2.5-flash", false), ("gemini-3-pro-preview", true), ("models/gemma-3", false)]
    {
        let server = Server::start(vec![reply("200 OK", "", "{}")]).await;
        let call = copydesk_llm_router::domain::Call { model: model.into(), ..busy_call(true) };
        let _ = provider("gemini", &server.url).generate(&call).await;
        let body = server.seen()[0].body.clone();
        let signatures = body.to_string().matches("thoughtSignature").count();
        assert_eq!(signatures, usize::from(signed), "{model}: only the first of two calls carries one");
    }
}

#[tokio::test]
async fn ollama_takes_no_picture_by_its_address() {
    let server = Server::start(vec![reply("200 OK", "", "{}")]).await;
    let error = provider("ollama", &server.url).generate(&busy_call(true)).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::RefusedInput);
    assert!(server.seen().is_empty(), "nothing was sent");
}
