//! A peer that is nothing but HTTP, and calls that are nothing but HTTP: what the typed ends would hide.
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use copydesk_rpc::{Channel, HttpService};
use futures_util::{Stream, StreamExt};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tonic::Status;
use tonic::body::Body;
use tower::{ServiceExt, service_fn};

use crate::door::bearer;

/// What a peer was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The calls that a spy saw.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<Sent>>>);

impl Calls {
    /// The last one; forgets it.
    pub fn pop(&self) -> Sent {
        self.0.lock().expect("lock").pop().expect("a call")
    }

    pub fn count(&self) -> usize {
        self.0.lock().expect("lock").len()
    }
}

/// Answers by hand.
pub fn peer<F, Fut>(answer: F) -> HttpService
where
    F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    HttpService::new(service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    }))
}

/// Reads every call to its end and answers what `answer` makes of it.
pub fn spy<F>(answer: F) -> (HttpService, Calls)
where
    F: Fn(&Sent) -> Response<Body> + Clone + Send + Sync + 'static,
{
    let calls = Calls::default();
    let seen = calls.clone();
    let service = peer(move |request| {
        let (seen, answer) = (seen.clone(), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            let sent = Sent { path: parts.uri.path().to_owned(), headers: parts.headers, body };
            let answer = answer(&sent);
            seen.0.lock().expect("lock").push(sent);
            answer
        }
    });
    (service, calls)
}

/// An answer of these data frames and trailers.
pub fn answer(frames: Vec<Bytes>, trailers: HeaderMap) -> Response<Body> {
    let data = frames.into_iter().map(Frame::data);
    let all = data.chain([Frame::trailers(trailers)]).map(Ok::<_, Status>).collect::<Vec<_>>();
    grpc(streamed(tokio_stream::iter(all)))
}

/// An answer with status OK and nothing in it.
pub fn empty() -> Response<Body> {
    answer(Vec::new(), ok_trailers())
}

pub fn grpc(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

pub fn ok_trailers() -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))])
}

pub fn streamed(frames: impl Stream<Item = Result<Frame<Bytes>, Status>> + Send + 'static) -> Body {
    Body::new(StreamBody::new(frames))
}

/// A body of these pieces.
pub fn pieces(pieces: Vec<Bytes>) -> Body {
    streamed(tokio_stream::iter(pieces).map(|piece| Ok(Frame::data(piece))))
}

/// A call to this path with this key.
pub fn call(path: &str, secret: &str, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().expect("a path");
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    request.headers_mut().insert(AUTHORIZATION, bearer(secret));
    request
}

/// What came back.
pub struct Answer {
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

/// Sends a call and reads the answer to its end.
pub async fn send(channel: &Channel, request: Request<Body>) -> Answer {
    let response = match channel.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body");
    let trailers = body.trailers().cloned().unwrap_or_default();
    Answer { headers: parts.headers, body: body.to_bytes(), trailers }
}

/// A gRPC message on the wire.
pub fn message(compressed: u8, payload: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(compressed);
    framed.put_u32(payload.len() as u32);
    framed.put_slice(payload);
    framed.freeze()
}
