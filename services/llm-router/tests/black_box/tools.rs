//! Tools, pictures, a provider's own fields and several analyses: what reaches the provider, and what comes back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{
    Mesh, ask, completion, generate, metadata, object, only, openai, outcomes, reason, tenant, user,
};
use crate::support::server::{Server, json as reply};
use copydesk_llm_router::ProviderConfig;
use copydesk_proto::llm_router::v1 as pb;
use pb::part::Part;
use serde_json::{Value, json};
use tonic::Code;

const TOOLS: &str = include_str!("golden/openai_reply_tools.json");

fn part(part: Part) -> pb::Part {
    pb::Part { part: Some(part) }
}

fn picture() -> pb::Part {
    let source = Some(pb::image::Source::Data(vec![0, 250, 7, 1]));
    part(Part::Image(pb::Image { media_type: "image/png".into(), source, detail: "low".into() }))
}

fn weather() -> pb::Tool {
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    pb::Tool { name: "weather".into(), description: "Tells it.".into(), parameters: Some(object(city)) }
}

/// A conversation with everything in it.
fn busy() -> pb::GenerateRequest {
    let message =
        |role: pb::Role, text: &str, parts| pb::Message { role: role.into(), text: text.into(), parts };
    let arguments = Some(object(json!({"city": "Oslo"})));
    let asked = pb::ToolCall { id: "t1".into(), name: "weather".into(), arguments };
    let gave = pb::ToolResult { tool_call_id: "t1".into(), text: "cold".into(), is_error: false };
    pb::GenerateRequest {
        messages: vec![
            message(pb::Role::User, "What is this?", vec![picture()]),
            message(pb::Role::Assistant, "", vec![part(Part::ToolCall(asked))]),
            message(pb::Role::Tool, "", vec![part(Part::ToolResult(gave))]),
        ],
        tools: vec![weather()],
        tool_choice: Some(pb::ToolChoice { mode: pb::ToolMode::Required.into(), name: "weather".into() }),
        top_p: Some(0.5),
        stop: vec!["END".into()],
        extra: Some(object(json!({"seed": 7, "store": false, "metadata": {"a": [null, "b"]}}))),
        max_output_tokens: Some(99),
        ..ask("")
    }
}

/// A model that can do these things.
fn able(name: &str, url: &str, can: &[&str]) -> ProviderConfig {
    let mut provider = openai(name, url);
    provider.models[0].capabilities = can.iter().map(|&one| one.to_owned()).collect();
    provider
}

async fn explain(mesh: &Mesh, request: pb::GenerateRequest) -> Vec<pb::Candidate> {
    let mut routing = mesh.routing.clone();
    let request = pb::ExplainRouteRequest { request: Some(request) };
    let call = user(tenant(1), async { routing.explain_route(request).await }).await;
    call.unwrap().into_inner().decision.unwrap().candidates
}

#[tokio::test]
async fn everything_that_is_said_reaches_the_provider() {
    let server = Server::start(vec![reply("200 OK", "", TOOLS)]).await;
    let all = ["chat", "tools", "images"];
    for mesh in Mesh::both(only(vec![able("a", &server.url, &all)])).await {
        let answer = generate(&mesh, 1, busy()).await.unwrap();
        let body = server.seen().pop().unwrap().body;
        let said = body["messages"].as_array().unwrap();
        assert_eq!(said[0]["content"][1]["image_url"]["url"], "data:image/png;base64,APoHAQ==");
        assert_eq!(said[0]["content"][1]["image_url"]["detail"], "low");
        assert_eq!(said[1]["tool_calls"][0]["function"]["arguments"], "{\"city\":\"Oslo\"}");
        assert_eq!((&said[2]["tool_call_id"], &said[2]["content"]), (&json!("t1"), &json!("cold")));
        assert_eq!(body["tools"][0]["function"]["parameters"]["required"], json!(["city"]));
        assert_eq!(body["tool_choice"]["function"]["name"], "weather");
        assert_eq!(
            (&body["top_p"], &body["stop"], &body["store"]),
            (&json!(0.5), &json!(["END"]), &json!(false))
        );
        assert_eq!(body["seed"].as_f64(), Some(7.0));
        assert_eq!(body["metadata"], json!({"a": [null, "b"]}));
        let limit = body.get("max_tokens").or(body.get("max_completion_tokens"));
        assert_eq!(limit, Some(&json!(99)));

        assert_eq!((answer.text.as_str(), answer.reasoning.as_str()), ("Let me look.", "Two – things."));
        let calls: Vec<_> = answer.tool_calls.iter().map(|c| (c.id.as_str(), c.name.as_str())).collect();
        assert_eq!(calls, [("call_a", "weather"), ("call_b", "time")]);
        assert_eq!(answer.tool_calls[0].arguments, Some(object(json!({"city": "Tromsø"}))));
        let done = answer.completion.unwrap();
        assert_eq!(done.stop_reason(), pb::StopReason::ToolCalls);
        // 17 tokens at 1,000, 4 cached ones at 500, 6 written.
        assert_eq!(done.cost_nanos, 17_000 + 2_000 + 6_000);
    }
}

