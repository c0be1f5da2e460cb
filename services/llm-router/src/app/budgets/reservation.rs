//! Money set aside for one call.
use std::sync::Arc;

use copydesk_types::NanoDollars;

use super::held::Held;

/// Money set aside for one call in every budget that covers it. Dropped without [`settle`](Self::settle) it is free
/// again: the call cost nothing.
#[must_use = "dropping it frees the money"]
pub struct Reservation {
    worst: i64,
    parts: Vec<Arc<Held>>,
}

impl Reservation {
    pub(super) fn of(worst: i64) -> Self {
        Self { worst, parts: Vec::new() }
    }

    pub(super) fn worst(&self) -> i64 {
        self.worst
    }

    pub(super) fn add(&mut self, held: Arc<Held>) {
        self.parts.push(held);
    }

    /// Counts what the call has cost. More than was set aside is counted all the same, even beyond the limit. The
    /// warnings after it, as [`warnings`](Self::warnings) gives them.
    pub fn settle(mut self, actual: NanoDollars) -> Vec<String> {
        let actual = actual.0.max(0);
        for held in &self.parts {
            if actual > self.worst {
                let key = held.key();
                tracing::warn!(
                    tenant = %held.tenant(),
                    subject = key.kind.as_str(),
                    period = key.period.as_str(),
                    worst_nanos = self.worst,
                    actual_nanos = actual,
                    "a call cost more than was set aside for it"
                );
            }
            held.settle(self.worst, actual);
        }
        let warnings = self.warnings();
        self.parts.clear();
        warnings
    }

    /// The budgets of the call of which more than the soft limit is spent, each as `<subject> <period>`.
    pub fn warnings(&self) -> Vec<String> {
        let passed = self.parts.iter().filter(|held| held.is_soft_passed());
        passed.map(|held| held.key().to_string()).collect()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for held in &self.parts {
            held.settle(self.worst, 0);
        }
    }
}
