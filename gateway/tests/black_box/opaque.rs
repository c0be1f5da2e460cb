//! What goes through the door as it is: bodies in all four forms, metadata, any path to its peer.
use bytes::Bytes;
use copydesk_gateway::{Config, Peers};
use copydesk_proto::llm_router::v1::stream_generate_response::Event;
use copydesk_proto::llm_router::v1::{Delta, GenerateRequest, StreamGenerateRequest, StreamGenerateResponse};
use copydesk_proto::retrieval::v1::ingest_request::Part;
use copydesk_proto::retrieval::v1::{IngestRequest, IngestResponse, Ingestion};
use copydesk_rpc::{Channel, testing};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream};
use prost::Message;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Response};
use tower::ServiceExt;

use crate::door::{Door, Identity, Wiring, every_wiring, found, query, reason, store, why, with_key};
use crate::script::{Items, Script};
use crate::spy::{self, answer, message, ok_trailers, pieces, send, spy};

const SEARCH: &str = "/copydesk.retrieval.v1.SearchService/Search";
const INGEST: &str = "/copydesk.retrieval.v1.IngestionService/Ingest";
const STREAM: &str = "/copydesk.llm_router.v1.LlmService/StreamGenerate";
const LARGE: usize = 3 << 20;

/// Messages that a decoding hop would change or refuse: unknown fields, a compressed flag, garbage, nothing.
fn odd_messages() -> Vec<Bytes> {
    let mut unknown = query("what is kept?").encode_to_vec();
    prost::encoding::string::encode(19_999, &"from the future".to_owned(), &mut unknown);
    let garbage: Vec<u8> = (0..70_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        message(0, &unknown),
        message(1, &garbage),
        message(0, &[]),
        message(1, b"\xff\xff\xff"),
        message(7, b"?"),
    ]
}

/// The same bytes, cut where no message ends.
fn cut(messages: &[Bytes]) -> Vec<Bytes> {
    let whole = messages.concat();
    let (head, rest) = whole.split_at(7);
    let mut cuts: Vec<_> = head.chunks(1).map(Bytes::copy_from_slice).collect();
    cuts.extend(rest.chunks(9_973).map(Bytes::copy_from_slice));
    cuts
}

fn tail() -> HeaderMap {
    let mut trailers = ok_trailers();
    trailers.insert("x-tail", HeaderValue::from_static("kept"));
    trailers.insert("x-tail-bin", HeaderValue::from_static("AAECAw"));
    trailers
}

#[tokio::test]
async fn bodies_arrive_byte_for_byte_in_both_directions() {
    every_wiring(async |wiring| {
        let (peer, calls) = spy(|_| {
            let mut response = answer(cut(&odd_messages()), tail());
            response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
            response.headers_mut().insert("x-head", HeaderValue::from_static("kept"));
            response
        });
        let door = Door::open(wiring, &Identity::new(), peer).await;
        for path in [SEARCH, INGEST, STREAM] {
            let mut request = spy::call(path, &door.secret, pieces(cut(&odd_messages())));
            request.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
            request.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("zstd,gzip"));
            let got = send(&door.channel, request).await;
            let sent = calls.pop();
            assert_eq!(sent.path, path);
            assert!(sent.body == odd_messages().concat(), "{wiring:?} {path}: the request changed");
            assert_eq!(
                (&sent.headers["grpc-encoding"], &sent.headers["grpc-accept-encoding"]),
                (&HeaderValue::from_static("gzip"), &HeaderValue::from_static("zstd,gzip"),)
            );
            assert!(got.body == odd_messages().concat(), "{wiring:?} {path}: the answer changed");
            assert_eq!(
                (&got.headers["grpc-encoding"], &got.headers["x-head"]),
                (&HeaderValue::from_static("gzip"), &HeaderValue::from_static("kept"),)
            );
            assert_eq!(got.trailers, tail(), "{wiring:?} {path}");
        }
    })
    .await;
}

/// No contract has a method that streams both ways; the door passes frames both ways whatever the rule says.
#[tokio::test]
async fn neither_direction_waits_for_the_other_to_end() {
    every_wiring(async |wiring| {
        let peer = spy::peer(async |request| {
            let end = futures_util::stream::once(async { Ok(Frame::trailers(tail())) });
            spy::grpc(spy::streamed(BodyStream::new(request.into_body()).chain(end)))
        });
        let door = Door::open(wiring, &Identity::new(), peer).await;
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let body = spy::streamed(UnboundedReceiverStream::new(receiver).map(|data| Ok(Frame::data(data))));
        let request = spy::call(STREAM, &door.secret, body);
        let mut echo = door.channel.clone().oneshot(request).await.expect("an answer").into_body();
        for round in 0..50u8 {
            let sent = message(round % 2, &vec![round; 1 + usize::from(round) * 100]);
            sender.send(sent.clone()).expect("the call goes on");
            let mut got = Vec::new();
            while got.len() < sent.len() {
                let frame = echo.frame().await.expect("not the end").expect("no error");
                got.extend_from_slice(frame.data_ref().expect("data"));
            }
            assert!(got == sent, "{wiring:?}: round {round}");
        }
        drop(sender);
        let last = echo.frame().await.expect("not the end").expect("no error");
        assert_eq!(last.into_trailers().expect("trailers"), tail(), "{wiring:?}");
    })
    .await;
}

