//! Streams that several callers hear, that break and begin anew, and everything that comes through them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{
    Mesh, ask, completion, generate, only, open, openai, outcomes, reason, streamed, tenant,
};
use crate::support::server::{Act, Server, finish, json, stream};
use copydesk_proto::llm_router::v1 as pb;
use futures_util::future::join;
use futures_util::{FutureExt, StreamExt};
use pb::stream_generate_response::Event;
use tonic::{Code, Streaming};

const OK: &str = include_str!("golden/openai_stream.txt");
const TOOLS: &str = include_str!("golden/openai_stream_tools.txt");

fn half() -> &'static str {
    &OK[..OK.find("data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},").unwrap()]
}

/// The first half, and the rest when the server is told to go on.
fn with_a_rest() -> Vec<Act> {
    let mut script = stream(half(), 50, vec![Act::WaitForWord]);
    let rest = stream(&OK[half().len()..], 50, finish());
    script.extend(rest.into_iter().skip(1));
    script
}

fn with_id(id: &str) -> pb::GenerateRequest {
    pb::GenerateRequest { request_id: id.into(), ..ask("Hi") }
}

async fn events(stream: Streaming<pb::StreamGenerateResponse>) -> Vec<Event> {
    stream.map(|event| event.unwrap().event.unwrap()).collect().await
}

fn text(events: &[Event]) -> String {
    let delta = |event: &Event| match event {
        Event::Delta(delta) => Some(delta.text.clone()),
        _ => None,
    };
    events.iter().filter_map(delta).collect()
}

fn done(events: &[Event]) -> &pb::Completion {
    match events.last().unwrap() {
        Event::Done(done) => done,
        other => panic!("{other:?} is no end"),
    }
}

/// Reads until exactly this text has come, in whatever pieces.
async fn hear(stream: &mut Streaming<pb::StreamGenerateResponse>, whole: &str) {
    let mut heard = String::new();
    while heard.len() < whole.len() {
        heard += &text(&[stream.next().await.unwrap().unwrap().event.unwrap()]);
    }
    assert_eq!(heard, whole);
}

#[tokio::test]
async fn who_joins_a_running_stream_hears_it_from_its_beginning() {
    let server = Server::start(vec![with_a_rest()]).await;
    for mesh in Mesh::both(only(vec![openai("a", &server.url)])).await {
        let before = server.seen().len();
        let mut first = open(&mesh, 1, with_id("same")).await.unwrap();
        hear(&mut first, "Vans – cold.").await;
        let mut second = open(&mesh, 1, with_id("same")).await.unwrap();
        // All of it, before the first has ended.
        hear(&mut second, "Vans – cold.").await;
        let whole = generate(&mesh, 1, with_id("same"));
        tokio::pin!(whole);
        assert!((&mut whole).now_or_never().is_none());
        let other = pb::GenerateRequest { temperature: Some(1.0), ..with_id("same") };
        let taken = streamed(&mesh, other).await.1.unwrap_err();
        assert_eq!(taken.code(), Code::AlreadyExists, "another body under the id of a running call");

        server.go_on();
        let (first, second) = join(events(first), events(second)).await;
        assert_eq!((first.len(), second.len()), (1, 1), "nothing is heard twice");
        assert_eq!((done(&first).replayed, done(&second).replayed), (false, true));
        let whole = whole.await.unwrap();
        assert_eq!((whole.text.as_str(), whole.completion.unwrap().replayed), ("Vans – cold.", true));
        assert_eq!(server.seen().len() - before, 1);
        assert_eq!(mesh.ledger(tenant(1)).await.records.len(), 1, "nothing is paid for twice");
    }
}

#[tokio::test]
async fn a_stream_may_join_a_call_for_a_whole_answer() {
    let mut script = vec![Act::WaitForWord];
    script.extend(json("200 OK", "", &completion("Vans – cold.")));
    let mut server = Server::start(vec![script]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let mut whole = Box::pin(generate(&mesh, 1, with_id("same")));
    tokio::select! { _ = &mut whole => panic!("no reply was sent"), () = server.arrival() => {} }
    let mut joined = Box::pin(open(&mesh, 1, with_id("same")));
    let patience = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { _ = &mut joined => panic!("there is nothing to hear yet"), () = patience => {} }
    server.go_on();
    let (whole, joined) = join(whole, async { events(joined.await.unwrap()).await }).await;
    assert_eq!((whole.unwrap().text, text(&joined)), ("Vans – cold.".into(), "Vans – cold.".into()));
    assert!(done(&joined).replayed);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn the_last_who_waits_keeps_a_stream_and_ends_it() {
    let script = stream(half(), 50, vec![Act::WaitForWord, Act::WaitForClient]);
    let mut server = Server::start(vec![with_a_rest(), script]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url)])).await;
    let mut first = open(&mesh, 1, with_id("kept")).await.unwrap();
    first.next().await.unwrap().unwrap();
    let second = open(&mesh, 1, with_id("kept")).await.unwrap();
    drop(first);
    server.go_on();
    assert_eq!(text(&events(second).await), "Vans – cold.");

    let mut first = open(&mesh, 1, with_id("left")).await.unwrap();
    first.next().await.unwrap().unwrap();
    let mut second = open(&mesh, 1, with_id("left")).await.unwrap();
    second.next().await.unwrap().unwrap();
    server.go_on();
    drop((first, second));
    server.departure().await;
    let rows = loop {
        let rows = mesh.ledger(tenant(1)).await.records;
        if rows.len() == 2 {
            break rows;
        }
        tokio::task::yield_now().await;
    };
    let used = rows[0].usage.unwrap();
    assert_eq!((rows[0].outcome.as_str(), rows[1].outcome.as_str()), ("CANCELLED", "ok"));
    assert!(used.estimated && used.input_tokens > 0 && used.output_tokens > 0, "{used:?}");

    let again = streamed(&mesh, with_id("left"));
    tokio::select! { _ = again => panic!("no end was sent"), () = async { while server.seen().len() < 3 { server.arrival().await; } } => {} }
}

