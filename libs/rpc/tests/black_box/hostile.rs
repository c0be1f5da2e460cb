//! Whatever bytes come, the answer is a well-formed refusal or a right answer; nothing panics.
use bytes::{BufMut, Bytes, BytesMut};
use copydesk_rpc::{Channel, HttpService, Kind, ServiceError, Violations, paging, testing};
use copydesk_types::{Scopes, TenantId};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use prost_reflect::prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt;

use crate::script::{NAME, Script};
use crate::topology::{Peer, both, both_stacks, found, query, reason, tenant};

const SEARCH: &str = "/copydesk.retrieval.v1.SearchService/Search";

fn frame(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(body.len() as u32);
    frame.put_slice(&body);
    frame.freeze()
}

fn request(path: &str, headers: &[(&'static str, HeaderValue)], body: Bytes) -> Request<Body> {
    let mut request = Request::post(path).body(Body::new(Full::new(body))).expect("a request");
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    for (name, value) in headers {
        request.headers_mut().insert(HeaderName::from_static(name), value.clone());
    }
    request
}

/// The status that ends a raw call, from headers or trailers.
async fn outcome(service: HttpService, request: Request<Body>) -> Status {
    let Ok(response) = service.oneshot(request).await;
    let headers = response.headers().clone();
    let body = response.into_body().collect().await.expect("no broken body");
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&headers).or_else(|| Status::from_header_map(&trailers));
    status.expect("every answer ends with a status")
}

fn user() -> (&'static str, HeaderValue) {
    ("authorization", testing::user_token(tenant(), Scopes::all()))
}

fn header() -> impl Strategy<Value = HeaderValue> {
    proptest::collection::vec(any::<u8>(), 0..80)
        .prop_filter_map("bytes that a header can hold", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

/// Runs `check` for many headers against one stack.
fn for_any_header(
    near: &'static str,
    check: impl Fn(HeaderValue, Status) -> Result<(), TestCaseError>,
    name: &'static str,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let stack = testing::stack(Script::new().service());
    let values = prop_oneof![
        header(),
        proptest::string::string_regex(near)
            .expect("a pattern")
            .prop_map(|text| { HeaderValue::from_str(&text).expect("a text of header characters") })
    ];
    proptest!(ProptestConfig::with_cases(400), |(value in values)| {
        let headers = if name == "authorization" { vec![(name, value.clone())] } else { vec![user(), (name, value.clone())] };
        let call = outcome(stack.clone(), request(SEARCH, &headers, frame(&query("q"))));
        check(value, runtime.block_on(call))?;
    });
}

#[test]
fn any_authorization_is_answered() {
    let near = "(?i)bearer [A-Za-z0-9_-]{0,40}[.]{0,3}[A-Za-z0-9_-]{0,40}";
    for_any_header(
        near,
        |value, status| {
            prop_assert_eq!(status.code(), Code::Unauthenticated, "{:?}", value);
            prop_assert!(["NO_CREDENTIAL", "BAD_CREDENTIAL"].contains(&reason(&status).as_str()));
            Ok(())
        },
        "authorization",
    );
}

#[test]
fn any_timeout_is_answered() {
    let near = "[+-]?[0-9]{0,10}[HMSmunx]?";
    for_any_header(
        near,
        |value, status| {
            prop_assert!(
                matches!(status.code(), Code::Ok | Code::DeadlineExceeded),
                "{:?} {:?}",
                value,
                status
            );
            Ok(())
        },
        "grpc-timeout",
    );
}

#[tokio::test]
async fn a_timeout_of_nothing_is_over() {
    let stack = testing::stack(Script::new().service());
    for (value, code) in [("0S", Code::DeadlineExceeded), ("0n", Code::DeadlineExceeded), ("+5S", Code::Ok)] {
        let headers = [user(), ("grpc-timeout", HeaderValue::from_static(value))];
        let status = outcome(stack.clone(), request(SEARCH, &headers, frame(&query("q")))).await;
        assert_eq!(status.code(), code, "{value}");
    }
}

#[test]
fn any_traceparent_is_answered() {
    let near = "0[0-9a-f]-[0-9a-f]{30,34}-[0-9a-f]{14,18}-[0-9a-f]{1,3}";
    for_any_header(
        near,
        |value, status| {
            prop_assert_eq!(status.code(), Code::Ok, "{:?}", value);
            Ok(())
        },
        "traceparent",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_page_token_is_read_or_refused(token in "\\PC{0,60}", filter in ".{0,20}", cursor in ".{0,40}") {
        let owner = TenantId::from_u128(1);
        let mut violations = Violations::new();
        let read = paging::decode(owner, &filter, &token, &mut violations);
        // Nobody guesses a seal: a token is read when it is empty and refused otherwise.
        prop_assert_eq!(read, None);
        prop_assert_eq!(violations.is_empty(), token.is_empty());

        let own = paging::encode(owner, &filter, &cursor);
        let mut violations = Violations::new();
        prop_assert_eq!(paging::decode(owner, &filter, &own, &mut violations), Some(cursor));
        prop_assert!(violations.is_empty());
    }

    #[test]
    fn any_error_fits_and_keeps_its_code(
        reason in "\\PC{0,300}",
        message in "\\PC{0,3000}",
        values in proptest::collection::vec("\\PC{0,600}", 0..40),
    ) {
        let error = ServiceError::new(Kind::Aborted, reason, message).with_metadata("key", values.join(""));
        let status: Status = error.into();
        let mut headers = http::HeaderMap::new();
        prop_assert!(status.add_header(&mut headers).is_ok());
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        prop_assert!(bytes < 8 << 10, "{} bytes", bytes);
    }
}

#[tokio::test]
async fn any_body_is_answered() {
    let stack = testing::stack(Script::new().service());
    let whole = frame(&query("some words"));
    let mut bodies: Vec<Bytes> = (0..whole.len()).map(|end| whole.slice(..end)).collect();
    bodies.push(Bytes::from_static(&[1, 0, 0, 0, 0]));
    bodies.push(Bytes::from_static(&[0, 255, 255, 255, 255, 1]));
    bodies.push(Bytes::from_static(&[0, 0, 0, 0, 3, 255, 255, 255]));
    bodies.push(Bytes::from_static(&[9; 40]));
    for body in bodies {
        let status = outcome(stack.clone(), request(SEARCH, &[user()], body.clone())).await;
        assert_ne!(status.code(), Code::Ok, "{body:?}");
        assert_ne!(status.message(), "internal error", "{body:?} panicked");
    }
}

#[tokio::test]
async fn unknown_methods_are_unimplemented_before_anybody_is_asked_for_a_credential() {
    both(&Script::new(), async |peer: Peer| {
        for path in
            ["/copydesk.retrieval.v1.SearchService/Nope", "/no.such.Service/At", "/", "/x/../y", "/a//b"]
        {
            let service: HttpService = tower::util::BoxCloneSyncService::new(peer.channel.clone());
            let status = outcome(service, request(path, &[], frame(&query("q")))).await;
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::Unimplemented, "NO_METHOD"),
                "{path}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_method_with_a_rule_and_no_handler_is_unimplemented() {
    both_stacks(
        || {
            testing::stack(copydesk_rpc::Service::new(
                NAME,
                tonic::service::Routes::default(),
                vec![],
                copydesk_proto::FILE_DESCRIPTOR_SET,
            ))
        },
        async |peer: Peer| {
            let status =
                crate::topology::as_user(peer.search().search(query("q"))).await.expect_err("not served");
            assert_eq!(status.code(), Code::Unimplemented);
        },
    )
    .await;
}

#[tokio::test]
async fn a_broken_peer_is_a_status_and_not_a_panic() {
    // A peer that is no gRPC server: it answers anything with bytes of its own.
    let answers = ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "", "\0\0\0\0\0\0"];
    for answer in answers {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("a uri");
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
            }
        });
        let peer = Peer { channel: Channel::remote(NAME, uri, testing::metrics()), is_local: false };
        let call = async { peer.search().search(query("q")).await };
        let status =
            crate::topology::soon(crate::topology::as_user(call)).await.expect_err("no server of ours");
        assert_eq!(status.code(), Code::Unavailable, "{answer:?}: {status:?}");
        server.abort();
    }
}

#[tokio::test]
async fn a_peer_that_answers_in_plain_http_is_not_taken_for_an_answer() {
    for code in [200, 404, 429, 431, 500, 503] {
        let plain = tower::service_fn(move |_: Request<Body>| async move {
            let response = http::Response::builder().status(code).body(Body::empty());
            Ok::<_, std::convert::Infallible>(response.expect("a response"))
        });
        let channel = Channel::local(NAME, HttpService::new(plain), testing::metrics());
        let peer = Peer { channel, is_local: true };
        let status = peer.search().search(query("q")).await.expect_err("no gRPC status");
        let expected = match code {
            431 => Code::ResourceExhausted,
            _ => Code::Unavailable,
        };
        assert_eq!(status.code(), expected, "{code}: {status:?}");
    }
}

#[tokio::test]
async fn an_answer_is_what_the_handler_said() {
    let script = Script::new().on_search(|request| async move { Ok(found(request.into_inner().query)) });
    both(&script, async |peer: Peer| {
        let answer =
            crate::topology::as_user(peer.search().search(query("ünïcödé\0"))).await.expect("an answer");
        assert_eq!(answer.into_inner().degraded_reason, "ünïcödé\0");
    })
    .await;
}
