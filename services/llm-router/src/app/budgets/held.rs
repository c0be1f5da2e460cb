//! What this replica holds of one budget in one window.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use copydesk_types::{NanoDollars, TenantId};
use tokio::time::Instant;

use super::BudgetError;
use crate::domain::{Budget, BudgetKey, Limits, Slice, Window};
use crate::ports::Leased;

/// How long a refusal of the store is believed, so that many calls that find nothing left do not all ask.
const BELIEVED: Duration = Duration::from_millis(100);

/// A budget's name and numbers, shared by all of its windows.
pub(super) struct Terms {
    pub(super) id: String,
    pub(super) tenant: TenantId,
    pub(super) key: BudgetKey,
    limits: Mutex<Limits>,
}

impl Terms {
    pub(super) fn new(tenant: TenantId, budget: Budget) -> Self {
        Self { id: budget.id, tenant, key: budget.key, limits: Mutex::new(budget.limits) }
    }

    pub(super) fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }
}

/// What this replica holds of one budget in one window.
pub(super) struct Held {
    terms: Arc<Terms>,
    pub(super) window: Window,
    /// Who talks to the store about this; only they change what is granted.
    pub(super) turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slice: Slice,
    /// Until when the slice may be spent; `None` before the store was asked.
    usable_until: Option<Instant>,
    renewed: Option<Instant>,
    /// What was spent when the store was told last.
    told: i64,
    granted_to_all: i64,
    spent_elsewhere: i64,
    /// What calls set aside since the last round, and in the round before it.
    wanted: [i64; 2],
    refused: Option<(Instant, i64)>,
    soft_noted: bool,
    gone: bool,
}

/// What to do for a call.
pub(super) enum Plan {
    /// Nothing: it is set aside.
    Reserved,
    /// Nothing: the store has just said that there is not so much.
    Refused,
    /// Ask the store.
    Ask(Ask),
}

/// What to tell the store.
pub(super) struct Ask {
    pub(super) target: i64,
    pub(super) spent: i64,
    pub(super) committed: i64,
    pub(super) need: i64,
}

