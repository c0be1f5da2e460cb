//! So many calls of this process at once.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Counted;

/// Stands for any number of places.
pub(super) const ANY: usize = Semaphore::MAX_PERMITS;

/// The places, given first come first served.
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// Places that must vanish when they come free, because the limit was lowered.
    surplus: AtomicUsize,
    waiting: AtomicU32,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(ANY)),
            surplus: AtomicUsize::default(),
            waiting: AtomicU32::default(),
        }
    }
}

impl Places {
    /// Makes them so many. Who has one keeps it. Not for two at once.
    pub(super) fn resize(&self, before: usize, wanted: usize) {
        if wanted >= before {
            let owed = wanted - before;
            let kept = self
                .surplus
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| Some(n.saturating_sub(owed)));
            self.free.add_permits(owed - kept.unwrap_or(0).min(owed));
        } else {
            let excess = before - wanted;
            let gone = self.free.forget_permits(excess);
            self.surplus.fetch_add(excess - gone, Ordering::AcqRel);
        }
    }

    /// A place; waits for it until then at the most.
    pub(super) async fn take(self: &Arc<Self>, until: Instant) -> Option<Permit> {
        loop {
            let permit = match Arc::clone(&self.free).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => {
                    let _counted = Counted::new(&self.waiting);
                    let waited = timeout_at(until, Arc::clone(&self.free).acquire_owned()).await;
                    waited.ok()?.ok()?
                }
            };
            let mut permit = Permit { places: Arc::clone(self), permit: Some(permit) };
            // The limit may have been lowered while the place was on its way here.
            if !permit.is_surplus() {
                return Some(permit);
            }
        }
    }

    /// Who waits for a place.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// One of the places. Dropping it makes it free.
pub(super) struct Permit {
    places: Arc<Places>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// True when there are too many places since the limit was lowered; then it is gone.
    pub(super) fn is_surplus(&mut self) -> bool {
        let surplus = &self.places.surplus;
        let surplus = surplus.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok();
        if surplus && let Some(permit) = self.permit.take() {
            permit.forget();
        }
        surplus
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.permit.is_some() {
            self.is_surplus();
        }
    }
}
