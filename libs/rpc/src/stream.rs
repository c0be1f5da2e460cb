//! Server streams, fed by work that runs while its reader reads.
//!
//! The work inherits the call's context and span, runs in the reader's own task (another one would have to be woken for
//! every item), ends when its reader goes (and with it everything that it awaits, down to a provider's socket), and cannot
//! take its reader along when it panics.
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use tonic::Status;
use tracing::Instrument;

use crate::body::panicked;
use crate::{CallContext, ServiceError};

/// The reader is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the stream is gone")]
pub struct Closed;

/// Where the feeding work puts its items.
pub struct StreamSink<T>(Arc<Pipe<T>>);

/// Items that wait for their reader.
struct Pipe<T>(Mutex<Items<T>>);

struct Items<T> {
    waiting: VecDeque<T>,
    capacity: usize,
    /// The reader looks for items itself as soon as the work has been polled: nobody need wake it.
    is_polling: bool,
    closed: bool,
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

impl<T> Pipe<T> {
    fn lock(&self) -> MutexGuard<'_, Items<T>> {
        // The items are whole after every step, so a panic elsewhere does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item, and room for another. Where there is none, `waker` is told of the next.
    fn take(&self, waker: Option<&Waker>) -> Option<T> {
        let mut items = self.lock();
        let Some(item) = items.waiting.pop_front() else {
            if let Some(waker) =
                waker.filter(|waker| !items.reader.as_ref().is_some_and(|r| r.will_wake(waker)))
            {
                items.reader = Some(waker.clone());
            }
            return None;
        };
        let writers = std::mem::take(&mut items.writers);
        drop(items);
        writers.into_iter().for_each(Waker::wake);
        Some(item)
    }
}

impl<T> StreamSink<T> {
    /// Sends the next item; waits while `capacity` items are unread.
    pub async fn send(&self, item: T) -> Result<(), Closed> {
        self.send_or_join(item, |_, item| Some(item)).await
    }

    /// Sends the next item, or joins it to the last one that its reader has not taken yet: `join` gives back what cannot
    /// be joined. Whoever writes faster than the reader reads spares both the price of a message for each item.
    pub async fn send_or_join(&self, item: T, join: fn(&mut T, T) -> Option<T>) -> Result<(), Closed> {
        let mut item = Some(item);
        poll_fn(|cx| {
            let mut items = self.0.lock();
            if items.closed {
                return Poll::Ready(Err(Closed));
            }
            if let Some(last) = items.waiting.back_mut() {
                item = item.take().and_then(|item| join(last, item));
                if item.is_none() {
                    return Poll::Ready(Ok(()));
                }
            }
            if items.waiting.len() >= items.capacity {
                items.writers.push(cx.waker().clone());
                return Poll::Pending;
            }
            items.waiting.extend(item.take());
            let reader = if items.is_polling { None } else { items.reader.take() };
            drop(items);
            reader.into_iter().for_each(Waker::wake);
            Poll::Ready(Ok(()))
        })
        .await
    }
}

type Work = Pin<Box<dyn Future<Output = Result<(), ServiceError>> + Send>>;

/// A stream of `Result<T, Status>`: the items, then at most one status.
pub struct ProducedStream<T> {
    pipe: Arc<Pipe<T>>,
    work: Option<Work>,
    /// How the work ended, to be said after the last item.
    failure: Option<Status>,
}

/// A stream that is fed by `feed` while it is read. `Err` ends the stream with its status; `Ok` ends it cleanly; a panic
/// is INTERNAL.
pub fn produce<T, F, Fut>(capacity: usize, feed: F) -> ProducedStream<T>
where
    T: Send + 'static,
    F: FnOnce(StreamSink<T>) -> Fut,
    Fut: Future<Output = Result<(), ServiceError>> + Send + 'static,
{
    let pipe = Arc::new(Pipe(Mutex::new(Items {
        waiting: VecDeque::new(),
        capacity: capacity.max(1),
        is_polling: false,
        closed: false,
        reader: None,
        writers: Vec::new(),
    })));
    let work = CallContext::current().scope(feed(StreamSink(Arc::clone(&pipe))));
    ProducedStream { pipe, work: Some(Box::pin(work.instrument(tracing::Span::current()))), failure: None }
}

impl<T> ProducedStream<T> {
    /// Waits until the first item or the end is there, so that the answer's headers go out together with it.
    ///
    /// # Errors
    /// The work failed before it sent anything.
    pub async fn begun(mut self) -> Result<Self, Status> {
        poll_fn(|cx| {
            self.work_on(cx);
            let mut items = self.pipe.lock();
            if self.work.is_none() || !items.waiting.is_empty() {
                return Poll::Ready(());
            }
            items.reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let is_empty = self.pipe.lock().waiting.is_empty();
        match self.failure.take_if(|_| is_empty) {
            Some(status) => Err(status),
            None => Ok(self),
        }
    }

    /// Polls the work, if it has not ended.
    fn work_on(&mut self, cx: &mut Context<'_>) {
        let Some(work) = self.work.as_mut() else { return };
        self.pipe.lock().is_polling = true;
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        self.pipe.lock().is_polling = false;
        let ended = match polled {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(ended)) => ended.err().map(Status::from),
            Err(_) => Some(panicked()),
        };
        self.failure = ended;
        self.work = None;
    }
}

impl<T> Stream for ProducedStream<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(item) = self.pipe.take(None) {
            return Poll::Ready(Some(Ok(item)));
        }
        self.work_on(cx);
        match self.pipe.take(Some(cx.waker())) {
            Some(item) => Poll::Ready(Some(Ok(item))),
            None if self.work.is_some() => Poll::Pending,
            None => Poll::Ready(self.failure.take().map(Err)),
        }
    }
}