#[tokio::test]
async fn an_answer_that_breaks_begins_anew_where_that_was_asked_for() {
    for (n, (end, idle)) in
        [(vec![Act::Reset], 60.0), (finish(), 60.0), (vec![Act::WaitForClient], 0.3)].into_iter().enumerate()
    {
        let first = Server::start(vec![stream(half(), 50, end)]).await;
        let second = Server::start(vec![stream(TOOLS, 50, finish())]).await;
        let mut broken = openai("a", &first.url);
        broken.idle_timeout_s = idle;
        let mesh = Mesh::local(only(vec![broken, openai("b", &second.url)])).await;
        let status = streamed(&mesh, ask("Hi")).await.1.unwrap_err();
        assert_eq!(reason(&status), "STREAM_BROKEN", "unless it is asked for, {n}");
        assert!(second.seen().is_empty());

        let after_first_token = pb::AfterFirstToken::Restart.into();
        let routing = Some(pb::Routing { after_first_token, ..pb::Routing::default() });
        let request = pb::GenerateRequest { routing, ..ask("Hi") };
        let heard = events(open(&mesh, 1, request).await.unwrap()).await;
        let cut = heard.iter().position(|event| matches!(event, Event::Restarted(_))).unwrap();
        let Event::Restarted(restarted) = &heard[cut] else { panic!("{heard:?}") };
        assert_eq!((restarted.model.as_str(), restarted.outcome.as_str()), ("a/m", "STREAM_BROKEN"));
        assert_eq!(text(&heard[..cut]), "Vans – cold.");
        assert_eq!(text(&heard[cut..]), "Let me look.", "the whole of the second answer");
        let done = done(&heard);
        assert_eq!(outcomes(done), [("a/m", "STREAM_BROKEN"), ("b/m", "ok")]);
        assert!(done.degraded && done.model == "b/m");
        let rows = mesh.ledger(tenant(1)).await;
        assert_eq!(rows.records.len(), 3);
        assert!(done.cost_nanos > 27_000, "the broken answer is paid too");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_on_every_model_ends_with_an_error() {
    let server = Server::start(vec![stream(half(), 50, vec![Act::Reset])]).await;
    let mesh = Mesh::local(only(vec![openai("a", &server.url), openai("b", &server.url)])).await;
    let routing = Some(pb::Routing {
        after_first_token: pb::AfterFirstToken::Restart.into(),
        ..pb::Routing::default()
    });
    let (text, end) = streamed(&mesh, pb::GenerateRequest { routing, ..ask("Hi") }).await;
    assert_eq!(
        (text.as_str(), reason(&end.unwrap_err()).as_str()),
        ("Vans – cold.Vans – cold.", "STREAM_BROKEN")
    );
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn tool_calls_and_thoughts_come_through_and_again_to_who_repeats() {
    let server = Server::start(vec![stream(TOOLS, 7, finish())]).await;
    for mesh in Mesh::both(only(vec![openai("a", &server.url)])).await {
        for replayed in [false, true] {
            let heard = events(open(&mesh, 1, with_id("tools")).await.unwrap()).await;
            let (mut thoughts, mut calls) = (String::new(), Vec::new());
            for event in &heard {
                match event {
                    Event::Reasoning(delta) => thoughts.push_str(&delta.text),
                    Event::ToolCall(call) => calls.push((call.id.as_str(), call.name.as_str())),
                    _ => {}
                }
            }
            assert_eq!((thoughts.as_str(), text(&heard).as_str()), ("Two – things.", "Let me look."));
            assert_eq!(calls, [("call_a", "weather"), ("call_b", "time")]);
            let done = done(&heard);
            assert_eq!((done.stop_reason(), done.replayed), (pb::StopReason::ToolCalls, replayed));
        }
    }
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_holds_nobody_up() {
    let mut body = String::new();
    for n in 0..2_000 {
        body += &format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{n} \"}}}}]}}\n\n");
    }
    body += "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let expected: String = (0..2_000).map(|n| format!("{n} ")).collect();
    let server = Server::start(vec![stream(&body, 1_000, finish())]).await;
    for mesh in Mesh::both(only(vec![openai("a", &server.url)])).await {
        let mut slow = open(&mesh, 1, with_id("long")).await.unwrap();
        let first = slow.next().await.unwrap().unwrap().event.unwrap();
        let quick = events(open(&mesh, 1, with_id("long")).await.unwrap()).await;
        assert!(text(&quick) == expected, "the other reader has all of it while this one has read one event");
        let rest = events(slow).await;
        assert!(text(&[first]) + &text(&rest) == expected);
        assert!(rest.len() <= 2_000, "what waited may have been joined, nothing was cut");

        // Alone, the reader holds up the provider instead.
        let mut alone = open(&mesh, 2, ask("Hi")).await.unwrap();
        let mut heard = Vec::new();
        while let Some(event) = alone.next().await {
            heard.push(event.unwrap().event.unwrap());
            tokio::task::yield_now().await;
        }
        assert!(text(&heard) == expected);
    }
}
