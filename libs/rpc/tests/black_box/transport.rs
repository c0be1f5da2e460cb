//! What the network does to a call: refused, lost, drained, stalled; and that it passes.
use std::future::pending;
use std::time::Duration;

use copydesk_proto::llm_router::v1::StreamGenerateRequest;
use copydesk_rpc::server::TransportOptions;
use copydesk_rpc::{Channel, ServiceError, produce, testing};
use tonic::{Code, Response, Status};

use crate::script::{Items, NAME, Script};
use crate::topology::{
    Peer, Ringer, Server, any_port, as_user, delta, found, has_retry_delay, query, reason, soon,
};

/// Long enough never to be waited for.
const LONG: Duration = Duration::from_secs(600);

fn assert_passing(status: &Status, why: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::Unavailable, why), "{status:?}");
    assert!(has_retry_delay(status), "it says when to come back");
}

/// `hold` in the query holds the call until it is cut; a generated stream sends one item and stalls.
fn stalling(ringer: Ringer) -> Script {
    Script::new()
        .on_search(move |request| {
            let ringer = ringer.clone();
            async move {
                if request.into_inner().query == "hold" {
                    let _bell = ringer.bell();
                    ringer.ring();
                    pending::<()>().await;
                }
                Ok(found("done"))
            }
        })
        .on_generate(|_| async {
            let items: Items<_> = Box::pin(produce(1, |sink| async move {
                sink.send(delta("one")).await.map_err(ServiceError::internal)?;
                pending().await
            }));
            Ok(Response::new(items))
        })
}

