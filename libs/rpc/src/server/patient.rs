//! The idle limit of a client's stream: how long a handler waits for the next part of an upload.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use crate::body::idle_too_long;

pin_project! {
    /// A request body that fails with STREAM_IDLE when its next frame takes too long. The clock runs only while
    /// somebody waits: a handler that is busy with the last part does not use up the client's time.
    pub(super) struct Patient {
        #[pin]
        inner: Body,
        limit: Duration,
        waiting: Option<Pin<Box<Sleep>>>,
    }
}

impl Patient {
    pub(super) fn new(inner: Body, limit: Duration) -> Self {
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
            return Poll::Ready(frame);
        }
        let limit = *this.limit;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        waiting.as_mut().poll(cx).map(|()| Some(Err(idle_too_long())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
