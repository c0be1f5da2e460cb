//! What follows a response to its last byte: a deadline, a permit, a measurement, a caught panic.
//!
//! A guard around the response future alone would stop at the first byte of a stream; this one wraps the body.
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::metrics::CallRecord;
use crate::{Kind, ServiceError};

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
    /// Reads a broken transport as a status.
    pub(crate) classify: Option<fn(Status) -> Status>,
}

pin_project! {
    struct Guarded {
        #[pin]
        inner: Body,
        timer: Option<Pin<Box<Sleep>>>,
        guards: Guards,
        ended: bool,
    }
}

/// Wraps the body of `response`. A response that is already complete is recorded at once.
pub(crate) fn guard(response: Response<Body>, mut guards: Guards) -> Response<Body> {
    let (parts, body) = response.into_parts();
    if let Some(code) = header_code(&parts.headers) {
        if let Some(record) = &mut guards.record {
            record.end(code);
        }
    }
    let next = next_alarm(&guards);
    let timer = next.map(|at| Box::pin(tokio::time::sleep_until(at)));
    Response::from_parts(parts, Body::new(Guarded { inner: body, timer, guards, ended: false }))
}

fn next_alarm(guards: &Guards) -> Option<Instant> {
    let idle = guards.idle.map(|idle| Instant::now() + idle);
    match (guards.deadline, idle) {
        (Some(deadline), Some(idle)) => Some(deadline.min(idle)),
        (deadline, idle) => deadline.or(idle),
    }
}

/// The gRPC code in headers or trailers, when there is one.
pub(crate) fn header_code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
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

fn idle_too_long() -> Status {
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
        let polled = catch_unwind(AssertUnwindSafe(|| inner.poll_frame(cx)));
        let status = match polled {
            Err(_) => panicked(),
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                match frame.trailers_ref().map(|t| header_code(t).unwrap_or(Code::Unknown)) {
                    Some(code) => finish(this.guards, this.ended, code),
                    None if this.guards.idle.is_some() => {
                        if let (Some(timer), Some(at)) = (this.timer.as_mut(), next_alarm(this.guards)) {
                            timer.as_mut().reset(at);
                        }
                    }
                    None => {}
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Ok(Poll::Ready(Some(Err(status)))) => match this.guards.classify {
                Some(classify) => classify(status),
                None => status,
            },
            Ok(Poll::Ready(None)) => {
                // The end without trailers: the code was in the headers, or the stream was cut.
                finish(this.guards, this.ended, Code::Unknown);
                return Poll::Ready(None);
            }
            Ok(Poll::Pending) => match this.timer.as_mut().map(|t| t.as_mut().poll(cx)) {
                Some(Poll::Ready(())) if this.guards.deadline.is_some_and(|d| d <= Instant::now()) => {
                    deadline_exceeded()
                }
                Some(Poll::Ready(())) => idle_too_long(),
                _ => return Poll::Pending,
            },
        };
        finish(this.guards, this.ended, status.code());
        this.inner.set(Body::empty());
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }
}

fn finish(guards: &mut Guards, ended: &mut bool, code: Code) {
    *ended = true;
    if let Some(mut record) = guards.record.take() {
        record.end(code);
    }
    guards.permit = None;
}
