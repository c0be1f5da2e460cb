//! The places of one provider: so many calls at once, so many calls and tokens in any minute. A call that finds no place
//! waits for one, first come first served, but not for long.
//!
//! Where replicas share limits, a call needs a place among those of all replicas too. The process' own limits go on
//! counting: they are the limits while the shared ones cannot be reached.
mod places;
mod replicas;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::domain::{Place, RateWindow, Rates};
use crate::limits::SharedLimits;
use places::{ANY, Permit, Places};
use replicas::{Answer, Held, Shared};

/// The places of one provider.
pub struct Gate {
    began: Instant,
    limits: Mutex<Limits>,
    places: Arc<Places>,
    window: Mutex<RateWindow>,
    /// Who holds it is next in line for the window, and for a place among those of all replicas.
    turn: tokio::sync::Mutex<()>,
    in_line: AtomicU32,
    /// Told whenever there may be room for who is next in line.
    room: Arc<Notify>,
    under_way: AtomicU32,
    shared: Option<Shared>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    concurrency: usize,
    rates: Rates,
    queue: Duration,
}

impl Limits {
    /// Calls at once; 0: any number.
    fn at_once(&self) -> u32 {
        u32::try_from(self.concurrency).unwrap_or(0)
    }

    fn are_none(&self) -> bool {
        self.rates.are_unlimited() && self.at_once() == 0
    }
}

/// What a call lacks.
#[derive(Debug, Clone, Copy)]
struct Busy {
    /// How long until the window has room; zero: it has room.
    wait: Duration,
    /// True when too many calls of all replicas are under way.
    crowded: bool,
}

impl Busy {
    /// Waiting in vain helps nobody: the next model is tried now.
    fn in_vain(&self, until: Instant) -> bool {
        let now = Instant::now();
        now + self.wait > until || (self.crowded && now >= until)
    }
}

impl From<Busy> for Full {
    fn from(busy: Busy) -> Self {
        Self { retry_after: Some(busy.wait).filter(|wait| !wait.is_zero()) }
    }
}

/// No place came free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// When there may be one.
    pub retry_after: Option<Duration>,
}

impl Gate {
    /// A gate without limits; `began` is where its time begins.
    pub fn new(began: Instant) -> Self {
        let limits = Limits { concurrency: ANY, rates: Rates::default(), queue: Duration::ZERO };
        Self {
            began,
            limits: Mutex::new(limits),
            places: Arc::default(),
            window: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            in_line: AtomicU32::new(0),
            room: Arc::default(),
            under_way: AtomicU32::new(0),
            shared: None,
        }
    }

    /// The same, with limits shared by all who name the provider alike.
    pub fn sharing(began: Instant, provider: &str, limits: Arc<dyn SharedLimits>) -> Self {
        let gate = Self::new(began);
        Self { shared: Some(Shared::new(provider, limits, Arc::clone(&gate.room))), ..gate }
    }

    /// Sets its limits: calls at once (0: any number), rates, and the longest wait. Calls under way go on; who waits does
    /// so for the new limits, and as long as before.
    pub fn set(&self, concurrency: u32, rates: Rates, queue: Duration) {
        let concurrency = if concurrency == 0 { ANY } else { concurrency as usize };
        let mut limits = lock(&self.limits);
        self.places.resize(limits.concurrency, concurrency);
        *limits = Limits { concurrency, rates, queue };
        drop(limits);
        self.room.notify_one();
    }

    /// A place for a call of about so many tokens; waits for it until `by` at the most.
    ///
    /// # Errors
    /// There is none in time.
    pub async fn enter(self: &Arc<Self>, tokens: u64, by: Option<Instant>) -> Result<Pass, Full> {
        let until = Instant::now() + self.queue_limit();
        let Some(by) = by else { return self.find(tokens, until).await };
        // The shared limits may take longer to answer than there is time.
        let found = timeout_at(by, self.find(tokens, until.min(by))).await;
        found.unwrap_or(Err(Full { retry_after: None }))
    }

