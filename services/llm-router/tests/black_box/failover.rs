//! Models that fail: before the first token, after it, all of them; and callers that go away.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::mesh::{
    Mesh, ask, completion, draft, generate, only, openai, outcomes, reason, streamed, tenant, user,
};
use crate::support::server::{Act, Server, finish, json, stream};
use copydesk_llm_router::Config;
use copydesk_proto::llm_router::v1 as pb;
use futures_util::StreamExt;
use tonic::Code;

const OK: &str = include_str!("golden/openai_stream.txt");

#[tokio::test]
async fn a_failing_model_is_replaced_and_every_attempt_is_in_the_ledger() {
    let busy = json("429 Too Many Requests", "retry-after: 7\r\n", "{}");
    for case in 0..2 {
        let first = Server::start(vec![busy.clone()]).await;
        let second = Server::start(vec![json("200 OK", "", &completion("Hello."))]).await;
        let config = only(vec![openai("a", &first.url), openai("b", &second.url)]);
        let [local, remote] = Mesh::both(config).await;
        let mesh = if case == 0 { local } else { remote };
        let answer = generate(&mesh, 1, ask("Hi")).await.unwrap();
        let done = answer.completion.unwrap();
        assert_eq!(answer.text, "Hello.");
        assert_eq!(outcomes(&done), [("a/m", "RATE_LIMITED"), ("b/m", "ok")]);
        assert_eq!((done.cost_nanos, done.degraded), (15_000, true));
        assert_eq!(done.degraded_reason, "a fallback answered: a/m: RATE_LIMITED");
        let ledger = mesh.ledger(tenant(1)).await;
        assert_eq!(ledger.total_cost_nanos, 15_000);
        let rows: Vec<(&str, &str)> =
            ledger.records.iter().map(|r| (r.model.as_str(), r.outcome.as_str())).collect();
        assert_eq!(rows, [("b/m", "ok"), ("a/m", "RATE_LIMITED")], "newest first");
    }
}

#[tokio::test]
async fn when_all_fail_the_caller_learns_how_each_did() {
    let busy = Server::start(vec![json("429 Too Many Requests", "retry-after: 7\r\n", "{}")]).await;
    let broken = Server::start(vec![json("500 Oops", "", "{}")]).await;
    let providers =
        vec![openai("a", &busy.url), openai("b", &broken.url), openai("c", &Server::nobody().await)];
    for streams in [false, true] {
        use tonic_types::StatusExt;
        // A router of its own each time: after a 429 with a long wait the first model is not asked again.
        let mesh = Mesh::local(only(providers.clone())).await;
        let status = match streams {
            false => generate(&mesh, 1, ask("Hi")).await.unwrap_err(),
            true => streamed(&mesh, ask("Hi")).await.1.unwrap_err(),
        };
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "ALL_MODELS_FAILED"));
        let each = "a/m: RATE_LIMITED (HTTP 429), b/m: PROVIDER_ERROR (HTTP 500), c/m: UNREACHABLE";
        assert!(status.message().contains(each), "{}", status.message());
        let wait = status.get_error_details().retry_info().and_then(|r| r.retry_delay).unwrap();
        assert_eq!(wait.as_secs(), 7);
    }
    // One round: the wait of seconds that a provider asks for would be waited for.
    let mesh = Mesh::local(Config { offline_fallback: true, ..only(providers) }).await;
    let done = generate(&mesh, 1, draft()).await.unwrap().completion.unwrap();
    assert_eq!(done.model, "offline/extractive");
    assert!(
        done.degraded_reason.starts_with("all providers failed: a/m: RATE_LIMITED"),
        "{}",
        done.degraded_reason
    );
    let pinned = pb::GenerateRequest { model: "a/m".into(), ..draft() };
    assert_eq!(
        reason(&generate(&mesh, 1, pinned).await.unwrap_err()),
        "ALL_MODELS_FAILED",
        "only that one is tried"
    );
}

#[tokio::test]
async fn refused_input_is_not_passed_around() {
    let first = Server::start(vec![json("400 Bad Request", "", "{}")]).await;
    let second = Server::start(vec![json("200 OK", "", &completion("never"))]).await;
    let mesh = Mesh::local(only(vec![openai("a", &first.url), openai("b", &second.url)])).await;
    let status = generate(&mesh, 1, ask("Hi")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "REFUSED_INPUT"));
    assert!(second.seen().is_empty());
    assert_eq!(mesh.ledger(tenant(1)).await.records[0].outcome, "REFUSED_INPUT");
}

