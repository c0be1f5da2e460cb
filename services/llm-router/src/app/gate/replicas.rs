//! A gate's part in the limits that replicas share.
mod clerk;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::{Busy, lock};
use crate::domain::Rates;
use crate::limits::{Ask, News, PlaceId, SharedLimits, Taken, Unreachable};
use clerk::{Clerk, Note};

/// How long a place is held without being renewed. What a lost replica held comes free after this.
const LEASE: Duration = Duration::from_secs(15);
/// How long until somebody who found too many calls under way looks again, in milliseconds.
const LOOK_AGAIN_MS: RangeInclusive<u64> = 20..=50;
/// How long who waits keeps its position before the other replicas without looking again. Above the longest that Redis
/// is waited for.
const STAYS: Duration = Duration::from_millis(500);
/// How long a wait that was heard of is believed: another replica's call may turn out to be smaller than it was taken for.
const BELIEVED: Duration = Duration::from_secs(1);

/// The shared places of one provider.
pub(super) struct Shared {
    limits: Arc<dyn SharedLimits>,
    provider: Arc<str>,
    clerk: OnceLock<UnboundedSender<Note>>,
    /// Told whenever a place of this process may have come free.
    room: Arc<Notify>,
    heard: Arc<Mutex<Option<Heard>>>,
}

/// A wait that somebody was told.
#[derive(Clone, Copy)]
struct Heard {
    tokens: u64,
    at: Instant,
    until: Instant,
}

/// How asking ended.
pub(super) enum Answer {
    Taken,
    Busy(Busy),
    /// Nobody answered. If the call is made, it is to be counted as far as it can be.
    Away,
}

impl Shared {
    /// `room` is told whenever there may be some.
    pub(super) fn new(provider: &str, limits: Arc<dyn SharedLimits>, room: Arc<Notify>) -> Self {
        let (clerk, heard) = (OnceLock::new(), Arc::default());
        Self { limits, provider: Arc::from(provider), clerk, room, heard }
    }

    /// A place that nobody has asked for yet. Who waits keeps its position among all replicas while it asks for the
    /// same place again and again.
    pub(super) fn hold(&self, waits: bool) -> Held {
        Held { id: PlaceId(fastrand::u128(..)), clerk: self.clerk().clone(), waits, end: None }
    }

    /// Takes this place among those of all replicas.
    pub(super) async fn take(&self, rates: Rates, concurrency: u32, tokens: u64, held: &mut Held) -> Answer {
        let waits = held.waits.then_some(STAYS);
        let ask = Ask { rates, concurrency, tokens, lease: LEASE, waits };
        // A call that is given up while its place is asked for may have taken it.
        held.end = Some(News::GivenBack(held.id));
        match self.limits.take(&self.provider, held.id, &ask).await {
            Ok(Taken::Yes) => {
                self.hear(tokens, Duration::ZERO);
                Answer::Taken
            }
            Ok(Taken::No { wait, crowded }) => {
                // Who waits leaves its position with the place.
                held.end = held.end.take().filter(|_| held.waits);
                self.hear(tokens, wait);
                Answer::Busy(Busy { wait, crowded })
            }
            Err(Unreachable) => Answer::Away,
        }
    }

    /// The rest of the wait that a call of so many tokens or fewer was last told. Asks nobody.
    pub(super) fn known_wait(&self, tokens: u64) -> Option<Duration> {
        let now = Instant::now();
        let heard = lock(&self.heard).filter(|heard| heard.tokens <= tokens && now < heard.at + BELIEVED)?;
        heard.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    fn hear(&self, tokens: u64, wait: Duration) {
        let at = Instant::now();
        *lock(&self.heard) = Some(Heard { tokens, at, until: at + wait }).filter(|_| !wait.is_zero());
    }

    fn clerk(&self) -> &UnboundedSender<Note> {
        self.clerk.get_or_init(|| {
            // Its length is bounded by the calls under way: three notes each.
            let (sender, notes) = unbounded_channel();
            let (limits, provider) = (Arc::clone(&self.limits), Arc::clone(&self.provider));
            let clerk = Clerk::new(limits, provider, Arc::clone(&self.room), Arc::clone(&self.heard));
            tokio::spawn(clerk.run(notes));
            sender
        })
    }
}

/// How long it is worth waiting before one looks again. Other replicas' calls end without a word to this one.
pub(super) fn worth_waiting(busy: Busy) -> Duration {
    match busy.wait {
        Duration::ZERO => Duration::from_millis(fastrand::u64(LOOK_AGAIN_MS)),
        wait => wait.min(BELIEVED),
    }
}

/// A place among those of all replicas. Dropping it releases it, or gives it back while no call has begun.
pub(super) struct Held {
    id: PlaceId,
    clerk: UnboundedSender<Note>,
    waits: bool,
    /// What is told at its end; `None`: it never was.
    end: Option<News>,
}

impl Held {
    /// The call begins. It is held from now on, and taken anew if it was lost.
    pub(super) fn begin(&mut self) {
        self.end = Some(News::Released(self.id));
        self.tell(Note::Began(self.id));
    }

    /// The true number of tokens.
    pub(super) fn correct(&self, tokens: u64) {
        self.tell(Note::News(News::Corrected(self.id, tokens)));
    }

    /// The call was not made after all.
    pub(super) fn give_back(mut self) {
        self.end = Some(News::GivenBack(self.id));
    }

    fn tell(&self, note: Note) {
        // The clerk ends only with its runtime, and then nobody calls any more.
        let _ = self.clerk.send(note);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(news) = self.end.take() {
            self.tell(Note::News(news));
        }
    }
}
