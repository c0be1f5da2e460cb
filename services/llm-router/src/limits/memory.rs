//! The limits in memory: shared by all who hold this one.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Ask, News, PlaceId, SharedLimits, Taken, Unreachable};
use crate::domain::{Place, RateWindow};
use crate::ports::Clock;

/// Counts places in memory. Routers within one process share limits by it.
pub struct MemoryLimits {
    clock: Arc<dyn Clock>,
    providers: Mutex<HashMap<String, Places>>,
}

#[derive(Default)]
struct Places {
    window: RateWindow,
    counted: HashMap<PlaceId, Place>,
    /// Until when each place is held.
    held: HashMap<PlaceId, Duration>,
    /// Who waits, in their order.
    line: Vec<Waiter>,
}

/// Who waits for a place because too many calls are under way.
struct Waiter {
    since: Duration,
    place: PlaceId,
    until: Duration,
}

impl MemoryLimits {
    /// Limits whose time is this clock's.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, providers: Mutex::default() }
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.clock.now_ms()).unwrap_or(0))
    }

    fn providers(&self) -> MutexGuard<'_, HashMap<String, Places>> {
        self.providers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn take(&mut self, place: PlaceId, ask: &Ask, now: Duration) -> Taken {
        self.held.retain(|_, until| *until > now);
        let crowded = self.is_crowded(place, ask.concurrency, now);
        let wait = self.window.wait(ask.rates, ask.tokens, now);
        if crowded || wait.is_some() {
            let stays = ask.waits.filter(|_| crowded && wait.is_none());
            self.stand(place, stays, now);
            return Taken::No { wait: wait.unwrap_or_default(), crowded };
        }
        self.leave(place);
        self.held.insert(place, now + ask.lease);
        if !ask.rates.are_unlimited() {
            let counted = self.window.note(ask.tokens, now);
            self.counted.insert(place, counted);
            let window = &self.window;
            self.counted.retain(|_, place| window.holds(*place));
        }
        Taken::Yes
    }

    /// True when there is no place for this one after those who came before it.
    fn is_crowded(&mut self, place: PlaceId, most: u32, now: Duration) -> bool {
        self.line.retain(|waiter| waiter.until > now);
        let ahead = self.line.iter().position(|waiter| waiter.place == place).unwrap_or(self.line.len());
        most > 0 && ahead >= (most as usize).saturating_sub(self.held.len())
    }

    /// Keeps or gives a position for so long, or takes it.
    fn stand(&mut self, place: PlaceId, stays: Option<Duration>, now: Duration) {
        let Some(stays) = stays else { return self.leave(place) };
        match self.line.iter_mut().find(|waiter| waiter.place == place) {
            Some(waiter) => waiter.until = now + stays,
            None => {
                self.line.push(Waiter { since: now, place, until: now + stays });
                self.line.sort_by_key(|waiter| (waiter.since, waiter.place));
            }
        }
    }

    fn leave(&mut self, place: PlaceId) {
        self.line.retain(|waiter| waiter.place != place);
    }

    fn note(&mut self, news: News) {
        match news {
            News::Corrected(place, tokens) => {
                if let Some(counted) = self.counted.get(&place) {
                    self.window.correct(*counted, tokens);
                }
            }
            News::Released(place) => {
                self.held.remove(&place);
            }
            News::GivenBack(place) => {
                self.leave(place);
                self.held.remove(&place);
                if let Some(counted) = self.counted.remove(&place) {
                    self.window.give_back(counted);
                }
            }
        }
    }
}

#[async_trait]
impl SharedLimits for MemoryLimits {
    async fn take(&self, provider: &str, place: PlaceId, ask: &Ask) -> Result<Taken, Unreachable> {
        let now = self.now();
        Ok(self.providers().entry(provider.to_owned()).or_default().take(place, ask, now))
    }

    async fn settle(&self, provider: &str, news: &[News]) -> Result<(), Unreachable> {
        if let Some(places) = self.providers().get_mut(provider) {
            news.iter().for_each(|news| places.note(*news));
        }
        Ok(())
    }

    async fn renew(&self, provider: &str, places: &[PlaceId], lease: Duration) -> Result<(), Unreachable> {
        let until = self.now() + lease;
        let mut providers = self.providers();
        let held = &mut providers.entry(provider.to_owned()).or_default().held;
        held.extend(places.iter().map(|place| (*place, until)));
        Ok(())
    }
}