impl<T> Drop for ProducedStream<T> {
    fn drop(&mut self) {
        // Whoever has the sink sees that its reader is gone.
        let mut items = self.pipe.lock();
        items.closed = true;
        let writers = std::mem::take(&mut items.writers);
        drop(items);
        self.work = None;
        writers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use futures_util::StreamExt;
    use tokio::sync::mpsc;
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
    async fn a_panic_is_an_internal_error_and_a_dropped_reader_ends_the_work() {
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
        assert_eq!(told.recv().await, None, "the work was dropped with its reader");
    }

    #[tokio::test]
    async fn items_of_another_task_wake_the_reader_and_a_full_pipe_waits() {
        let stream = produce(2, |sink| async move {
            let feeding = tokio::spawn(async move {
                for n in 0..100 {
                    if n % 7 == 0 {
                        tokio::task::yield_now().await;
                    }
                    sink.send(n).await.map_err(ServiceError::internal)?;
                }
                Ok(())
            });
            feeding.await.map_err(ServiceError::internal)?
        });
        let items: Vec<i32> = stream.map(|item| item.expect("an item")).collect().await;
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_stream_has_begun_with_its_first_item_or_its_end() {
        let stream = produce(4, |sink| async move {
            tokio::task::yield_now().await;
            let _ = sink.send(1).await;
            std::future::pending().await
        });
        let mut stream = stream.begun().await.expect("begun");
        assert_eq!(stream.next().await.expect("an item").expect("no status"), 1);
        let failed = produce::<u8, _, _>(4, |_| async {
            tokio::task::yield_now().await;
            Err(ServiceError::new(Kind::Unavailable, "GONE", "gone"))
        });
        assert_eq!(failed.begun().await.err().map(|status| status.code()), Some(Code::Unavailable));
    }

    #[tokio::test]
    async fn what_waits_is_joined_and_what_was_read_is_not() {
        fn join(last: &mut String, next: String) -> Option<String> {
            if last.len() + next.len() > 4 {
                return Some(next);
            }
            last.push_str(&next);
            None
        }
        let (give, taken) = tokio::sync::oneshot::channel();
        let mut stream = produce(2, |sink| async move {
            let _ = give.send(sink);
            std::future::pending().await
        });
        assert!(futures_util::poll!(stream.next()).is_pending());
        let sink = taken.await.expect("the sink");
        let send = |text: &str| sink.send_or_join(text.to_owned(), join);
        for text in ["a", "bc", "d", "efg", "h"] {
            send(text).await.expect("there is room");
        }
        assert!(
            futures_util::poll!(Box::pin(send("ij"))).is_pending(),
            "two items wait, neither has room for it"
        );
        let mut read = async || stream.next().await.expect("an item").expect("no status");
        assert_eq!((read().await, read().await), ("abcd".to_owned(), "efgh".to_owned()));
        send("i").await.expect("there is room");
        assert_eq!(read().await, "i");
    }

    #[tokio::test]
    async fn a_sink_outlives_its_reader_and_says_so() {
        let (give, taken) = tokio::sync::oneshot::channel();
        let stream = produce::<u8, _, _>(1, |sink| async move {
            let _ = give.send(sink);
            Ok(())
        });
        let stream = stream.begun().await.expect("begun");
        let sink = taken.await.expect("the sink");
        drop(stream);
        assert_eq!(sink.send(1).await, Err(Closed));
    }
}
