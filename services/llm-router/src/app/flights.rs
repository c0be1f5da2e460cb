//! Calls under way that others may join: a repeat of a request id, or the same words at temperature 0. A flight is a task
//! of its own, so that it goes on while anybody waits for it, and ends, down to the provider's socket, with the last one.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use copydesk_rpc::CallContext;
use copydesk_types::TenantId;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Instrument;

use crate::domain::Answer;
use crate::error::Error;
use crate::ports::{EventSink, Gone, StreamEvent};

/// Whose flight: the tenant, and the request's id or the hash of its words.
pub(super) type Key = (TenantId, String);

/// The flights of one kind. Nothing is awaited while the map is locked.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Key, Weak<Ride>>>>);

/// By when the answer must be there: the latest of those who wait for it.
#[derive(Debug, Clone)]
pub struct Deadline(Arc<DeadlineInner>);

#[derive(Debug)]
struct DeadlineInner {
    base: Instant,
    /// Microseconds after `base`; [`u64::MAX`]: never.
    after_us: AtomicU64,
}

impl Deadline {
    /// This one; `None`: never.
    pub fn at(deadline: Option<Instant>) -> Self {
        let base = Instant::now();
        let inner = DeadlineInner { base, after_us: AtomicU64::new(0) };
        let this = Self(Arc::new(inner));
        this.extend(deadline);
        this
    }

    /// Somebody else waits too.
    pub(super) fn extend(&self, deadline: Option<Instant>) {
        let after = deadline.map_or(u64::MAX, |at| {
            u64::try_from(at.saturating_duration_since(self.0.base).as_micros()).unwrap_or(u64::MAX)
        });
        self.0.after_us.fetch_max(after, Ordering::AcqRel);
    }

    /// When it is; `None`: never.
    pub(super) fn instant(&self) -> Option<Instant> {
        match self.0.after_us.load(Ordering::Acquire) {
            u64::MAX => None,
            us => self.0.base.checked_add(Duration::from_micros(us)),
        }
    }

    /// True when nobody waits any more.
    pub(super) fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// The time left; `None`: any.
    pub(super) fn left(&self) -> Option<Duration> {
        self.instant().map(|at| at.saturating_duration_since(Instant::now()))
    }
}

/// What a flight has brought so far, for all who are on it.
pub(super) struct Flight {
    fingerprint: String,
    pub(super) deadline: Deadline,
    log: Mutex<Log>,
    /// How many events there are; changes once more at the end.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Log {
    events: Vec<StreamEvent>,
    end: Option<Result<Answer, Error>>,
}

impl Flight {
    fn finish(&self, end: Result<Answer, Error>) {
        let mut log = lock(&self.log);
        if log.end.is_none() {
            log.end = Some(end);
            drop(log);
            self.changed.send_modify(|n| *n += 1);
        }
    }
}

#[async_trait]
impl EventSink for Flight {
    async fn event(&self, event: StreamEvent) -> Result<(), Gone> {
        lock(&self.log).events.push(event);
        self.changed.send_modify(|n| *n += 1);
        Ok(())
    }
}

/// A place on a flight. With the last one the flight ends.
pub(super) struct Ride {
    flight: Arc<Flight>,
    /// Set before the first caller gets its ride.
    task: OnceLock<AbortHandle>,
    seat: (Flights, Key),
}

impl Ride {
    /// Everything from the beginning, handed on as it comes; the answer at the end.
    pub(super) async fn follow(&self, sink: &dyn EventSink) -> Result<Answer, Error> {
        let mut changed = self.flight.changed.subscribe();
        let mut seen = 0;
        loop {
            let (news, end) = {
                let log = lock(&self.flight.log);
                (log.events[seen..].to_vec(), log.end.clone())
            };
            seen += news.len();
            for event in news {
                sink.event(event).await?;
            }
            match end {
                Some(Ok(answer)) if seen == 0 => return replay(answer, sink).await,
                Some(end) => return end,
                None if changed.changed().await.is_err() => return Err(Error::Vanished),
                None => {}
            }
        }
    }
}

/// The most text of one event of an answer that is there already, in bytes: a reader takes messages of 4 MiB at most.
const PIECE: usize = 256 << 10;

