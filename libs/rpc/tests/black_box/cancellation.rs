//! A caller who goes takes the work done for it along: down the hops, over the wire, out of streams.
use std::future::pending;
use std::task::Poll;
use std::time::Duration;

use copydesk_proto::llm_router::v1::StreamGenerateRequest;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_rpc::{ServiceError, produce, testing};
use tokio::sync::mpsc::UnboundedReceiver;
use tonic::{Response, Status};

use crate::script::{Items, Script};
use crate::topology::{Peer, Ringer, Server, as_user, both, delta, found, query, soon};

/// A search that tells when it began, and rings when it is dropped.
fn holding() -> (Script, UnboundedReceiver<()>) {
    let (ringer, rung) = Ringer::new();
    let script = Script::new().on_search(move |request| {
        let ringer = ringer.clone();
        async move {
            if request.into_inner().query == "quick" {
                return Ok(found(""));
            }
            let _bell = ringer.bell();
            ringer.ring();
            pending().await
        }
    });
    (script, rung)
}

#[tokio::test]
async fn a_dropped_unary_call_drops_its_handler() {
    let (script, rung) = holding();
    let rung = tokio::sync::Mutex::new(rung);
    both(&script, async |peer: Peer| {
        let mut rung = rung.lock().await;
        let call = tokio::spawn(as_user(async move { peer.search().search(query("q")).await }));
        rung.recv().await.expect("the handler began");
        call.abort();
        rung.recv().await.expect("the handler was dropped");
    })
    .await;
}

#[tokio::test]
async fn a_dropped_stream_drops_the_task_that_feeds_it() {
    let (ringer, rung) = Ringer::new();
    let script = Script::new().on_generate(move |_| {
        let bell = ringer.bell();
        async move {
            let items: Items<_> = Box::pin(produce(1, |sink| async move {
                let _bell = bell;
                sink.send(delta("one")).await.map_err(ServiceError::internal)?;
                pending().await
            }));
            Ok(Response::new(items))
        }
    });
    let rung = tokio::sync::Mutex::new(rung);
    both(&script, async |peer: Peer| {
        let request = StreamGenerateRequest::default();
        let mut stream = as_user(peer.llm().stream_generate(request)).await.expect("a stream").into_inner();
        assert!(stream.message().await.expect("an item").is_some());
        drop(stream);
        rung.lock().await.recv().await.expect("the task was dropped");
    })
    .await;
}

#[tokio::test]
async fn a_dropped_call_is_dropped_at_the_far_end_of_the_chain() {
    let (inner, rung) = holding();
    let rung = tokio::sync::Mutex::new(rung);
    both(&inner, async |inner: Peer| {
        let channel = inner.channel.clone();
        let outer = Script::new().on_search(move |request| {
            let mut next = SearchServiceClient::new(channel.clone());
            async move { next.search(request.into_inner()).await }
        });
        let outer = match inner.is_local {
            true => testing::local(outer.service()),
            false => testing::remote(outer.service()).await,
        };
        let mut rung = rung.lock().await;
        let call =
            tokio::spawn(as_user(async move { SearchServiceClient::new(outer).search(query("q")).await }));
        rung.recv().await.expect("the inner handler began");
        call.abort();
        rung.recv().await.expect("the inner handler was dropped");
    })
    .await;
}

/// Lets the other tasks run, and does not look at the sockets.
async fn turn() {
    let mut turned = false;
    std::future::poll_fn(|cx| match std::mem::replace(&mut turned, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Thirty bursts of a hundred calls, each cancelled after some `turns` of the client; the connection must live on.
async fn bursts(turns: impl Fn(usize) -> usize + Send + 'static) {
    let (script, _rung) = holding();
    let server = Server::start(testing::stack(script.service()), Duration::ZERO).await;
    let peer = server.peer();
    soon(as_user(peer.search().search(query("quick")))).await.expect("connected");
    for round in 0..30 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let mut client = peer.search();
            calls.spawn(as_user(async move { client.search(query("q")).await }));
        }
        for _ in 0..turns(round) {
            turn().await;
        }
        calls.abort_all();
        while calls.join_next().await.is_some() {}
        let next: Result<_, Status> = soon(as_user(peer.search().search(query("quick")))).await;
        assert!(next.is_ok(), "round {round}: {next:?}");
    }
}

#[test]
fn calls_cancelled_before_the_server_has_looked_leave_the_connection_whole() {
    // Sockets are looked at when there is nothing else to do, so that a whole burst and its resets arrive together:
    // the pattern that a server with the usual limit takes for an attack.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().event_interval(1_000_000).build().expect("a runtime");
    // As a task: the runtime looks at the sockets each time before its root future has a turn.
    runtime.block_on(async { tokio::spawn(bursts(|round| round)).await }).expect("no panic");
}

#[tokio::test]
async fn calls_cancelled_in_the_handler_leave_the_connection_whole() {
    bursts(|round| 100 + round).await;
}
