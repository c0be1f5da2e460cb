//! A client's stream as its handler should see it: with a limit on silence, and cut where the client went.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::body::idle_too_long;
use crate::{Kind, ServiceError};

pin_project! {
    /// A request body that fails with STREAM_IDLE when its next frame takes too long. The clock runs only while
    /// somebody waits: a handler that is busy with the last part does not use up the client's time.
    pub(super) struct Patient {
        #[pin]
        inner: Body,
        limit: Option<Duration>,
        waiting: Option<Pin<Box<Sleep>>>,
    }
}

impl Patient {
    pub(super) fn new(inner: Body, limit: Option<Duration>) -> Self {
        Self { inner, limit, waiting: None }
    }
}

impl http_body::Body for Patient {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(cut_short)));
        }
        let Some(limit) = *this.limit else { return Poll::Pending };
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        waiting.as_mut().poll(cx).map(|()| Some(Err(idle_too_long())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

/// The error of an upload whose client went in the middle. The library's own is CANCELLED, which a handler's stream reads
/// as a clean end: a part would be taken for the whole.
fn cut_short(status: Status) -> Status {
    match status.code() {
        Code::Cancelled => {
            ServiceError::new(Kind::Aborted, "CLIENT_GONE", "the client went before the end").into()
        }
        _ => status,
    }
}