#[tokio::test]
async fn metadata_passes_but_for_credentials_and_the_connections_own() {
    every_wiring(async |wiring| {
        let (peer, calls) = spy(|_| spy::empty());
        let door = Door::open(wiring, &Identity::new(), peer).await;
        let mut request = spy::call(SEARCH, &door.secret, Body::default());
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-mine", "one"),
            ("x-mine", "two"),
            ("x-mine-bin", "AAECAw"),
            ("user-agent", "a-client/1"),
            ("authorization", "Basic eDp5"),
            ("cookie", "session=1"),
            ("proxy-authorization", "Basic eDp5"),
            ("traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"),
            ("tracestate", "a=b"),
            ("x-copydesk-tenant", "ten_00000000000000000000000001"),
            ("x-copydesk-principal-bin", "AAECAw"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        if wiring == Wiring::InProcess {
            // Over HTTP/2 a client cannot send these.
            headers.append("connection", HeaderValue::from_static("close, x-hop"));
            headers.append("x-hop", HeaderValue::from_static("1"));
            headers.append("host", HeaderValue::from_static("elsewhere"));
        }
        for (name, value) in &headers {
            request.headers_mut().append(name, value.clone());
        }
        send(&door.channel, request).await;
        let seen = calls.pop().headers;
        let all = |name: &str| {
            seen.get_all(name).iter().map(|v| v.to_str().unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(all("x-mine"), ["one", "two"], "{wiring:?}");
        assert_eq!(all("x-mine-bin"), ["AAECAw"], "{wiring:?}");
        assert_eq!(
            all("user-agent").first().map(|agent| agent.contains("a-client/1")),
            Some(true),
            "{wiring:?}"
        );
        assert_eq!(all("te"), ["trailers"], "{wiring:?}");
        for gone in [
            "cookie",
            "proxy-authorization",
            "connection",
            "x-hop",
            "host",
            "x-copydesk-tenant",
            "x-copydesk-principal-bin",
        ] {
            assert_eq!(all(gone), [""; 0], "{wiring:?}: {gone}");
        }
        // No span is recorded here: a trace could only be the client's.
        assert_eq!((all("traceparent").len(), all("tracestate").len()), (0, 0), "{wiring:?}");
        let authorization = all("authorization");
        assert_eq!(authorization.len(), 1, "{wiring:?}");
        assert!(
            !authorization[0].contains(&door.secret) && !authorization[0].contains("Basic"),
            "{wiring:?}"
        );
        let everything = format!(
            "{:?}",
            seen.values().map(HeaderValue::as_bytes).map(String::from_utf8_lossy).collect::<Vec<_>>()
        );
        assert!(!everything.contains(&door.secret), "{wiring:?}: the key went on");
    })
    .await;
}

#[tokio::test]
async fn every_package_has_its_peer() {
    let identity = Identity::new();
    let named = |name: &'static str| {
        let (peer, _) = spy(move |_| {
            let mut response = spy::empty();
            response.headers_mut().insert("x-peer", HeaderValue::from_static(name));
            response
        });
        Channel::local(name, peer, testing::metrics())
    };
    let peers = Peers {
        llm_router: named("llm_router"),
        retrieval: named("retrieval"),
        learning: named("learning"),
        agent_orchestrator: named("agent_orchestrator"),
    };
    let (config, stop) = (Config::default(), CancellationToken::new());
    let door = Door::over(Wiring::InProcess, &identity, peers, config, store().await, stop).await;
    let paths = [
        (SEARCH, "retrieval"),
        (STREAM, "llm_router"),
        ("/copydesk.llm_router.v1.UsageService/ListUsage", "llm_router"),
        ("/copydesk.learning.v1.BrandService/ListBrands", "learning"),
        ("/copydesk.agent_orchestrator.v1.RunService/GetRun", "agent_orchestrator"),
    ];
    for (path, peer) in paths {
        let got = send(&door.channel, spy::call(path, &door.secret, Body::default())).await;
        assert_eq!(got.headers.get("x-peer").and_then(|v| v.to_str().ok()), Some(peer), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_public_is_not_there() {
    every_wiring(async |wiring| {
        let (peer, calls) = spy(|_| spy::empty());
        let door = Door::open(wiring, &Identity::new(), peer).await;
        let paths = [
            "/copydesk.learning.v1.OutcomeService/RecordOutcome",
            "/copydesk.retrieval.v1.SearchService/NoSuchMethod",
            "/copydesk.retrieval.v2.SearchService/Search",
            "/copydesk.retrieval.v1.SearchService/search",
            "/copydesk.retrieval.v1.SearchService/Search/",
            "/copydesk.elsewhere.v1.SearchService/Search",
            "/copydesk.",
            "/grpc.testing.TestService/UnaryCall",
            "/",
        ];
        for path in paths {
            let got = send(&door.channel, spy::call(path, &door.secret, Body::default())).await;
            let status = tonic::Status::from_header_map(&got.headers).expect("a status");
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::Unimplemented, "NO_METHOD"),
                "{path}"
            );
        }
        assert_eq!(calls.count(), 0, "{wiring:?}: no peer was asked");
    })
    .await;
}

#[tokio::test]
async fn large_messages_pass_in_all_forms() {
    every_wiring(async |wiring| {
        let script = Script::new()
            .on_search(async |request| Ok(found(request.into_inner().query)))
            .on_ingest(async |request| {
                let (mut stream, mut total) = (request.into_inner(), 0usize);
                while let Some(part) = stream.message().await? {
                    if let Some(Part::Content(bytes)) = part.part {
                        total += bytes.len();
                    }
                }
                let ingestion = Ingestion { ingestion_id: total.to_string(), ..Ingestion::default() };
                Ok(Response::new(IngestResponse { ingestion: Some(ingestion) }))
            })
            .on_stream(async |_| {
                let delta =
                    |n: u8| Event::Delta(Delta { text: char::from(b'a' + n).to_string().repeat(LARGE) });
                let items = (0..3).map(move |n| Ok(StreamGenerateResponse { event: Some(delta(n)) }));
                Ok(Response::new(Box::pin(tokio_stream::iter(items)) as Items<_>))
            });
        let identity = Identity::new();
        let door = Door::open(wiring, &identity, identity.stack(&script)).await;

        let text = "é".repeat(LARGE / 2);
        let answer = door.enter(door.search().search(query(text.clone()))).await.expect("an answer");
        assert!(answer.into_inner().degraded_reason == text, "{wiring:?}");

        let part = IngestRequest { part: Some(Part::Content(Bytes::from(vec![7; LARGE]))) };
        let upload = tokio_stream::iter(vec![part; 4]);
        let answer = door.enter(door.ingestion().ingest(upload)).await.expect("an answer").into_inner();
        assert_eq!(answer.ingestion.map(|i| i.ingestion_id), Some((4 * LARGE).to_string()), "{wiring:?}");

        let stream = door.enter(door.llm().stream_generate(StreamGenerateRequest::default())).await;
        let mut stream = stream.expect("a stream").into_inner();
        let mut letters = String::new();
        while let Some(item) = stream.message().await.expect("an item") {
            let Some(Event::Delta(delta)) = item.event else { panic!("{wiring:?}: another event") };
            assert_eq!(delta.text.len(), LARGE, "{wiring:?}");
            letters.extend(delta.text.chars().next());
        }
        assert_eq!(letters, "abc", "{wiring:?}");

        // Over the receiver's limit it is the receiver who says so: the door has none of its own.
        let status =
            door.enter(door.search().search(query("x".repeat(5 << 20)))).await.expect_err("too large");
        assert_eq!(status.code(), Code::ResourceExhausted, "{wiring:?}: {status:?}");
    })
    .await;
}

#[tokio::test]
async fn without_the_scope_no_peer_is_asked() {
    every_wiring(async |wiring| {
        let (peer, calls) = spy(|_| spy::empty());
        let door = Door::open(wiring, &Identity::new(), peer).await;
        let (_, secret) = door.make_key("a reader", &["knowledge:read"]).await;
        let refused = with_key(&secret, door.llm().generate(GenerateRequest::default())).await;
        assert_eq!(why(refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()), "{wiring:?}");
        for nobody in ["cdk_nobody", "nonsense", ""] {
            let refused = door.search_with(nobody).await;
            assert_eq!(why(refused), (Code::Unauthenticated, "BAD_CREDENTIAL".to_owned()), "{wiring:?}");
        }
        let refused = door.search().search(query("q")).await;
        assert_eq!(why(refused), (Code::Unauthenticated, "NO_CREDENTIAL".to_owned()), "{wiring:?}");
        assert_eq!(calls.count(), 0, "{wiring:?}");
    })
    .await;
}