#[tokio::test]
async fn failover_before_the_first_token_is_invisible() {
    let error_first = "data: {\"error\":{\"type\":\"rate_limit_exceeded\"}}\n\n";
    let empty = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    for (script, outcome) in [
        (json("500 Oops", "", "{}"), "PROVIDER_ERROR"),
        (stream(error_first, 99, finish()), "RATE_LIMITED"),
        (stream("", 99, vec![Act::Close]), "STREAM_BROKEN"),
        (stream(empty, 99, finish()), "BAD_REPLY"),
        (stream("", 99, vec![Act::WaitForClient]), "TIMEOUT"),
    ] {
        let first = Server::start(vec![script]).await;
        let second = Server::start(vec![stream(OK, 20, finish())]).await;
        let mut impatient = openai("a", &first.url);
        impatient.first_token_timeout_s = 0.05;
        let [local, remote] = Mesh::both(only(vec![impatient, openai("b", &second.url)])).await;
        for mesh in [local, remote] {
            let (text, done) = streamed(&mesh, ask("Hi")).await;
            let done = done.unwrap();
            assert_eq!(text, "Vans – cold.", "{outcome}");
            assert_eq!(outcomes(&done), [("a/m", outcome), ("b/m", "ok")]);
            assert_eq!(done.usage.unwrap().cached_input_tokens, 4);
        }
    }
}

#[tokio::test]
async fn after_the_first_token_a_broken_stream_is_an_error() {
    let half = &OK[..OK.find("data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},").unwrap()];
    let error = format!("{half}data: {{\"error\":{{\"type\":\"server_error\"}}}}\n\n");
    for script in [
        stream(half, 50, vec![Act::Reset]),
        stream(half, 50, finish()),
        stream(&error, 50, finish()),
        stream(half, 50, vec![Act::WaitForClient]),
    ] {
        let first = Server::start(vec![script]).await;
        let second = Server::start(vec![stream(OK, 20, finish())]).await;
        let mut impatient = openai("a", &first.url);
        impatient.idle_timeout_s = 0.05;
        let [local, remote] = Mesh::both(only(vec![impatient, openai("b", &second.url)])).await;
        for mesh in [local, remote] {
            let (text, end) = streamed(&mesh, ask("Hi")).await;
            let status = end.unwrap_err();
            assert!(text.starts_with("Vans"), "what was written before the break is there");
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STREAM_BROKEN"));
            let row = mesh.ledger(tenant(1)).await.records[0].clone();
            assert_eq!(row.outcome, "STREAM_BROKEN");
            let usage = row.usage.unwrap();
            assert!(
                usage.estimated && usage.output_tokens > 0 && row.cost_nanos > 0,
                "tokens so far are billed"
            );
        }
        assert!(second.seen().is_empty(), "no silent splice");
    }
}

#[tokio::test]
async fn a_slow_whole_answer_is_given_up() {
    let first = Server::start(vec![vec![Act::WaitForClient]]).await;
    let mut slow = openai("a", &first.url);
    slow.timeout_s = 0.05;
    let mesh = Mesh::local(Config { providers: vec![slow], ..Config::default() }).await;
    let done = generate(&mesh, 1, draft()).await.unwrap().completion.unwrap();
    assert_eq!(outcomes(&done), [("a/m", "TIMEOUT"), ("offline/extractive", "ok")]);
}

#[tokio::test]
async fn a_client_that_goes_closes_the_providers_socket_and_is_billed() {
    let half = &OK[..OK.find("data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},").unwrap()];
    for remote in [false, true] {
        let mut server =
            Server::start(vec![vec![Act::WaitForClient], stream(half, 50, vec![Act::WaitForClient])]).await;
        let [local, far] = Mesh::both(only(vec![openai("a", &server.url)])).await;
        let mesh = if remote { far } else { local };
        let unary = generate(&mesh, 1, ask("Hi"));
        tokio::select! { _ = unary => panic!("no reply was sent"), () = server.arrival() => {} }
        server.departure().await;

        let mut llm = mesh.llm.clone();
        let request = pb::StreamGenerateRequest { request: Some(ask("Hi")) };
        let mut events =
            user(tenant(1), async { llm.stream_generate(request).await }).await.unwrap().into_inner();
        assert!(events.next().await.unwrap().is_ok());
        drop(events);
        server.departure().await;

        // The records are written by a task of the service; the ledger is asked until they are there.
        let rows = loop {
            let rows = mesh.ledger(tenant(1)).await.records;
            if rows.len() == 2 {
                break rows;
            }
            tokio::task::yield_now().await;
        };
        assert!(rows.iter().all(|r| r.outcome == "CANCELLED" && r.usage.unwrap().input_tokens > 0));
        assert!(rows.iter().any(|r| r.usage.unwrap().output_tokens > 0), "tokens so far");
    }
}
