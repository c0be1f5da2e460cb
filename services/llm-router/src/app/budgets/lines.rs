//! The budgets of one tenant, found by what a call says of itself.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use copydesk_types::{RunId, TenantId};

use super::held::{Held, Terms};
use crate::domain::{Attribution, Budget, SubjectKind};

/// The budgets of one tenant.
#[derive(Default)]
pub(super) struct Lines {
    /// The number of changes that they are the outcome of.
    pub(super) version: i64,
    tenant: Vec<Arc<Line>>,
    agents: HashMap<String, Vec<Arc<Line>>>,
    runs: HashMap<RunId, Vec<Arc<Line>>>,
    used: AtomicBool,
}

/// One budget, and what is held of it: usually of one window, around midnight of two.
pub(super) struct Line {
    terms: Arc<Terms>,
    held: Mutex<Vec<Arc<Held>>>,
}

impl Lines {
    /// The lines of these budgets; those that were there before stay the same objects.
    pub(super) fn new(tenant: TenantId, version: i64, budgets: Vec<Budget>, before: Option<&Lines>) -> Self {
        let mut lines = Self { version, used: AtomicBool::new(true), ..Self::default() };
        let known: HashMap<&str, &Arc<Line>> =
            before.into_iter().flat_map(Lines::all).map(|line| (line.terms.id.as_str(), line)).collect();
        for budget in budgets {
            let line = match known.get(budget.id.as_str()) {
                Some(line) => {
                    line.terms.set(budget.limits);
                    Arc::clone(line)
                }
                None => {
                    Arc::new(Line { terms: Arc::new(Terms::new(tenant, budget)), held: Mutex::default() })
                }
            };
            lines.add(line);
        }
        lines
    }

    fn add(&mut self, line: Arc<Line>) {
        let key = &line.terms.key;
        match key.kind {
            SubjectKind::Tenant => self.tenant.push(line),
            SubjectKind::Agent => self.agents.entry(key.subject.clone()).or_default().push(line),
            SubjectKind::Run => {
                if let Ok(run) = key.subject.parse() {
                    self.runs.entry(run).or_default().push(line);
                }
            }
        }
    }

    /// The budgets that a call counts against.
    pub(super) fn covering(&self, whose: &Attribution) -> impl Iterator<Item = &Arc<Line>> {
        let agent = self.agents.get(&whose.agent).into_iter().flatten();
        let run = whose.run.and_then(|run| self.runs.get(&run)).into_iter().flatten();
        self.tenant.iter().chain(agent).chain(run)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Line>> {
        let agents = self.agents.values().flatten();
        self.tenant.iter().chain(agents).chain(self.runs.values().flatten())
    }

    pub(super) fn touch(&self) {
        // A load first: the line in the processor's cache stays shared while nothing changes.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// True when a call asked since this was asked last.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tenant.is_empty() && self.agents.is_empty() && self.runs.is_empty()
    }
}

impl Line {
    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What is held of the window that a time is in.
    pub(super) fn held(&self, at_ms: i64) -> Arc<Held> {
        let mut all = self.lock();
        if let Some(held) = all.iter().find(|held| held.window.holds(at_ms)) {
            return Arc::clone(held);
        }
        let window = self.terms.key.period.window(at_ms);
        let held = Arc::new(Held::new(Arc::clone(&self.terms), window));
        all.push(Arc::clone(&held));
        held
    }

    /// What is held of any window.
    pub(super) fn all_held(&self) -> Vec<Arc<Held>> {
        self.lock().clone()
    }

    /// Drops windows that are over and that nobody holds anything of.
    pub(super) fn drop_over(&self, now_ms: i64) {
        self.lock().retain(|held| Arc::strong_count(held) > 1 || !held.is_over(now_ms));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
