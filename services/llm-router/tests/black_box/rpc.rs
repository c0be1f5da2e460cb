//! The service as its callers see it, in process and over a loopback port.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{
    Mesh, ask, completion, draft, fields, generate, only, openai, outcomes, reason, streamed, tenant, user,
};
use crate::support::server::{Act, Server, finish, json, stream};
use copydesk_llm_router::{Config, ModelConfig};
use copydesk_proto::llm_router::v1 as pb;
use futures_util::FutureExt;
use tonic::Code;

const OK: &str = include_str!("golden/openai_stream.txt");

#[tokio::test]
async fn without_a_model_the_offline_writer_answers_and_says_so() {
    for mesh in Mesh::both(Config::default()).await {
        let answer = generate(&mesh, 1, draft()).await.unwrap();
        assert!(answer.text.contains("cut temperature alerts from 23 per shift to 3.4"), "{}", answer.text);
        let completion = answer.completion.unwrap();
        assert_eq!(completion.model, "offline/extractive");
        assert!(completion.degraded && completion.usage.unwrap().estimated);
        assert_eq!(
            completion.degraded_reason,
            "no model is configured; the offline writer composed this from the evidence"
        );
        let (text, done) = streamed(&mesh, draft()).await;
        assert_eq!((text, done.unwrap().model), (answer.text, completion.model));

        let mut routing = mesh.routing.clone();
        let models =
            user(tenant(1), async { routing.list_models(pb::ListModelsRequest {}).await }).await.unwrap();
        let names: Vec<String> = models.into_inner().models.into_iter().map(|m| m.name).collect();
        assert_eq!(names, ["offline/extractive"]);
        assert_eq!(mesh.ledger(tenant(1)).await.records.len(), 2);
    }
}

#[tokio::test]
async fn every_fault_of_a_request_is_named_at_once() {
    let bad = pb::GenerateRequest {
        request_id: "x".repeat(129),
        attribution: Some(pb::Attribution {
            run_id: "run_1".into(),
            step: "a\u{0}".into(),
            ..Default::default()
        }),
        task: 99,
        messages: vec![pb::Message::default()],
        temperature: Some(f64::NAN),
        max_output_tokens: Some(0),
        model: "nobody/nothing".into(),
        brief: Some(pb::Brief {
            content_type: 77,
            directions: vec![pb::Direction { rule: 55, ..Default::default() }],
            ..Default::default()
        }),
        response_schema: Some(prost_types::Struct {
            fields: [("type".to_owned(), prost_types::Value::from("thing"))].into(),
        }),
        ..pb::GenerateRequest::default()
    };
    let expected = [
        "request_id",
        "attribution.run_id",
        "attribution.step",
        "task",
        "model",
        "messages[0].role",
        "messages[0].text",
        "brief.content_type",
        "brief.directions[0].rule",
        "response_schema",
        "temperature",
        "max_output_tokens",
    ];
    for mesh in Mesh::both(Config::default()).await {
        let status = generate(&mesh, 1, bad.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
        assert_eq!(fields(&status), expected);
        let (_, end) = streamed(&mesh, bad.clone()).await;
        assert!(fields(&end.unwrap_err()).iter().all(|field| field.starts_with("request.")));
        let many = pb::GenerateRequest { messages: vec![ask("x").messages[0].clone(); 65], ..ask("x") };
        assert_eq!(fields(&generate(&mesh, 1, many).await.unwrap_err()), ["messages"]);
        let empty = pb::GenerateRequest::default();
        assert_eq!(fields(&generate(&mesh, 1, empty).await.unwrap_err()), ["messages"]);
        assert!(mesh.ledger(tenant(1)).await.records.is_empty(), "nothing is stored half-way");
    }
}

#[tokio::test]
async fn a_repeated_id_gets_the_stored_answer() {
    let server = Server::start(vec![
        json("200 OK", "", &completion("One.")),
        json("200 OK", "", &completion("Two.")),
        stream(OK, 50, finish()),
    ])
    .await;
    let [local, remote] = Mesh::both(only(vec![openai("a", &server.url)])).await;
    drop(remote);
    let mesh = local;
    let with_id = |id: &str, text: &str| pb::GenerateRequest { request_id: id.into(), ..ask(text) };
    let first = generate(&mesh, 1, with_id("r1", "Hi")).await.unwrap();
    assert!(!first.completion.as_ref().unwrap().replayed);
    let again = generate(&mesh, 1, with_id("r1", "Hi")).await.unwrap();
    let mut expected = first.clone();
    expected.completion.as_mut().unwrap().replayed = true;
    assert_eq!(again, expected);
    let (text, done) = streamed(&mesh, with_id("r1", "Hi")).await;
    assert_eq!((text.as_str(), done.unwrap().replayed), ("One.", true), "a stream is given it too");

    let status = generate(&mesh, 1, with_id("r1", "Other")).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    let other = generate(&mesh, 2, with_id("r1", "Hi")).await.unwrap();
    assert_eq!(
        (other.text.as_str(), other.completion.unwrap().replayed),
        ("Two.", false),
        "another tenant's id"
    );
    assert_eq!(mesh.ledger(tenant(2)).await.records.len(), 1);
    assert_eq!(mesh.ledger(tenant(1)).await.records.len(), 1, "a replay costs nothing");

    let (text, _) = streamed(&mesh, with_id("r2", "Hi")).await;
    assert_eq!(
        generate(&mesh, 1, with_id("r2", "Hi")).await.unwrap().text,
        text,
        "a finished stream is stored"
    );
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn sixty_four_calls_with_one_id_are_one_call() {
    let server = Server::start(vec![json("200 OK", "", &completion("Once."))]).await;
    for mesh in Mesh::both(only(vec![openai("a", &server.url)])).await {
        let before = server.seen().len();
        let request = pb::GenerateRequest { request_id: "same".into(), ..ask("Hi") };
        let calls = (0..64).map(|_| generate(&mesh, 1, request.clone()));
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|a| a.as_ref().is_ok_and(|a| a.text == "Once.")));
        let fresh =
            answers.iter().filter(|a| !a.as_ref().unwrap().completion.as_ref().unwrap().replayed).count();
        assert_eq!((fresh, server.seen().len() - before), (1, 1));
        assert_eq!(mesh.ledger(tenant(1)).await.records.len(), 1);
    }
}

