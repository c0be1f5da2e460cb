//! Limits that replicas share: a port, and what keeps them.
//!
//! A place is one call under way to a provider. It counts as under way until it is released or its lease ends, and in the
//! minute's window for a minute. Not here: what a process limits by itself, and who waits how long (`app::Gate`).
mod memory;
mod redis;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::CacheConfig;
use crate::domain::Rates;
use crate::error::Error;

pub use memory::MemoryLimits;
pub use redis::RedisLimits;

pub use crate::adapters::{BadUrl, Patience};

/// Counts the places of providers, for all who ask. Providers are told apart by name.
#[async_trait]
pub trait SharedLimits: Send + Sync {
    /// Takes a place, or says what is lacking; then nothing is taken. No minute ever holds more calls or tokens than the
    /// rates say, but a call larger than the whole limit of tokens fits when nothing else is in the window.
    ///
    /// Who was refused may ask for the same place again. Where only too many calls are under way, those who wait
    /// ([`Ask::waits`]) get the places that come free in the order in which they came, and before all others, so that a
    /// busy replica does not take them all.
    ///
    /// # Errors
    /// There is no answer; the place may be taken all the same.
    async fn take(&self, provider: &str, place: PlaceId, ask: &Ask) -> Result<Taken, Unreachable>;

    /// Notes what became of places, in this order. Places that are gone are passed over.
    ///
    /// # Errors
    /// There is no answer; any part of it may have been noted.
    async fn settle(&self, provider: &str, news: &[News]) -> Result<(), Unreachable>;

    /// Holds places until `lease` from now, also those whose lease has ended: their calls are under way.
    ///
    /// # Errors
    /// There is no answer; any of them may be held.
    async fn renew(&self, provider: &str, places: &[PlaceId], lease: Duration) -> Result<(), Unreachable>;
}

/// The name of a place, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceId(pub u128);

impl fmt::Display for PlaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for PlaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a place is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// What may happen in any minute.
    pub rates: Rates,
    /// The most calls under way at once; 0: any number.
    pub concurrency: u32,
    /// About so many tokens.
    pub tokens: u64,
    /// How long it is held without being renewed.
    pub lease: Duration,
    /// How long the asker keeps its position among those who wait without asking again; `None`: it does not wait.
    pub waits: Option<Duration>,
}

/// How asking for a place ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The place is the asker's.
    Yes,
    /// There is none now.
    No {
        /// How long until the window has room; zero: it has room.
        wait: Duration,
        /// True when too many calls are under way.
        crowded: bool,
    },
}

/// What became of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The true number of the call's tokens.
    Corrected(PlaceId, u64),
    /// The call has ended.
    Released(PlaceId),
    /// The call was not made: its place was never taken. Who waited for it waits no more.
    GivenBack(PlaceId),
}

/// The limits were not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared limits cannot be reached")]
pub struct Unreachable;

/// How long Redis is left alone after it gave no answer.
const REST: Duration = Duration::from_secs(3);

/// The limits that the settings ask for; `None`: each replica has its own. Nothing is connected yet.
///
/// # Errors
/// The address of Redis is wrong.
pub fn build(config: &CacheConfig) -> Result<Option<Arc<dyn SharedLimits>>, Error> {
    let Some(url) = &config.redis_url else { return Ok(None) };
    let patience = Patience { limit: Duration::from_millis(config.limits_wait_ms.into()), rest: REST };
    let limits = RedisLimits::new(url, patience);
    Ok(Some(Arc::new(limits.map_err(|error| Error::Config(vec![format!("cache.redis_url: {error}")]))?)))
}