    /// How long until a call of about so many tokens would find room in the window, as far as this process knows; `None`
    /// when it does now.
    pub fn window_wait(&self, tokens: u64) -> Option<Duration> {
        let rates = lock(&self.limits).rates;
        if rates.are_unlimited() {
            return None;
        }
        self.own_wait(rates, tokens).max(self.shared.as_ref().and_then(|shared| shared.known_wait(tokens)))
    }

    /// The longest that a call waits here.
    pub fn queue_limit(&self) -> Duration {
        lock(&self.limits).queue
    }

    /// Calls under way.
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Calls that wait.
    pub fn waiting(&self) -> u32 {
        self.places.waiting() + self.in_line.load(Ordering::Relaxed)
    }

    async fn find(self: &Arc<Self>, tokens: u64, until: Instant) -> Result<Pass, Full> {
        loop {
            let mut permit = self.places.take(until).await.ok_or(Full { retry_after: None })?;
            if let Some(room) = self.find_room(&mut permit, tokens, until).await? {
                self.under_way.fetch_add(1, Ordering::Relaxed);
                return Ok(Pass { gate: Arc::clone(self), _permit: permit, room });
            }
        }
    }

    /// Room for who has a permit; `None` when the permit is gone, because the limit was lowered.
    async fn find_room(
        &self,
        permit: &mut Permit,
        tokens: u64,
        until: Instant,
    ) -> Result<Option<Room>, Full> {
        // Nobody in line: no need to stand in it. So many may ask the shared limits at once.
        if self.in_line.load(Ordering::Acquire) == 0 {
            match self.take(tokens, &mut None, false).await {
                Ok(room) => return Ok(Some(room)),
                Err(busy) if busy.in_vain(until) => return Err(busy.into()),
                Err(_) => {}
            }
        }
        let _counted = Counted::new(&self.in_line);
        let Ok(_turn) = timeout_at(until, self.turn.lock()).await else {
            return Err(Full { retry_after: self.window_wait(tokens) });
        };
        let mut held = None;
        // Who lost its permit must not keep the turn while it waits for another: those who have one wait for the turn.
        while !permit.is_surplus() {
            match self.take(tokens, &mut held, true).await {
                Ok(room) => return Ok(Some(room)),
                Err(busy) if busy.in_vain(until) => return Err(busy.into()),
                Err(busy) => self.pause(busy, until).await,
            }
        }
        Ok(None)
    }

    /// Looks for room within the limits as they are now. `held` is what the shared limits know of the call from one look
    /// to the next.
    async fn take(&self, tokens: u64, held: &mut Option<Held>, waits: bool) -> Result<Room, Busy> {
        let limits = *lock(&self.limits);
        let Some(shared) = self.shared.as_ref().filter(|_| !limits.are_none()) else {
            return Ok(Room { place: self.take_own(limits.rates, tokens)?, held: None });
        };
        // What this process did is in the shared window too: where there is no room here, there is none.
        if let Some(wait) = self.own_wait(limits.rates, tokens) {
            return Err(Busy { wait, crowded: false });
        }
        let asking = held.get_or_insert_with(|| shared.hold(waits));
        let place = match shared.take(limits.rates, limits.at_once(), tokens, asking).await {
            Answer::Taken => self.note_own(limits.rates, tokens),
            Answer::Busy(busy) => return Err(busy),
            // The place may be taken all the same: it is given back, and not asked for again.
            Answer::Away => match self.take_own(limits.rates, tokens) {
                Ok(place) => place,
                Err(busy) => {
                    *held = None;
                    return Err(busy);
                }
            },
        };
        asking.begin();
        Ok(Room { place, held: held.take() })
    }

    fn own_wait(&self, rates: Rates, tokens: u64) -> Option<Duration> {
        lock(&self.window).wait(rates, tokens, self.began.elapsed())
    }

    fn take_own(&self, rates: Rates, tokens: u64) -> Result<Option<Place>, Busy> {
        if rates.are_unlimited() {
            return Ok(None);
        }
        let taken = lock(&self.window).take(rates, tokens, self.began.elapsed());
        taken.map(Some).map_err(|wait| Busy { wait, crowded: false })
    }

    fn note_own(&self, rates: Rates, tokens: u64) -> Option<Place> {
        (!rates.are_unlimited()).then(|| lock(&self.window).note(tokens, self.began.elapsed()))
    }

