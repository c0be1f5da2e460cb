//! Budgets: what a call may cost is set aside before it, and what it cost is counted after it.
//!
//! Each replica holds a slice of every budget that it uses, and decides from memory while the slice lasts. How slices
//! are cut and taken back: [`crate::domain::Slice`] and the store.
mod held;
mod lines;
mod reservation;
mod rounds;
mod set;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use copydesk_store::StoreError;
use copydesk_types::{NanoDollars, TenantId};
use tokio::time::Instant;

use crate::adapters::Replica;
use crate::config::BudgetConfig;
use crate::domain::{Attribution, Period, SubjectKind};
use crate::metrics::Metrics;
use crate::ports::{BudgetStore, Clock, LeaseAsk};

use held::{Held, Plan};
use lines::Lines;

pub use reservation::Reservation;

/// How often a call asks for more, when others are faster each time.
const TRIES: usize = 16;
/// How many tenants may be read for the first time at once.
const READERS: usize = 16;

/// Why a call may not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BudgetError {
    /// It might cost more than a budget has left.
    #[error("the {} budget of the {} has {left} left of {limit}, and the call may cost {worst}", period.as_str(), subject.as_str())]
    Exhausted {
        /// Whose budget.
        subject: SubjectKind,
        /// Over which time.
        period: Period,
        /// The most that may be spent in the period.
        limit: NanoDollars,
        /// What could still be set aside.
        left: NanoDollars,
        /// What the call may cost at most.
        worst: NanoDollars,
        /// How long the period lasts; `None` when it has no end.
        resets_in: Option<Duration>,
    },
    /// The database was needed and failed.
    #[error("the router's database failed")]
    Store(#[source] Arc<StoreError>),
}

impl From<StoreError> for BudgetError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// The budgets of all tenants, as this replica knows and holds them.
pub struct Budgets {
    store: Arc<dyn BudgetStore>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    replica: Names,
    ratio: f64,
    lease: Duration,
    tenants: RwLock<HashMap<TenantId, Arc<Lines>>>,
    /// Whose turn it is to read a tenant for the first time: a thousand calls right after a start need one reading.
    turns: [tokio::sync::Mutex<()>; READERS],
}

/// The names of the replica and of its run.
struct Names {
    id: String,
    run: String,
}

impl Budgets {
    /// What this replica holds, which is nothing yet. [`Budgets::run`] must run beside it.
    pub fn new(
        store: Arc<dyn BudgetStore>,
        clock: Arc<dyn Clock>,
        replica: &Replica,
        config: &BudgetConfig,
        metrics: Metrics,
    ) -> Self {
        let replica = Names { id: replica.id().to_owned(), run: replica.run().to_owned() };
        let lease = Duration::from_secs(u64::from(config.lease_s));
        let (tenants, turns) = (RwLock::default(), Default::default());
        Self { store, clock, metrics, replica, ratio: config.slice_ratio, lease, tenants, turns }
    }

    /// Sets aside what a call may cost at most, 0 or more, in every budget that covers it: in all or in none.
    /// `ordered_ms` is when the caller's request came, in milliseconds since 1970; it says which periods are meant.
    ///
    /// # Errors
    /// A budget has not enough left, or the database is needed and fails.
    pub async fn reserve(
        &self,
        tenant: TenantId,
        whose: &Attribution,
        ordered_ms: i64,
        worst: NanoDollars,
    ) -> Result<Reservation, BudgetError> {
        let lines = self.lines(tenant).await?;
        let mut reservation = Reservation::of(worst.0.max(0));
        for line in lines.covering(whose) {
            let held = line.held(ordered_ms);
            if self.take(&held, reservation.worst(), ordered_ms).await? {
                reservation.add(held);
            }
        }
        Ok(reservation)
    }

    /// The least that the budgets of a call have left, as far as this replica knows: never less than what it holds.
    /// `None` when no budget covers the call, or nothing can be known.
    pub async fn left(&self, tenant: TenantId, whose: &Attribution, ordered_ms: i64) -> Option<NanoDollars> {
        let lines = self.lines(tenant).await.ok()?;
        let mut least = None;
        for line in lines.covering(whose) {
            let held = line.held(ordered_ms);
            if !held.is_known() {
                self.renew(&held, i64::MAX).await.ok()?;
            }
            let left = held.left(Instant::now());
            least = Some(least.map_or(left, |least: i64| least.min(left)));
        }
        least.map(NanoDollars)
    }

    /// Sets an amount aside in one budget; false when the budget is gone.
    async fn take(&self, held: &Held, worst: i64, at_ms: i64) -> Result<bool, BudgetError> {
        if held.is_gone() {
            return Ok(false);
        }
        if worst == 0 || held.reserve(worst, Instant::now()) {
            return Ok(true);
        }
        let _turn = held.turn.lock().await;
        for _ in 0..TRIES {
            let sent = Instant::now();
            let ask = match held.plan(worst, sent) {
                Plan::Reserved => return Ok(true),
                Plan::Refused => break,
                Plan::Ask(ask) => ask,
            };
            let Some(leased) = self.store.lease(&self.ask(held, &ask)).await? else {
                held.forget();
                return Ok(false);
            };
            if held.learn(&ask, &leased, sent, self.lease, worst) {
                return Ok(true);
            }
            if !leased.enough {
                break;
            }
        }
        Err(held.exhausted(worst, at_ms))
    }

    /// Tells the store what was spent, gives back what exceeds `keep`, and holds the rest for another lease.
    async fn renew(&self, held: &Held, keep: i64) -> Result<(), StoreError> {
        let _turn = held.turn.lock().await;
        let ask = held.give_back(keep);
        let sent = Instant::now();
        match self.store.lease(&self.ask(held, &ask)).await? {
            Some(leased) => {
                held.learn(&ask, &leased, sent, self.lease, 0);
            }
            None => held.forget(),
        }
        Ok(())
    }

    fn ask<'a>(&'a self, held: &'a Held, ask: &held::Ask) -> LeaseAsk<'a> {
        LeaseAsk {
            budget: held.budget(),
            window: held.window,
            replica: &self.replica.run,
            target: ask.target,
            spent: ask.spent,
            committed: ask.committed,
            need: ask.need,
            ratio: self.ratio,
        }
    }

    /// The budgets of a tenant, from memory but for the first time.
    async fn lines(&self, tenant: TenantId) -> Result<Arc<Lines>, StoreError> {
        if let Some(lines) = self.known(tenant) {
            return Ok(lines);
        }
        let _turn = self.turns[(tenant.as_u128() % READERS as u128) as usize].lock().await;
        match self.known(tenant) {
            Some(lines) => Ok(lines),
            None => self.load(tenant).await,
        }
    }

    fn known(&self, tenant: TenantId) -> Option<Arc<Lines>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.get(&tenant).map(|lines| {
            lines.touch();
            Arc::clone(lines)
        })
    }

    /// Reads the budgets of a tenant. What is held of those that are still there stays held.
    async fn load(&self, tenant: TenantId) -> Result<Arc<Lines>, StoreError> {
        let (version, budgets) = self.store.budgets(tenant).await?;
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.get(&tenant);
        if let Some(known) = known.filter(|known| known.version >= version) {
            return Ok(Arc::clone(known));
        }
        let lines = Arc::new(Lines::new(tenant, version, budgets, known.map(Arc::as_ref)));
        tenants.insert(tenant, Arc::clone(&lines));
        Ok(lines)
    }
}