async fn first_item(peer: &Peer) -> tonic::Streaming<copydesk_proto::llm_router::v1::StreamGenerateResponse> {
    let request = StreamGenerateRequest::default();
    let mut stream = soon(as_user(peer.llm().stream_generate(request))).await.expect("a stream").into_inner();
    assert_eq!(soon(stream.message()).await.expect("an item"), Some(delta("one")));
    stream
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    // Bound and not listening: the port is ours, and connecting to it is refused.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(any_port()).expect("a port");
    let uri = format!("http://{}", socket.local_addr().expect("bound")).parse().expect("a uri");
    let peer = Peer { channel: Channel::remote(NAME, uri, testing::metrics()), is_local: false };
    for _ in 0..2 {
        let status = soon(as_user(peer.search().search(query("q")))).await.expect_err("nobody listens");
        assert_passing(&status, "UNREACHABLE");
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let uri = "http://no..host:1".parse().expect("a uri");
    let peer = Peer { channel: Channel::remote(NAME, uri, testing::metrics()), is_local: false };
    let status = soon(as_user(peer.search().search(query("q")))).await.expect_err("no such host");
    assert_passing(&status, "UNREACHABLE");
}

#[tokio::test]
async fn a_server_that_dies_loses_the_calls_in_flight_and_its_successor_serves_the_same_channel() {
    let (ringer, mut rung) = Ringer::new();
    let script = stalling(ringer);
    let server = Server::start(testing::stack(script.service()), LONG).await;
    let (address, peer) = (server.address, server.peer());
    let mut stream = first_item(&peer).await;
    let mut client = peer.search();
    let unary = tokio::spawn(as_user(async move { client.search(query("hold")).await }));
    soon(rung.recv()).await.expect("in flight");

    server.kill().await;
    let status = soon(unary).await.expect("joined").expect_err("cut in the middle");
    assert_passing(&status, "CONNECTION_LOST");
    assert_passing(&soon(stream.message()).await.expect_err("cut in the middle"), "CONNECTION_LOST");
    soon(rung.recv()).await.expect("the dead server's handler was dropped");

    let status = soon(as_user(peer.search().search(query("q")))).await.expect_err("nobody there");
    assert_passing(&status, "UNREACHABLE");
    let _server = Server::start_at(address, testing::stack(script.service()), LONG).await;
    let answer = soon(as_user(peer.search().search(query("q")))).await.expect("it is back");
    assert_eq!(answer.into_inner().degraded_reason, "done");
}

#[tokio::test]
async fn a_drain_waits_for_the_call_in_flight() {
    let (ringer, mut rung) = Ringer::new();
    let (go, gate) = tokio::sync::watch::channel(false);
    let script = Script::new().on_search(move |_| {
        let (ringer, mut gate) = (ringer.clone(), gate.clone());
        async move {
            ringer.ring();
            gate.wait_for(|open| *open).await.map_err(|e| Status::internal(e.to_string()))?;
            Ok(found("finished"))
        }
    });
    let mut server = Server::start(testing::stack(script.service()), LONG).await;
    let peer = server.peer();
    let mut client = peer.search();
    let call = tokio::spawn(as_user(async move { client.search(query("q")).await }));
    soon(rung.recv()).await.expect("in flight");
    server.stop.cancel();

    // Nobody new gets in. Until the GOAWAY is here a call may still be taken, on the old connection.
    let fresh = server.peer();
    let status = soon(as_user(fresh.search().search(query("q")))).await.expect_err("closed");
    assert_passing(&status, "UNREACHABLE");
    let returned = tokio::time::timeout(Duration::from_millis(50), &mut server.task).await;
    assert!(returned.is_err(), "it waits for the call");
    go.send(true).expect("a handler waits");
    let answer = soon(call).await.expect("joined").expect("the call in flight ends well");
    assert_eq!(answer.into_inner().degraded_reason, "finished");
    soon(server.task).await.expect("listen returned");
}

#[tokio::test]
async fn a_stream_without_end_is_cut_at_the_drain_limit() {
    let (ringer, _rung) = Ringer::new();
    let stack = testing::stack(stalling(ringer).service());
    let server = Server::start(stack, Duration::from_millis(50)).await;
    let peer = server.peer();
    let mut stream = first_item(&peer).await;
    server.stop.cancel();
    soon(server.task).await.expect("listen returned");
    assert_passing(&soon(stream.message()).await.expect_err("cut"), "CONNECTION_LOST");
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_up_the_drain() {
    let (ringer, _rung) = Ringer::new();
    let server = Server::start(testing::stack(stalling(ringer).service()), LONG).await;
    let silent = tokio::net::TcpStream::connect(server.address).await.expect("connected");
    let peer = server.peer();
    soon(as_user(peer.search().search(query("q")))).await.expect("an answer, and an idle connection");
    server.stop.cancel();
    soon(server.task).await.expect("listen returned");
    drop(silent);
}

#[tokio::test]
async fn unread_streams_do_not_stall_the_other_calls_of_the_connection() {
    let script = Script::new().on_generate(|_| async {
        let items: Items<_> = Box::pin(produce(16, |sink| async move {
            while sink.send(delta("x".repeat(16 << 10))).await.is_ok() {}
            Ok(())
        }));
        Ok(Response::new(items))
    });
    let server = Server::start(testing::stack(script.service()), Duration::ZERO).await;
    let peer = server.peer();
    let mut unread = Vec::new();
    for _ in 0..3 {
        let request = StreamGenerateRequest::default();
        let mut stream =
            soon(as_user(peer.llm().stream_generate(request))).await.expect("a stream").into_inner();
        assert!(stream.message().await.expect("an item").is_some());
        unread.push(stream);
    }
    for _ in 0..300 {
        soon(as_user(peer.search().search(query("y".repeat(4 << 10))))).await.expect("not stalled");
    }
    for stream in &mut unread {
        for _ in 0..100 {
            assert!(soon(stream.message()).await.expect("goes on").is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_gone_silent_is_given_up() {
    // Accepts and says nothing ever: a cut cable, a frozen process. The call has no deadline, so only pings can tell.
    let listener = tokio::net::TcpListener::bind(any_port()).await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("a uri");
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let peer = Peer { channel: Channel::remote(NAME, uri, testing::metrics()), is_local: false };
    let status = soon(as_user(peer.search().search(query("q")))).await.expect_err("silence");
    assert_passing(&status, "CONNECTION_LOST");
    silent.abort();
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let (ringer, _rung) = Ringer::new();
    let options = TransportOptions { max_connections: 1, drain: LONG };
    let server = Server::start_with(any_port(), testing::stack(stalling(ringer).service()), options).await;
    let first = server.peer();
    soon(as_user(first.search().search(query("q")))).await.expect("the one connection");
    let mut second = server.peer().search();
    let mut waiting = tokio::spawn(as_user(async move { second.search(query("q")).await }));
    for _ in 0..20 {
        soon(as_user(first.search().search(query("q")))).await.expect("the one connection");
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished(), "nobody accepts it yet");
    drop(first);
    soon(&mut waiting).await.expect("joined").expect("its turn has come");
}
