//! Replies that are odd but whole: they are answers, and nobody is asked twice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{Mesh, ask, completion, only, openai, streamed, tenant, user};
use crate::support::server::{Act, Server, finish, json, stream};
use copydesk_proto::llm_router::v1 as pb;

const OK: &str = include_str!("golden/openai_stream.txt");

/// A whole reply, one byte at a time.
fn drip(script: Vec<Act>) -> Vec<Act> {
    let bytes = script.into_iter().flat_map(|act| match act {
        Act::Send(bytes) => bytes,
        other => panic!("{other:?} is not a part of a reply"),
    });
    bytes.map(|byte| Act::Send(vec![byte])).collect()
}

#[tokio::test]
async fn a_slow_drip_is_an_answer() {
    let whole = json("200 OK", "", &completion("Vans – cold."));
    let server = Server::start(vec![drip(whole), drip(stream(OK, 1, finish()))]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let answer = user(tenant(1), async { mesh.llm.clone().generate(ask("Hi")).await }).await.unwrap();
    assert_eq!(answer.into_inner().text, "Vans – cold.");
    let (text, done) = streamed(&mesh, ask("Hi")).await;
    assert_eq!((text.as_str(), done.unwrap().usage.unwrap().output_tokens), ("Vans – cold.", 6));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn ten_megabytes_are_an_answer() {
    let long = "0123456789abcdef".repeat(10 << 16);
    let part = &long[..1 << 16];
    let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{part}\"}}}}]}}\n\n");
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let events = event.repeat(160) + end;
    let server =
        Server::start(vec![json("200 OK", "", &completion(&long)), stream(&events, 9_999, finish())]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let mut llm = mesh.llm.clone().max_decoding_message_size(32 << 20);
    let answer = user(tenant(1), async { llm.generate(ask("Hi")).await }).await.unwrap().into_inner();
    assert!(answer.text == long && answer.completion.unwrap().usage.unwrap().output_tokens == 5);

    // Every event is small, so a reader with the usual limits takes it; a repeat of the id is no other.
    let request = pb::GenerateRequest { request_id: "long".into(), ..ask("Hi") };
    let (text, done) = streamed(&mesh, request.clone()).await;
    assert!(text == long, "{} bytes", text.len());
    let used = done.unwrap().usage.unwrap();
    assert!(used.estimated && used.output_tokens == (10 << 20) / 4, "nobody counted, so it is estimated");
    let (again, done) = streamed(&mesh, request).await;
    assert!(done.unwrap().replayed && again == long);
    assert_eq!(server.seen().len(), 2);
}
