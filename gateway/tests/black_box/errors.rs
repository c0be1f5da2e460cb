//! What a peer says when it cannot: passed on to the letter. What the door says when the peer says nothing.
use std::net::SocketAddr;

use bytes::Bytes;
use copydesk_gateway::Config;
use copydesk_proto::llm_router::v1::stream_generate_response::Event;
use copydesk_proto::llm_router::v1::{Delta, StreamGenerateRequest, StreamGenerateResponse};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::door::{Door, Identity, Listener, Wiring, every_wiring, four, query, reason, soon, store, why};
use crate::script::{Items, Script};

const CODES: std::ops::RangeInclusive<i32> = 1..=16;

/// An error with all that a status can carry; the details are bytes that no hop of ours understands.
fn elaborate(code: i32) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-why", MetadataValue::from_static("because"));
    metadata.insert_bin("x-proof-bin", MetadataValue::from_bytes(&[0, 255, 10]));
    let details: Vec<u8> = (0..2_000u32).map(|n| (n.wrapping_mul(40_503) >> 7) as u8).collect();
    let message = format!("100 % “wrong”\nby {code}, naïvely");
    Status::with_details_and_metadata(Code::from_i32(code), message, Bytes::from(details), metadata)
}

fn assert_same(got: &Status, code: i32, place: &str) {
    let sent = elaborate(code);
    assert_eq!((got.code(), got.message()), (sent.code(), sent.message()), "{place}");
    assert!(got.details() == sent.details(), "{place}: the details of {code} changed");
    assert_eq!(got.metadata().get("x-why"), sent.metadata().get("x-why"), "{place}");
    assert_eq!(got.metadata().get_bin("x-proof-bin"), sent.metadata().get_bin("x-proof-bin"), "{place}");
}

fn delta(text: &str) -> StreamGenerateResponse {
    StreamGenerateResponse { event: Some(Event::Delta(Delta { text: text.to_owned() })) }
}

#[tokio::test]
async fn a_peers_error_arrives_to_the_letter() {
    every_wiring(async |wiring| {
        let script = Script::new()
            .on_search(async |request| Err(elaborate(request.into_inner().query.parse().expect("a code"))));
        let identity = Identity::new();
        let door = Door::open(wiring, &identity, identity.stack(&script)).await;
        for code in CODES {
            let status =
                door.enter(door.search().search(query(code.to_string()))).await.expect_err("an error");
            assert_same(&status, code, &format!("{wiring:?}"));
        }
    })
    .await;
}

#[tokio::test]
async fn so_does_one_in_the_middle_of_a_stream() {
    every_wiring(async |wiring| {
        let script = Script::new().on_stream(async |_| {
            let items = vec![Ok(delta("one")), Ok(delta("two")), Err(elaborate(8))];
            Ok(Response::new(Box::pin(tokio_stream::iter(items)) as Items<_>))
        });
        let identity = Identity::new();
        let door = Door::open(wiring, &identity, identity.stack(&script)).await;
        let stream = door.enter(door.llm().stream_generate(StreamGenerateRequest::default())).await;
        let mut stream = stream.expect("a stream").into_inner();
        for text in ["one", "two"] {
            assert_eq!(stream.message().await.expect("an item"), Some(delta(text)), "{wiring:?}");
        }
        assert_same(&stream.message().await.expect_err("an error"), 8, &format!("{wiring:?}"));
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_a_peer_is_an_internal_error_and_no_more() {
    every_wiring(async |wiring| {
        let script = Script::new().on_search(async |request| {
            assert_ne!(request.into_inner().query, "boom", "a panic on purpose");
            Ok(Response::new(Default::default()))
        });
        let identity = Identity::new();
        let door = Door::open(wiring, &identity, identity.stack(&script)).await;
        let status = door.enter(door.search().search(query("boom"))).await.expect_err("an error");
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"), "{wiring:?}");
        door.search_with(&door.secret).await.expect("the next call is fine");
    })
    .await;
}

/// Somewhere to start a peer: the port comes from the system, and stays free after the peer is gone.
fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn door_to(identity: &Identity, peer: &Listener) -> Door {
    let (config, stop) = (Config::default(), CancellationToken::new());
    Door::over(Wiring::Up, identity, four(&peer.channel()), config, store().await, stop).await
}

#[tokio::test]
async fn a_peer_that_is_gone_is_unavailable_until_it_is_back() {
    let identity = Identity::new();
    let script = Script::new();
    let peer = Listener::start(any_port(), identity.stack(&script)).await;
    let address = peer.address;
    let door = door_to(&identity, &peer).await;
    soon(door.search_with(&door.secret)).await.expect("it is there");

    peer.kill().await;
    let status = soon(door.search_with(&door.secret)).await.expect_err("it is gone");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(["UNREACHABLE", "CONNECTION_LOST"].contains(&reason(&status).as_str()), "{status:?}");
    let details = status.get_error_details();
    let delay = details.retry_info().and_then(|info| info.retry_delay).expect("a time to come back");
    assert!(!delay.is_zero() && delay.as_secs() < 5, "{delay:?}");
    assert_eq!(
        why(soon(door.search_with(&door.secret)).await),
        (Code::Unavailable, "UNREACHABLE".to_owned())
    );
    soon(door.enter(door.keys().list_keys(copydesk_proto::gateway::v1::ListKeysRequest::default())))
        .await
        .expect("the door itself still works");

    let _back = Listener::start(address, identity.stack(&script)).await;
    soon(door.search_with(&door.secret)).await.expect("it is back, at the first call");
}

#[tokio::test]
async fn a_stream_whose_peer_dies_ends_as_unavailable() {
    let identity = Identity::new();
    let script = Script::new().on_stream(async |_| {
        let items = tokio_stream::iter([Ok(delta("one"))]).chain(futures_util::stream::pending());
        Ok(Response::new(Box::pin(items) as Items<_>))
    });
    let peer = Listener::start(any_port(), identity.stack(&script)).await;
    let door = door_to(&identity, &peer).await;
    let stream = soon(door.enter(door.llm().stream_generate(StreamGenerateRequest::default()))).await;
    let mut stream = stream.expect("a stream").into_inner();
    assert_eq!(soon(stream.message()).await.expect("an item"), Some(delta("one")));
    peer.kill().await;
    let last = soon(stream.message()).await;
    assert_eq!(why(last), (Code::Unavailable, "CONNECTION_LOST".to_owned()));
}
