//! The limits of a stream that nobody reads. Its body is not polled then, so no timer in it can fire: without this a
//! reader that stops reading would hold its permit and the work behind the stream for as long as its connection lives.
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tonic::body::Body;

use crate::body::{deadline_exceeded, idle_too_long};

/// A body that is read ends by its own timer, which says more exactly why; this one comes after it.
const GRACE: Duration = Duration::from_millis(100);

struct State {
    /// Taken out, and with it everything behind it ended, when its time is over.
    body: Option<Body>,
    moved: Instant,
}

struct Unread {
    state: Arc<Mutex<State>>,
    deadline: Option<Instant>,
    _watch: AbortOnDropHandle<()>,
}

/// Drops `body` soon after its deadline, or when nothing was taken out of it for `idle`, read or not.
pub(super) fn cut(body: Body, deadline: Option<Instant>, idle: Option<Duration>) -> Body {
    if (deadline, idle) == (None, None) || http_body::Body::is_end_stream(&body) {
        return body;
    }
    let state = Arc::new(Mutex::new(State { body: Some(body), moved: Instant::now() }));
    let watch = AbortOnDropHandle::new(tokio::spawn(watch(Arc::downgrade(&state), deadline, idle)));
    Body::new(Unread { state, deadline, _watch: watch })
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds no body while it waits: one that is dropped by its reader ends at once.
async fn watch(state: Weak<Mutex<State>>, deadline: Option<Instant>, idle: Option<Duration>) {
    while let Some(moved) = state.upgrade().map(|state| locked(&state).moved) {
        let silent = idle.map(|idle| moved + idle);
        let Some(alarm) = deadline.into_iter().chain(silent).min() else { return };
        sleep_until(alarm + GRACE).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = locked(&state);
        if deadline.is_some_and(|deadline| deadline <= alarm) || state.moved == moved {
            let body = state.body.take();
            // Dropped without the lock: what is behind it may take a while.
            drop(state);
            drop(body);
            return;
        }
    }
}

impl http_body::Body for Unread {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut state = locked(&self.state);
        let Some(body) = state.body.as_mut() else {
            let late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
            let status = if late { deadline_exceeded() } else { idle_too_long() };
            return Poll::Ready(Some(Err(status)));
        };
        let polled = Pin::new(body).poll_frame(cx);
        if polled.is_ready() {
            state.moved = Instant::now();
        }
        polled
    }
}
