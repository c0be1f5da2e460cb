//! A gate's part in the limits that replicas share.
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout_at};

use super::{Busy, lock};
use crate::domain::Rates;
use crate::limits::{Ask, News, PlaceId, SharedLimits, Taken, Unreachable};

/// How long a place is held without being renewed. What a lost replica held comes free after this.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// How long until somebody who found too many calls under way looks again, in milliseconds.
const LOOK_AGAIN_MS: RangeInclusive<u64> = 20..=50;
/// How long a wait that was heard of is believed: another replica's call may turn out to be smaller than it was taken for.
const BELIEVED: Duration = Duration::from_secs(1);
/// The most news told at once.
const BATCH: usize = 128;

/// The shared places of one provider.
pub(super) struct Shared {
    limits: Arc<dyn SharedLimits>,
    provider: Arc<str>,
    clerk: OnceLock<UnboundedSender<Note>>,
    /// Told whenever a place of this process may have come free.
    settled: Arc<Notify>,
    heard: Mutex<Option<Heard>>,
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
    Taken(Held),
    Busy(Busy),
    /// Nobody answered. If the call is made, it is to be counted as far as it can be.
    Away(Held),
}

impl Shared {
    pub(super) fn new(provider: &str, limits: Arc<dyn SharedLimits>) -> Self {
        let (clerk, settled) = (OnceLock::new(), Arc::default());
        Self { limits, provider: Arc::from(provider), clerk, settled, heard: Mutex::default() }
    }

    /// Takes a place among those of all replicas.
    pub(super) async fn take(&self, rates: Rates, concurrency: u32, tokens: u64) -> Answer {
        let mut held = Held::new(self.clerk().clone());
        let ask = Ask { rates, concurrency, tokens, lease: LEASE };
        match self.limits.take(&self.provider, held.id, &ask).await {
            Ok(Taken::Yes) => {
                held.begin();
                Answer::Taken(held)
            }
            Ok(Taken::No { wait, crowded }) => {
                held.end = None;
                self.hear(tokens, wait);
                Answer::Busy(Busy { wait, crowded })
            }
            Err(Unreachable) => Answer::Away(held),
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

    /// Waits until it is worth looking again after too many calls were found under way.
    pub(super) async fn pause(&self, window: Duration, until: Instant) {
        let again = Duration::from_millis(fastrand::u64(LOOK_AGAIN_MS)).max(window);
        let again = until.min(Instant::now() + again);
        if window.is_zero() {
            // Too early or too late, one looks again.
            let _ = timeout_at(again, self.settled.notified()).await;
        } else {
            sleep_until(again).await;
        }
    }

    fn clerk(&self) -> &UnboundedSender<Note> {
        self.clerk.get_or_init(|| {
            // Its length is bounded by the calls under way: three notes each.
            let (sender, notes) = unbounded_channel();
            let clerk = Clerk {
                limits: Arc::clone(&self.limits),
                provider: Arc::clone(&self.provider),
                settled: Arc::clone(&self.settled),
                held: HashSet::new(),
            };
            tokio::spawn(clerk.run(notes));
            sender
        })
    }
}

/// A place among those of all replicas. Dropping it releases it, or gives it back while no call has begun.
pub(super) struct Held {
    id: PlaceId,
    clerk: UnboundedSender<Note>,
    /// What is told at its end; `None`: it never was.
    end: Option<News>,
}

enum Note {
    Began(PlaceId),
    News(News),
}

impl Held {
    fn new(clerk: UnboundedSender<Note>) -> Self {
        let id = PlaceId(fastrand::u128(..));
        // A call that is given up while its place is asked for may have taken it.
        Self { id, clerk, end: Some(News::GivenBack(id)) }
    }

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

/// Tells what becomes of the places of this process, and renews them. It ends with the gate and the last of them. What it
/// cannot tell is not told again: leases end, and calls leave the window.
struct Clerk {
    limits: Arc<dyn SharedLimits>,
    provider: Arc<str>,
    settled: Arc<Notify>,
    held: HashSet<PlaceId>,
}

impl Clerk {
    async fn run(mut self, mut notes: UnboundedReceiver<Note>) {
        let mut renewal = interval_at(Instant::now() + LEASE / 3, LEASE / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = notes.recv_many(&mut batch, BATCH) => match count {
                    0 => return,
                    _ => self.settle(batch.drain(..)).await,
                },
                _ = renewal.tick(), if !self.held.is_empty() => {
                    let held: Vec<PlaceId> = self.held.iter().copied().collect();
                    let _ = self.limits.renew(&self.provider, &held, LEASE).await;
                }
            }
        }
    }

    async fn settle(&mut self, notes: impl Iterator<Item = Note>) {
        let mut news = Vec::new();
        for note in notes {
            match note {
                Note::Began(place) => drop(self.held.insert(place)),
                Note::News(told) => {
                    if let News::Released(place) | News::GivenBack(place) = told {
                        self.held.remove(&place);
                    }
                    news.push(told);
                }
            }
        }
        if !news.is_empty() {
            let _ = self.limits.settle(&self.provider, &news).await;
            self.settled.notify_one();
        }
    }
}