    /// Waits until it is worth looking again; until then at the most. Too early or too late, one looks again.
    async fn pause(&self, busy: Busy, until: Instant) {
        let wait = if self.shared.is_some() { replicas::worth_waiting(busy) } else { busy.wait };
        let _ = timeout_at(until.min(Instant::now() + wait), self.room.notified()).await;
    }
}

/// What a call has of the limits, beside its permit.
struct Room {
    place: Option<Place>,
    held: Option<Held>,
}

/// A place. Dropping it makes it free; the window remembers the call.
pub struct Pass {
    gate: Arc<Gate>,
    _permit: Permit,
    room: Room,
}

impl Pass {
    /// The true number of tokens.
    pub fn correct(&self, tokens: u64) {
        if let Some(place) = self.room.place {
            lock(&self.gate.window).correct(place, tokens);
        }
        match &self.room.held {
            Some(held) => held.correct(tokens),
            None => self.gate.room.notify_one(),
        }
    }

    /// The call was not made after all.
    pub fn give_back(mut self) {
        if let Some(place) = self.room.place.take() {
            lock(&self.gate.window).give_back(place);
        }
        match self.room.held.take() {
            Some(held) => held.give_back(),
            None => self.gate.room.notify_one(),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts who is here.
struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicU32) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Duration = Duration::from_secs(5);

    fn gate(concurrency: u32, requests: u32, tokens: u32) -> Arc<Gate> {
        let gate = Arc::new(Gate::new(Instant::now()));
        gate.set(concurrency, Rates { requests, tokens }, QUEUE);
        gate
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_a_place_but_not_for_long() {
        let gate = gate(1, 0, 0);
        let first = gate.enter(1, None).await.unwrap();
        assert_eq!((gate.under_way(), gate.waiting()), (1, 0));
        let second = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(1, None).await.map(|_| ()) }
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.waiting(), 1);
        drop(first);
        assert_eq!(second.await.unwrap(), Ok(()));
        let _held = gate.enter(1, None).await.unwrap();
        let began = Instant::now();
        assert!(gate.enter(1, None).await.is_err());
        assert_eq!(began.elapsed(), QUEUE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_callers_get_exactly_the_rate() {
        let gate = gate(0, 10, 0);
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let gate = Arc::clone(&gate);
            calls.spawn(async move { gate.enter(1, None).await.is_ok() });
        }
        let began = Instant::now();
        let passed = calls.join_all().await.into_iter().filter(|ok| *ok).count();
        assert_eq!(passed, 10);
        assert!(began.elapsed() <= QUEUE, "nobody waits in vain for a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_wait_for_the_window_is_waited_for() {
        let gate = gate(0, 0, 100);
        drop(gate.enter(90, None).await.unwrap());
        tokio::time::advance(Duration::from_secs(57)).await;
        assert_eq!(gate.window_wait(50), Some(Duration::from_secs(3)));
        let began = Instant::now();
        let pass = gate.enter(50, None).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        pass.correct(100);
        let by = Some(Instant::now() + Duration::from_secs(1));
        assert_eq!(gate.enter(1, by).await.err(), Some(Full { retry_after: Some(Duration::from_secs(60)) }));
    }

    #[tokio::test(start_paused = true)]
    async fn limits_change_under_way() {
        let gate = gate(2, 0, 0);
        let (one, two) = (gate.enter(1, None).await.unwrap(), gate.enter(1, None).await.unwrap());
        gate.set(1, Rates::default(), Duration::ZERO);
        drop(one);
        assert!(gate.enter(1, None).await.is_err(), "the first place is gone");
        drop(two);
        let held = gate.enter(1, None).await.unwrap();
        gate.set(3, Rates::default(), Duration::ZERO);
        let _more = (gate.enter(1, None).await.unwrap(), gate.enter(1, None).await.unwrap());
        assert!(gate.enter(1, None).await.is_err());
        drop(held);
        gate.set(0, Rates::default(), Duration::ZERO);
        let passes: Vec<_> = futures_util::future::join_all((0..50).map(|_| gate.enter(1, None))).await;
        assert!(passes.iter().all(Result::is_ok));
    }
}
