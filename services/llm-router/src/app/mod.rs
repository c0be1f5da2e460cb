//! The desk: one use case per file, and what they share.
//!
//! A request becomes a [`course::Course`]; [`obtain`] looks whether its answer is there already or on its way, [`choice`]
//! decides which models may answer, [`walk`] goes down their chain, and [`generate`] or [`stream_generate`] ask each.
mod board;
mod breakdown;
mod budget;
mod budgets;
mod catalog;
mod choice;
mod count_tokens;
mod course;
mod draft;
mod embed;
mod facts;
mod flights;
mod forget;
mod gate;
mod generate;
mod ledger;
mod live;
mod obtain;
mod providers;
mod rerank;
mod stream_generate;
mod usage;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::domain::{Backoff, BreakerRules};
use crate::metrics::Metrics;
use crate::ports::{Clock, Store};

pub use board::{Board, Check, ModelHealth, ProviderHealth, Standing};
pub use budget::BudgetPage;
pub use budgets::{BudgetError, Budgets, Reservation};
pub use catalog::{Catalog, Target};
pub use count_tokens::Counted;
pub use embed::Embedded;
pub use facts::TaskFacts;
pub use gate::{Full, Gate, Pass};
pub use ledger::{Ledger, LedgerBehind, LedgerFull, LedgerTask};
pub use live::{ConfigUpdates, Live, Update};
pub use obtain::Visit;
pub use providers::Providers;
pub use rerank::Ranked;
pub use usage::UsagePage;

pub use flights::Deadline;
use flights::Flights;
use walk::Manner;

/// Everything that a use case needs.
pub struct Desk {
    live: Arc<Live>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    ledger: Arc<Ledger>,
    budgets: Arc<Budgets>,
    cache: Arc<dyn Cache>,
    /// Calls with a request id.
    by_id: Flights,
    /// Calls whose answer may be given to all who say the same.
    by_words: Flights,
}

/// What a desk is made of.
pub struct Parts {
    /// The configured models.
    pub live: Arc<Live>,
    /// Where answers are kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The instruments.
    pub metrics: Metrics,
    /// Where every call is written down.
    pub ledger: Arc<Ledger>,
    /// What may be spent.
    pub budgets: Arc<Budgets>,
    /// Answers and vectors given before.
    pub cache: Arc<dyn Cache>,
}

impl Desk {
    /// A desk.
    pub fn new(parts: Parts) -> Self {
        let Parts { live, store, clock, metrics, ledger, budgets, cache } = parts;
        let (by_id, by_words) = (Flights::default(), Flights::default());
        Self { live, store, clock, metrics, ledger, budgets, cache, by_id, by_words }
    }

    /// How chains are gone down, as it is configured now.
    fn manner(&self) -> Manner {
        self.catalog().config().retry.manner()
    }

    /// How long an answer at temperature 0 may be given again, as it is configured now.
    fn cache_ttl(&self) -> Duration {
        Duration::from_secs(self.catalog().config().cache.ttl_s.into())
    }

    /// How long vectors are kept, as it is configured now.
    fn embedding_ttl(&self) -> Duration {
        Duration::from_secs(self.catalog().config().cache.embedding_ttl_s.into())
    }

    /// The configured models, as they are now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.live.load()
    }
}

impl crate::config::BreakerConfig {
    /// As the breakers want them.
    pub(crate) fn rules(&self) -> BreakerRules {
        BreakerRules {
            failures: self.failures,
            failure_ratio: self.failure_ratio,
            window: Duration::from_secs(self.window_s.into()),
            open: Duration::from_secs(self.open_s.into()),
        }
    }
}

impl crate::config::RetryConfig {
    fn manner(&self) -> Manner {
        let ms = |number: u32| Duration::from_millis(number.into());
        let backoff = Backoff { base: ms(self.base_ms), longest: ms(self.longest_ms) };
        Manner { rounds: self.rounds, backoff, ratio: self.budget_ratio }
    }
}

fn micros_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