impl Held {
    pub(super) fn new(terms: Arc<Terms>, window: Window) -> Self {
        Self { terms, window, turn: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    pub(super) fn budget(&self) -> &str {
        &self.terms.id
    }

    pub(super) fn tenant(&self) -> TenantId {
        self.terms.tenant
    }

    pub(super) fn key(&self) -> &BudgetKey {
        &self.terms.key
    }

    /// Sets an amount aside from memory; false when the slice is too small, or the lease may have run out.
    pub(super) fn reserve(&self, worst: i64, now: Instant) -> bool {
        self.lock().reserve(worst, now)
    }

    /// A call that had set `worst` aside has cost `actual`.
    pub(super) fn settle(&self, worst: i64, actual: i64) {
        if worst != 0 || actual != 0 {
            self.lock().slice.settle(worst, actual);
        }
    }

    /// What to do for a call that found too little. Only for whose turn it is.
    pub(super) fn plan(&self, worst: i64, now: Instant) -> Plan {
        let mut state = self.lock();
        if state.reserve(worst, now) {
            return Plan::Reserved;
        }
        let believed = |(at, _): &(Instant, i64)| now.saturating_duration_since(*at) < BELIEVED;
        if state.is_usable(now) && state.refused.filter(believed).is_some_and(|(_, least)| worst >= least) {
            return Plan::Refused;
        }
        let need = worst.saturating_sub(state.slice.available()).max(0);
        Plan::Ask(state.ask(need))
    }

    /// Lets go of what exceeds `keep`; what to tell the store. Only for whose turn it is.
    pub(super) fn give_back(&self, keep: i64) -> Ask {
        let mut state = self.lock();
        state.slice.trim(keep);
        state.ask(0)
    }

    /// Takes the store's answer to what it was told at `sent`, and sets `worst` aside if that can be done now.
    pub(super) fn learn(
        &self,
        ask: &Ask,
        leased: &Leased,
        sent: Instant,
        lease: Duration,
        worst: i64,
    ) -> bool {
        self.terms.set(leased.limits);
        let mut state = self.lock();
        state.slice.granted = leased.granted;
        state.usable_until = Some(sent + lease);
        state.renewed = Some(sent);
        state.told = ask.spent;
        state.granted_to_all = leased.granted_to_all;
        state.spent_elsewhere = leased.spent_elsewhere;
        state.refused = (!leased.enough).then(|| (Instant::now(), worst));
        worst > 0 && state.reserve(worst, sent)
    }

    /// Takes what the last round did not need, and counts anew; what should be kept.
    pub(super) fn wanted(&self) -> i64 {
        let limit = self.terms.limits().limit;
        let mut state = self.lock();
        let [now, before] = state.wanted;
        state.wanted = [0, now];
        state.refused = None;
        // A lowered limit: others may have nothing to give back, so everybody gives.
        if state.granted_to_all > limit { 0 } else { now.max(before) }
    }

    /// True when the store should hear of this: there is something to give back, to count, or to renew.
    pub(super) fn is_due(&self, keep: i64, now: Instant, lease: Duration) -> bool {
        let state = self.lock();
        let holds = state.slice.granted > state.slice.spent;
        let old = state.renewed.is_none_or(|renewed| now.saturating_duration_since(renewed) > lease / 3);
        !state.gone
            && (state.slice.spent != state.told
                || state.slice.granted < state.slice.committed()
                || state.slice.available() > keep
                || (holds && old))
    }

    /// True when nothing is set aside, and the store knows everything.
    pub(super) fn is_over(&self, now_ms: i64) -> bool {
        let state = self.lock();
        let told = state.slice.spent == state.told && state.slice.granted <= state.slice.spent;
        now_ms >= self.window.end_ms && (state.gone || (told && state.slice.reserved == 0))
    }

    /// What could still be set aside, as far as is known.
    pub(super) fn left(&self, now: Instant) -> i64 {
        let limit = self.terms.limits().limit;
        let state = self.lock();
        let own = if state.is_usable(now) { state.slice.available() } else { 0 };
        own.saturating_add(limit.saturating_sub(state.granted_to_all).max(0))
    }

    pub(super) fn exhausted(&self, worst: i64, at_ms: i64) -> BudgetError {
        let wait = u64::try_from(self.window.end_ms.saturating_sub(at_ms)).unwrap_or(0);
        BudgetError::Exhausted {
            subject: self.terms.key.kind,
            period: self.terms.key.period,
            limit: NanoDollars(self.terms.limits().limit),
            left: NanoDollars(self.left(Instant::now())),
            worst: NanoDollars(worst),
            resets_in: (self.window.end_ms < i64::MAX).then(|| Duration::from_millis(wait)),
        }
    }

    /// True when more than the soft limit is spent, as far as is known.
    pub(super) fn is_soft_passed(&self) -> bool {
        let soft = self.terms.limits().soft;
        let state = self.lock();
        soft > 0 && state.spent_elsewhere.saturating_add(state.slice.spent) >= soft
    }

    /// True when the soft limit is passed and nobody has noted that yet.
    pub(super) fn must_note_soft(&self) -> bool {
        self.is_soft_passed() && !self.lock().soft_noted
    }

    pub(super) fn soft_noted(&self) {
        self.lock().soft_noted = true;
    }

    /// True when the store was asked before.
    pub(super) fn is_known(&self) -> bool {
        self.lock().renewed.is_some()
    }

    /// The budget was removed: it limits nothing any more.
    pub(super) fn forget(&self) {
        self.lock().gone = true;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every operation, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_usable(&self, now: Instant) -> bool {
        self.usable_until.is_some_and(|until| now < until)
    }

    fn reserve(&mut self, worst: i64, now: Instant) -> bool {
        let done = self.is_usable(now) && self.slice.reserve(worst);
        if done {
            self.wanted[0] = self.wanted[0].saturating_add(worst);
        }
        done
    }

    fn ask(&self, need: i64) -> Ask {
        let slice = self.slice;
        Ask { target: slice.granted, spent: slice.spent, committed: slice.committed(), need }
    }
}
