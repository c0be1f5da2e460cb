//! Server streams, fed by an owned task through a bounded channel.
//!
//! The task inherits the call's context and span, ends when its reader goes (and with it everything that it awaits,
//! down to a provider's socket), and cannot take its reader along when it panics.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;
use tracing::Instrument;

use crate::body::panicked;
use crate::{CallContext, ServiceError};

/// The reader is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the stream is gone")]
pub struct Closed;

/// Where the feeding task puts its items.
pub struct StreamSink<T>(mpsc::Sender<T>);

impl<T> StreamSink<T> {
    /// Sends the next item; waits while `capacity` items are unread.
    pub async fn send(&self, item: T) -> Result<(), Closed> {
        self.0.send(item).await.map_err(|_| Closed)
    }
}

/// A stream of `Result<T, Status>`: the items, then at most one status.
pub struct ProducedStream<T> {
    items: mpsc::Receiver<T>,
    task: Option<JoinHandle<Result<(), ServiceError>>>,
}

/// Starts a task that feeds a stream. `Err` ends the stream with its status; `Ok` ends it cleanly; a panic is INTERNAL.
pub fn produce<T, F, Fut>(capacity: usize, feed: F) -> ProducedStream<T>
where
    T: Send + 'static,
    F: FnOnce(StreamSink<T>) -> Fut,
    Fut: Future<Output = Result<(), ServiceError>> + Send + 'static,
{
    let (sender, items) = mpsc::channel(capacity.max(1));
    let work = CallContext::current().scope(feed(StreamSink(sender)));
    let task = tokio::spawn(work.instrument(tracing::Span::current()));
    ProducedStream { items, task: Some(task) }
}

impl<T> Stream for ProducedStream<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.items.poll_recv(cx) {
            Poll::Ready(Some(item)) => return Poll::Ready(Some(Ok(item))),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {}
        }
        let Some(task) = self.task.as_mut() else { return Poll::Ready(None) };
        let ended = match Pin::new(task).poll(cx) {
            Poll::Ready(ended) => ended,
            Poll::Pending => return Poll::Pending,
        };
        self.task = None;
        match ended {
            Ok(Ok(())) => Poll::Ready(None),
            Ok(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            Err(_) => Poll::Ready(Some(Err(panicked()))),
        }
    }
}

impl<T> Drop for ProducedStream<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use futures_util::StreamExt;
    use tonic::Code;

    #[tokio::test]
    async fn ends_with_the_tasks_own_end() {
        let clean: Vec<_> = produce(1, |sink| async move {
            for n in 0..3 {
                sink.send(n).await.map_err(ServiceError::internal)?;
            }
            Ok(())
        })
        .map(|item| item.map_err(|s| s.code()))
        .collect()
        .await;
        assert_eq!(clean, [Ok(0), Ok(1), Ok(2)]);

        let failed: Vec<_> = produce(1, |sink| async move {
            let _ = sink.send(7).await;
            Err(ServiceError::new(Kind::Unavailable, "GONE", "gone"))
        })
        .map(|item| item.map_err(|s| s.code()))
        .collect()
        .await;
        assert_eq!(failed, [Ok(7), Err(Code::Unavailable)]);
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_and_a_dropped_reader_ends_the_task() {
        let stream = produce::<u8, _, _>(1, |_| async { panic!("inside") });
        let items: Vec<_> = stream.map(|item| item.map_err(|s| s.code())).collect().await;
        assert_eq!(items, [Err(Code::Internal)]);

        let (gone, mut told) = mpsc::channel::<()>(1);
        let stream = produce::<u8, _, _>(1, |_| async move {
            let _held = gone;
            std::future::pending::<()>().await;
            Ok(())
        });
        drop(stream);
        assert_eq!(told.recv().await, None, "the task was dropped with its reader");
    }
}