#[tokio::test]
async fn the_routers_own_fields_cannot_be_laid_over() {
    let server = Server::start(vec![reply("200 OK", "", TOOLS)]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    for name in ["model", "messages", "stream", "max_tokens", "n"] {
        let extra = Some(object(json!({name: 5})));
        let status = generate(&mesh, 1, pb::GenerateRequest { extra, ..ask("Hi") }).await.unwrap_err();
        assert_eq!(crate::support::mesh::fields(&status), [format!("extra.{name}")]);
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_model_that_cannot_see_is_passed_over() {
    let blind = Server::start(vec![reply("200 OK", "", &completion("blind"))]).await;
    let seeing = Server::start(vec![reply("200 OK", "", &completion("seen"))]).await;
    let config = only(vec![
        able("blind", &blind.url, &["chat", "tools"]),
        able("seeing", &seeing.url, &["chat", "images"]),
    ]);
    let mesh = Mesh::local(config).await;
    let mut request = ask("What is this?");
    request.messages[0].parts.push(picture());
    let answer = generate(&mesh, 1, request.clone()).await.unwrap();
    let done = answer.completion.unwrap();
    assert_eq!((answer.text.as_str(), outcomes(&done)), ("seen", vec![("seeing/m", "ok")]));
    assert!(!done.degraded && done.tier() == pb::Tier::Primary, "nobody failed");
    assert!(blind.seen().is_empty());
    let candidates = explain(&mesh, request.clone()).await;
    let shown: Vec<_> =
        candidates.iter().map(|c| (c.model.as_str(), c.verdict(), c.position, c.reason.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("seeing/m", pb::Verdict::Suitable, 1, ""),
            ("blind/m", pb::Verdict::LacksCapability, 0, "needs images"),
        ]
    );

    request.tools.push(weather());
    let status = generate(&mesh, 1, request.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NO_CAPABLE_MODEL"));
    assert!(status.message().contains("blind/m lacks images"), "{}", status.message());
    assert!(status.message().contains("seeing/m lacks tools"), "{}", status.message());
    assert!(explain(&mesh, request).await.iter().all(|candidate| candidate.position == 0));
    assert_eq!(metadata(&status, "attempts"), "");
}

fn analysis(name: &str) -> pb::Analysis {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    pb::Analysis { name: name.into(), instruction: format!("Count {name}."), schema: Some(object(schema)) }
}

fn keys(schema: &Value) -> Vec<&str> {
    schema["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn several_analyses_are_one_call_and_only_a_faulty_one_is_asked_for_again() {
    let server = Server::start(vec![
        reply("200 OK", "", &completion(r#"{"vans": {"n": 3}, "alerts": {"n": "many"}}"#)),
        reply("200 OK", "", &completion(r#"{"alerts": {"n": 23}}"#)),
    ])
    .await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let analyses = vec![analysis("vans"), analysis("alerts")];
    let answer =
        generate(&mesh, 1, pb::GenerateRequest { analyses, ..ask("23 alerts, 3 vans") }).await.unwrap();
    let parts: Vec<_> = answer.analyses.into_iter().map(|p| (p.name, p.structured.unwrap())).collect();
    assert_eq!(
        parts,
        [("vans".into(), object(json!({"n": 3}))), ("alerts".into(), object(json!({"n": 23})))]
    );
    let done = answer.completion.unwrap();
    assert_eq!((outcomes(&done), done.cost_nanos), (vec![("a/m", "BAD_REPLY"), ("a/m", "ok")], 30_000));
    let seen = server.seen();
    let schema = |n: usize| &seen[n].body["response_format"]["json_schema"]["schema"];
    assert_eq!((keys(schema(0)), keys(schema(1))), (vec!["alerts", "vans"], vec!["alerts"]));
    let asked = seen[1].body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
    assert!(asked.contains("`alerts`") && !asked.contains("vans"), "{asked}");
}

#[tokio::test]
async fn analyses_that_stay_faulty_go_to_the_next_model() {
    let bad = Server::start(vec![reply("200 OK", "", &completion("no idea"))]).await;
    let whole = r#"{"vans": {"n": 3}, "alerts": {"n": 23}}"#;
    let good = Server::start(vec![reply("200 OK", "", &completion(whole))]).await;
    let mesh = Mesh::local(only(vec![openai("a", &bad.url), openai("b", &good.url)])).await;
    let analyses = vec![analysis("vans"), analysis("alerts")];
    let answer = generate(&mesh, 1, pb::GenerateRequest { analyses, ..ask("Hi") }).await.unwrap();
    let done = answer.completion.unwrap();
    assert_eq!(outcomes(&done), [("a/m", "BAD_REPLY"), ("a/m", "BAD_REPLY"), ("b/m", "ok")]);
    assert_eq!((answer.analyses.len(), bad.seen().len(), good.seen().len()), (2, 2, 1));
}