#[tokio::test]
async fn who_waits_keeps_the_call_when_the_first_caller_goes() {
    let mut answer = vec![Act::WaitForWord];
    answer.extend(json("200 OK", "", &completion("Once.")));
    let mut server = Server::start(vec![answer]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let request = pb::GenerateRequest { request_id: "same".into(), ..ask("Hi") };
    let mut first = Box::pin(generate(&mesh, 1, request.clone()));
    tokio::select! { _ = &mut first => panic!("no reply was sent"), () = server.arrival() => {} }
    let mut second = Box::pin(generate(&mesh, 1, request));
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    server.go_on();
    assert_eq!(second.await.unwrap().text, "Once.");
    assert_eq!(server.seen().len(), 1, "nothing is paid for twice");
}

fn score_schema() -> prost_types::Struct {
    let text = |s: &str| prost_types::Value::from(s.to_owned());
    let object = |fields: Vec<(&str, prost_types::Value)>| prost_types::Struct {
        fields: fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
    };
    let wrap =
        |s: prost_types::Struct| prost_types::Value { kind: Some(prost_types::value::Kind::StructValue(s)) };
    let score = wrap(object(vec![("type", text("integer"))]));
    object(vec![
        ("type", text("object")),
        ("required", prost_types::Value::from(vec![text("score")])),
        ("properties", wrap(object(vec![("score", score)]))),
    ])
}

#[tokio::test]
async fn a_faulty_structured_answer_is_mended_once_and_then_left() {
    let first = Server::start(vec![
        json("200 OK", "", &completion("I would say seven.")),
        json("200 OK", "", &completion("```json\n{\"score\": 7}\n```")),
        json("200 OK", "", &completion("still wrong")),
    ])
    .await;
    let second = Server::start(vec![json("200 OK", "", &completion("{\"score\": 4}"))]).await;
    let mesh = Mesh::local(only(vec![openai("a", &first.url), openai("b", &second.url)])).await;
    let request = pb::GenerateRequest { response_schema: Some(score_schema()), ..ask("Score it") };
    let answer = generate(&mesh, 1, request.clone()).await.unwrap();
    let done = answer.completion.unwrap();
    assert_eq!(answer.text, "{\"score\":7}");
    assert_eq!(answer.structured.unwrap().fields["score"], prost_types::Value::from(7.0));
    assert_eq!(outcomes(&done), [("a/m", "BAD_REPLY"), ("a/m", "ok")]);
    assert_eq!((done.cost_nanos, done.degraded), (30_000, false), "both calls are paid");
    let repair = first.seen()[1].body["messages"].as_array().unwrap().clone();
    assert_eq!(repair.len(), 3);
    assert!(repair[2]["content"].as_str().unwrap().contains("does not satisfy the JSON schema"));

    let answer = generate(&mesh, 1, request.clone()).await.unwrap();
    assert_eq!(answer.text, "{\"score\":4}");
    assert_eq!(
        outcomes(&answer.completion.unwrap()),
        [("a/m", "BAD_REPLY"), ("a/m", "BAD_REPLY"), ("b/m", "ok")]
    );
    let (_, end) = streamed(&mesh, request).await;
    assert_eq!(fields(&end.unwrap_err()), ["request.response_schema"]);
}

#[tokio::test]
async fn the_offline_writer_says_when_it_does_not_know_a_schema() {
    let mesh = Mesh::local(Config::default()).await;
    let known = pb::GenerateRequest {
        response_schema: Some(score_schema()),
        task: pb::Task::Review.into(),
        ..draft()
    };
    assert!(generate(&mesh, 1, known).await.unwrap().structured.is_some());
    let schema =
        prost_types::Struct { fields: [("type".to_owned(), prost_types::Value::from("object"))].into() };
    let unknown = pb::GenerateRequest { response_schema: Some(schema), ..draft() };
    let status = generate(&mesh, 1, unknown).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "OFFLINE_SCHEMA_UNSUPPORTED")
    );
}

