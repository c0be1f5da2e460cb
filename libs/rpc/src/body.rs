//! What follows a response to its last byte: a deadline, a permit, a measurement, a caught panic.
//!
//! A guard around the response future alone would stop at the first byte of a stream; this one wraps the body.
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::error::{MAX_MESSAGE, clip};
use crate::metrics::CallRecord;
use crate::{Kind, ServiceError};

/// Message and details of a status, encoded: what every language takes, with room for the other trailers.
const MAX_STATUS: usize = 7 << 10;

/// What to hold or enforce until the body ends.
#[derive(Default)]
pub(crate) struct Guards {
    /// The stream ends with DEADLINE_EXCEEDED at this time.
    pub(crate) deadline: Option<Instant>,
    /// The stream ends with DEADLINE_EXCEEDED after this long without a message.
    pub(crate) idle: Option<Duration>,
    /// Ends with the call's code.
    pub(crate) record: Option<CallRecord>,
    /// Dropped when the body ends.
    pub(crate) permit: Option<Box<dyn Any + Send>>,
    /// Reads a broken transport as a status; `None` is a body that ends without one.
    pub(crate) classify: Option<fn(Option<Status>) -> Status>,
}

pin_project! {
    struct Guarded {
        #[pin]
        inner: Body,
        // Set for the earliest end there can be. A message does not move it, which would cost more than a look at the
        // clock when it rings.
        timer: Option<Pin<Box<Sleep>>>,
        // When the latest message passed.
        moved: Instant,
        guards: Guards,
        // The status came in the headers: none is expected at the end.
        answered: bool,
        ended: bool,
    }
}

/// Wraps the body of `response`. A response that is already complete is recorded at once.
pub(crate) fn guard(response: Response<Body>, mut guards: Guards) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    fit(&mut parts.headers);
    let code = header_code(&parts.headers);
    if let (Some(code), Some(record)) = (code, &mut guards.record) {
        record.end(code);
    }
    let moved = Instant::now();
    let timer = guards.alarm(moved).map(|at| Box::pin(tokio::time::sleep_until(at)));
    let guarded = Guarded { inner: body, timer, moved, guards, answered: code.is_some(), ended: false };
    Response::from_parts(parts, Body::new(guarded))
}

impl Guards {
    /// When the stream ends if nothing more passes after `moved`.
    fn alarm(&self, moved: Instant) -> Option<Instant> {
        self.deadline.into_iter().chain(self.idle.map(|idle| moved + idle)).min()
    }

    /// The end that a ringing timer means; `None` when a message came after it was set, and it is set anew.
    fn rung(&self, moved: Instant, timer: Pin<&mut Sleep>) -> Option<Status> {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Some(deadline_exceeded());
        }
        match self.alarm(moved) {
            Some(later) if later > now => {
                timer.reset(later);
                None
            }
            _ => Some(idle_too_long()),
        }
    }
}

/// The gRPC code in headers or trailers, when there is one.
pub(crate) fn header_code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

/// Cuts a status that would outgrow the headers of the peer. Ours never do; a handler may pass one on that does.
fn fit(headers: &mut HeaderMap) {
    let length = |name: &str| headers.get(name).map_or(0, |value| value.len());
    if length("grpc-message") + length("grpc-status-details-bin") <= MAX_STATUS {
        return;
    }
    if let Some(status) = Status::from_header_map(headers) {
        headers.remove("grpc-message");
        headers.remove("grpc-status-details-bin");
        headers.extend(trailers(&Status::new(status.code(), clip(status.message(), MAX_MESSAGE))));
    }
}

/// A status as the trailers that end a stream.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        headers.clear();
        headers.insert("grpc-status", http::HeaderValue::from(status.code() as i32));
    }
    headers
}

/// The status of a call whose time is over.
pub(crate) fn deadline_exceeded() -> Status {
    ServiceError::new(
        Kind::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the deadline passed before the call ended",
    )
    .to_status()
}

pub(crate) fn idle_too_long() -> Status {
    ServiceError::new(Kind::DeadlineExceeded, "STREAM_IDLE", "the stream was silent for too long").to_status()
}

/// The status of a call that panicked; the payload goes to the log by the panic hook, never to the caller.
pub(crate) fn panicked() -> Status {
    tracing::error!("a handler panicked");
    ServiceError::new(Kind::Internal, "INTERNAL", "internal error").to_status()
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let inner = this.inner.as_mut();
        let status = match catch_unwind(AssertUnwindSafe(|| inner.poll_frame(cx))) {
            Err(_) => panicked(),
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                *this.moved = Instant::now();
                return Poll::Ready(Some(Ok(pass(frame, this.guards, this.ended))));
            }
            Ok(Poll::Ready(Some(Err(status)))) => match this.guards.classify {
                Some(classify) => classify(Some(status)),
                None => status,
            },
            // The end without trailers: the code was in the headers, or the stream was cut.
            Ok(Poll::Ready(None)) => match this.guards.classify {
                Some(classify) if !*this.answered => classify(None),
                _ => {
                    finish(this.guards, this.ended, Code::Unknown);
                    return Poll::Ready(None);
                }
            },
            Ok(Poll::Pending) => {
                let Some(timer) = this.timer.as_mut() else { return Poll::Pending };
                loop {
                    ready!(timer.as_mut().poll(cx));
                    if let Some(end) = this.guards.rung(*this.moved, timer.as_mut()) {
                        break end;
                    }
                }
            }
        };
        finish(this.guards, this.ended, status.code());
        this.inner.set(Body::empty());
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.inner.is_end_stream() && (self.answered || self.guards.classify.is_none()))
    }
}

/// A frame on its way: trailers end the call.
fn pass(frame: Frame<Bytes>, guards: &mut Guards, ended: &mut bool) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut end) => {
            fit(&mut end);
            finish(guards, ended, header_code(&end).unwrap_or(Code::Unknown));
            Frame::trailers(end)
        }
        Err(frame) => frame,
    }
}

fn finish(guards: &mut Guards, ended: &mut bool, code: Code) {
    *ended = true;
    if let Some(mut record) = guards.record.take() {
        record.end(code);
    }
    guards.permit = None;
}
