//! Each provider against recorded replies, over a real socket: what it sends, and what it makes of what comes.
//! `COPYDESK_UPDATE_GOLDEN=1` writes the requests anew.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::kinds::{KEY, KINDS, call, call_with, golden, provider, score_schema};
use crate::support::server::{Act, Server, json as reply, stream};
use copydesk_llm_router::ProviderConfig;
use copydesk_llm_router::domain::{Outcome, StopReason};
use copydesk_llm_router::providers;
use copydesk_types::Secret;
use futures_util::StreamExt;
use serde_json::{Value, json};

#[tokio::test]
async fn requests_and_replies_are_as_the_protocols_say() {
    for kind in &KINDS {
        let server = Server::start(vec![reply("200 OK", "", kind.unary)]).await;
        let provider = provider(kind.kind, &server.url);
        let answer = provider.generate(&call(None)).await.unwrap();
        assert_eq!(answer.text, "Vans – cold.", "{}", kind.kind);
        assert_eq!(answer.stop_reason, StopReason::End);
        assert_eq!(answer.usage, Some(kind.usage()), "{}", kind.kind);

        let _ = provider.generate(&call(Some(score_schema()))).await;
        let seen = server.seen();
        golden(&format!("{}_request", kind.kind), &seen[0].body);
        golden(&format!("{}_request_schema", kind.kind), &seen[1].body);
        let (name, prefix) = kind.key;
        assert_eq!(seen[0].header(name), Some(format!("{prefix}{KEY}").as_str()));
        assert_eq!(seen[0].header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn every_call_goes_to_its_own_address() {
    for (kind, model, unary, streamed, health) in [
        ("openai", "m", "/chat/completions", "/chat/completions", "/models"),
        ("anthropic", "m", "/v1/messages", "/v1/messages", "/v1/models"),
        ("ollama", "m", "/api/chat", "/api/chat", "/api/tags"),
        (
            "gemini",
            "a b/c",
            "/a%20b/c:generateContent",
            "/a%20b/c:streamGenerateContent?alt=sse",
            "/models?pageSize=1",
        ),
    ] {
        let server = Server::start(vec![reply("200 OK", "", "{}")]).await;
        let provider = provider(kind, &format!("{}/base/", server.url));
        let call = copydesk_llm_router::domain::Call { model: model.into(), ..call(None) };
        let _ = provider.generate(&call).await;
        let _ = provider.stream(&call).await;
        provider.health().await.unwrap();
        let lines: Vec<String> =
            server.seen().iter().map(|seen| seen.head.lines().next().unwrap().to_owned()).collect();
        let expected = [("POST", unary), ("POST", streamed), ("GET", health)]
            .map(|(method, path)| format!("{method} /base{path} HTTP/1.1"));
        assert_eq!(lines, expected, "{kind}");
    }
}

#[tokio::test]
async fn a_name_and_password_in_the_address_are_used_unless_there_is_a_key() {
    let server = Server::start(vec![reply("200 OK", "", KINDS[0].unary)]).await;
    let config = ProviderConfig {
        name: "x".into(),
        kind: "vllm".into(),
        base_url: Some(server.url.replace("http://", "http://me:secret@")),
        ..ProviderConfig::default()
    };
    let keyed = ProviderConfig { api_key: Some(Secret::new(KEY)), ..config.clone() };
    for config in [config, keyed] {
        let built = (providers::entry("vllm").unwrap().build)(&config).unwrap();
        built.generate(&call(None)).await.unwrap();
    }
    let headers =
        server.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(headers, [Some("Basic bWU6c2VjcmV0".to_owned()), Some(format!("Bearer {KEY}"))]);
}

#[tokio::test]
async fn health_tells_a_wrong_key_and_an_empty_house() {
    for kind in providers::kinds().into_iter().filter(|kind| *kind != "offline") {
        let server = Server::start(vec![reply("401 Unauthorized", "", "{}")]).await;
        let error = provider(kind, &server.url).health().await.unwrap_err();
        assert_eq!(error.outcome, Outcome::Auth, "{kind}");
        let error = provider(kind, &Server::nobody().await).health().await.unwrap_err();
        assert_eq!(error.outcome, Outcome::Unreachable, "{kind}");
    }
}

#[tokio::test]
async fn presets_know_their_place_and_their_dialect() {
    for name in ["groq", "cerebras", "deepseek", "vllm", "llama_cpp", "ollama_openai"] {
        let entry = providers::entry(name).unwrap();
        assert_eq!(entry.kind, "openai");
        assert!(entry.presets.iter().any(|preset| preset.name == name && preset.base_url.ends_with("/v1")));
        let keyless = ProviderConfig { name: name.into(), kind: name.into(), ..ProviderConfig::default() };
        assert!((entry.build)(&keyless).is_ok(), "{name} needs no address");

        let server = Server::start(vec![reply("200 OK", "", KINDS[0].unary)]).await;
        let provider = provider(name, &server.url);
        provider.generate(&call(Some(score_schema()))).await.unwrap();
        let _ = provider.stream(&call(None)).await;
        let seen = server.seen();
        let form = if name == "deepseek" { "json_object" } else { "json_schema" };
        assert_eq!(seen[0].body["response_format"]["type"], form, "{name}");
        assert_eq!(seen[0].body["max_tokens"], 99, "{name}");
        assert_eq!(seen[1].body.get("stream_options").is_some(), name != "cerebras", "{name}");
        if name == "deepseek" {
            golden("deepseek_request_schema", &seen[0].body);
        }
    }
}

#[tokio::test]
async fn the_callers_own_fields_are_laid_over_the_body() {
    let extra = json!({
        "temperature": 0.1, "seed": 7,
        "options": {"seed": 8, "num_predict": 5_000},
        "generationConfig": {"seed": 9, "maxOutputTokens": 5_000},
    });
    for kind in &KINDS {
        let server = Server::start(vec![reply("200 OK", "", kind.unary)]).await;
        let call = call_with(|prompt| prompt.extra = serde_json::from_value(extra.clone()).unwrap());
        provider(kind.kind, &server.url).generate(&call).await.unwrap();
        let body = &server.seen()[0].body;
        assert_eq!((&body["temperature"], &body["seed"]), (&json!(0.1), &json!(7)), "{}", kind.kind);
        let (field, limit, seed) = match kind.kind {
            "ollama" => ("options", "num_predict", 8),
            "gemini" => ("generationConfig", "maxOutputTokens", 9),
            _ => continue,
        };
        assert_eq!((&body[field]["seed"], &body[field][limit]), (&json!(seed), &json!(99)), "{}", kind.kind);
        assert_eq!(body[field]["temperature"], 1.5, "our own settings stay");
    }
}

#[tokio::test]
async fn dropping_a_call_closes_the_socket() {
    for kind in &KINDS {
        let mut server = Server::start(vec![
            vec![Act::WaitForClient],
            stream(kind.half(), 1_000, vec![Act::WaitForClient]),
        ])
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
    let provider = provider("anthropic", &server.url);
    let answer = provider.generate(&call(Some(score_schema()))).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.stop_reason), (r#"{"score":3}"#, StopReason::End));
    assert!(answer.tool_calls.is_empty());
    // Without a schema it is a tool of the caller's that happens to have the name.
    let answer = provider.generate(&call(None)).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.stop_reason), ("Sure.", StopReason::ToolCalls));
}

#[tokio::test]
async fn beside_thinking_no_tool_is_forced_and_no_temperature_sent() {
    let body = KINDS[1].unary.replace("Vans – cold.", r#"{\"score\":3}"#);
    let server = Server::start(vec![reply("200 OK", "", &body)]).await;
    let mut thinking = call(Some(score_schema()));
    let prompt = std::sync::Arc::get_mut(&mut thinking.prompt).unwrap();
    prompt.extra =
        serde_json::from_value(json!({"thinking": {"type": "enabled", "budget_tokens": 50}})).unwrap();
    let answer = provider("anthropic", &server.url).generate(&thinking).await.unwrap();
    assert_eq!(answer.text, r#"{"score":3}"#);
    golden("anthropic_request_thinking", &server.seen()[0].body);
}

#[tokio::test]
async fn a_conversation_of_instructions_alone_is_sent_as_the_user() {
    for (kind, place) in [("anthropic", "/messages/0"), ("gemini", "/contents/0")] {
        let server = Server::start(vec![reply("200 OK", "", "{}")]).await;
        let lonely = call_with(|prompt| prompt.turns.truncate(1));
        let _ = provider(kind, &server.url).generate(&lonely).await;
        let body: &Value = &server.seen()[0].body;
        let said = body.pointer(place).unwrap();
        assert_eq!(said["role"], "user", "{kind}");
        assert!(said.to_string().contains("You write."), "{kind}");
        assert!(body.get("system").is_none() && body.get("systemInstruction").is_none(), "{kind}");
    }
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