/// Hands on an answer that is there already.
pub(super) async fn replay(answer: Answer, sink: &dyn EventSink) -> Result<Answer, Error> {
    for piece in pieces(&answer.reasoning) {
        sink.event(StreamEvent::Reasoning(piece.to_owned())).await?;
    }
    for piece in pieces(&answer.text) {
        sink.event(StreamEvent::Text(piece.to_owned())).await?;
    }
    for call in &answer.tool_calls {
        sink.event(StreamEvent::ToolCall(call.clone())).await?;
    }
    Ok(answer)
}

/// A text in pieces; of an empty one, none.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

impl Drop for Ride {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
        let (flights, key) = &self.seat;
        let mut map = lock(&flights.0);
        // A later flight may have taken the place already.
        if map.get(key).is_some_and(|ride| ride.strong_count() == 0) {
            map.remove(key);
        }
    }
}

impl Ride {
    /// True when nothing was heard of it.
    pub(super) fn is_silent(&self) -> bool {
        lock(&self.flight.log).events.is_empty()
    }
}

/// How a caller came aboard.
pub(super) enum Boarded {
    /// It began the flight.
    First(Arc<Ride>),
    /// It joined one.
    Joined(Arc<Ride>),
}

impl Flights {
    /// Joins the flight with this key, or begins one with `work`.
    ///
    /// # Errors
    /// The flight has another fingerprint.
    pub(super) fn board<Fut>(
        &self,
        key: Key,
        fingerprint: &str,
        deadline: &Deadline,
        work: impl FnOnce(Arc<Flight>) -> Fut,
    ) -> Result<Boarded, Error>
    where
        Fut: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        let mut map = lock(&self.0);
        if let Some(ride) = map.get(&key).and_then(Weak::upgrade) {
            // Dropping a ride locks the map: not while it is locked here.
            drop(map);
            if ride.flight.fingerprint != fingerprint {
                return Err(Error::RequestIdTaken { request_id: key.1 });
            }
            ride.flight.deadline.extend(deadline.instant());
            return Ok(Boarded::Joined(ride));
        }
        let flight = Arc::new(Flight {
            fingerprint: fingerprint.to_owned(),
            // Its own, because others may extend it.
            deadline: Deadline::at(deadline.instant()),
            log: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let seat = (self.clone(), key.clone());
        let ride = Arc::new(Ride { flight: Arc::clone(&flight), task: OnceLock::new(), seat });
        map.insert(key.clone(), Arc::downgrade(&ride));
        // A runtime that is shutting down drops a new task at once, and with it what locks the map.
        drop(map);
        let finish = Finish(Arc::clone(&flight), self.clone(), key);
        let work = work(flight);
        let task = async move {
            let end = work.await;
            finish.0.finish(end);
        };
        // Who waits decides how long it flies, so the first caller's own deadline is not in the context.
        let context = CallContext::current().with_deadline(None);
        let task = tokio::spawn(context.scope(task).instrument(tracing::Span::current()));
        ride.task.get_or_init(|| task.abort_handle());
        Ok(Boarded::First(ride))
    }
}

/// Ends a flight in any case, a panic included, and makes room for the next.
struct Finish(Arc<Flight>, Flights, Key);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finish(Err(Error::Vanished));
        // Who comes from now on finds the answer in the store, or begins anew. The ride is held until the map is free
        // again, since dropping the last of it locks the map.
        let ride = lock(&self.1.0).get(&self.2).and_then(Weak::upgrade);
        if ride.as_ref().is_some_and(|ride| Arc::ptr_eq(&ride.flight, &self.0)) {
            lock(&self.1.0).remove(&self.2);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it holds is whole after every operation, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    /// Boards a flight when it is dropped.
    struct Late(Flights, mpsc::Sender<bool>);

    impl Drop for Late {
        fn drop(&mut self) {
            let key = (TenantId::generate(), "late".to_owned());
            let deadline = Deadline::at(None);
            let boarded = self.0.board(key, "words", &deadline, |_| std::future::pending());
            let is_over = match boarded {
                Ok(Boarded::First(ride)) => lock(&ride.flight.log).end.is_some(),
                _ => false,
            };
            let _ = self.1.send(is_over && lock(&self.0.0).is_empty());
        }
    }

    #[test]
    fn a_flight_that_begins_while_the_runtime_goes_down_ends_at_once() {
        let (told, hears) = mpsc::channel();
        let end = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let late = Late(Flights::default(), told);
            runtime.spawn(async move {
                let _late = late;
                std::future::pending::<()>().await;
            });
            drop(runtime);
        });
        assert_eq!(hears.recv_timeout(Duration::from_secs(60)), Ok(true));
        end.join().unwrap();
    }
}