#[tokio::test]
async fn the_ledger_is_paged_and_each_tenant_sees_its_own() {
    let run = copydesk_types::RunId::from_u128(5).to_string();
    for mesh in Mesh::both(Config::default()).await {
        for n in 0..5 {
            let run_id = if n % 2 == 0 { run.clone() } else { String::new() };
            let attribution = pb::Attribution { run_id, step: format!("s{n}"), ..Default::default() };
            generate(&mesh, 1, pb::GenerateRequest { attribution: Some(attribution), ..draft() })
                .await
                .unwrap();
        }
        generate(&mesh, 2, draft()).await.unwrap();
        let list = |of: u128, page_size: u32, page_token: String, run_id: String| {
            let mut usage = mesh.usage.clone();
            let request = pb::ListUsageRequest { page_size, page_token, run_id, ..Default::default() };
            async move {
                user(tenant(of), async { usage.list_usage(request).await }).await.map(|r| r.into_inner())
            }
        };
        let mut steps = Vec::new();
        let mut token = String::new();
        loop {
            let page = list(1, 2, token, String::new()).await.unwrap();
            assert!(page.records.len() <= 2);
            steps.extend(page.records.iter().map(|r| r.attribution.as_ref().unwrap().step.clone()));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(steps, ["s4", "s3", "s2", "s1", "s0"]);
        assert_eq!(list(1, 0, String::new(), run.clone()).await.unwrap().records.len(), 3);
        assert_eq!(list(2, 0, String::new(), String::new()).await.unwrap().records.len(), 1);

        let token = list(1, 2, String::new(), String::new()).await.unwrap().next_page_token;
        let foreign = list(2, 2, token.clone(), String::new()).await.unwrap_err();
        assert_eq!(fields(&foreign), ["page_token"]);
        let filtered = list(1, 501, token, "run_x".into()).await.unwrap_err();
        assert_eq!(fields(&filtered), ["page_size", "run_id", "page_token"]);
    }
}

#[tokio::test]
async fn models_are_listed_in_the_order_in_which_they_are_tried() {
    let mut provider = openai("a", "http://127.0.0.1:9");
    provider.models.push(ModelConfig { name: "family/n".into(), ..ModelConfig::default() });
    let mesh = Mesh::local(Config { providers: vec![provider], ..Config::default() }).await;
    let mut routing = mesh.routing.clone();
    let models =
        user(tenant(1), async { routing.list_models(pb::ListModelsRequest {}).await }).await.unwrap();
    let models = models.into_inner().models;
    let names: Vec<&str> = models.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["a/m", "a/family/n", "offline/extractive"]);
    assert_eq!((models[0].output_nanos_per_million, models[2].offline), (1_000_000_000, true));
}
