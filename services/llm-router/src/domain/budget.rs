//! Budgets: whose money is limited, over which time, and the arithmetic of sharing a limit between replicas.
//!
//! A window is one budget in one period. Its `granted` amount is what was spent before the first grant and what all
//! replicas hold of it, and never more than the limit; a replica holds a [`Slice`] and never promises more than that.
mod period;
mod slice;

use std::fmt;

use copydesk_types::NanoDollars;

use super::Attribution;

pub use period::{Period, Window, date};
pub use slice::{Slice, reconciled, slice_of};

/// Whose money is limited. The numbers are the contract's and the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectKind {
    /// The whole tenant's.
    Tenant = 1,
    /// That of one agent's calls.
    Agent = 2,
    /// That of one run's calls.
    Run = 3,
}

impl SubjectKind {
    /// The kind with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        [Self::Tenant, Self::Agent, Self::Run].into_iter().find(|kind| *kind as i64 == number)
    }

    /// The word in warnings, faults and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Agent => "agent",
            Self::Run => "run",
        }
    }
}

/// Which budget of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BudgetKey {
    /// Whose money.
    pub kind: SubjectKind,
    /// The agent's name or the run's id; empty for the tenant.
    pub subject: String,
    /// Over which time.
    pub period: Period,
}

impl fmt::Display for BudgetKey {
    /// `<subject kind> <period>`, for example `tenant day`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.period.as_str())
    }
}

/// The numbers of a budget, in nano-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most that may be spent in a period, 0 or more.
    pub limit: i64,
    /// From this on answers carry a warning; 0: never.
    pub soft: i64,
}

impl Limits {
    /// The soft limit where none was given: four fifths of the limit.
    pub fn usual_soft(limit: i64) -> i64 {
        limit / 5 * 4 + limit % 5 * 4 / 5
    }
}

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its own name, new whenever a budget is made, so that one made anew shares nothing with the one before.
    pub id: String,
    /// Which one.
    pub key: BudgetKey,
    /// Its numbers.
    pub limits: Limits,
    /// Counts the changes of its numbers, from 1.
    pub version: i64,
}

impl Budget {
    /// Changes with every change of the limits.
    pub fn etag(&self) -> String {
        format!("{}-{}", self.id, self.version)
    }

    /// True when a call counts against it.
    pub fn covers(&self, whose: &Attribution) -> bool {
        match self.key.kind {
            SubjectKind::Tenant => true,
            SubjectKind::Agent => self.key.subject == whose.agent,
            SubjectKind::Run => whose.run.is_some_and(|run| run.to_string() == self.key.subject),
        }
    }
}

/// A budget and how it stands in its current window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The budget.
    pub budget: Budget,
    /// The window.
    pub window: Window,
    /// What was spent in it, as the ledger says.
    pub spent: NanoDollars,
    /// What replicas hold for calls under way and to come.
    pub held: NanoDollars,
    /// When the soft limit was passed in it, in milliseconds since 1970.
    pub soft_passed_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use copydesk_types::RunId;

    #[test]
    fn a_budget_covers_its_subject_only() {
        let run = RunId::from_u128(3);
        let whose = Attribution { run: Some(run), agent: "writer".into(), ..Attribution::default() };
        let covers = |kind, subject: &str| {
            let key = BudgetKey { kind, subject: subject.into(), period: Period::Day };
            let limits = Limits { limit: 1, soft: 0 };
            Budget { id: "b".into(), key, limits, version: 1 }.covers(&whose)
        };
        assert!(covers(SubjectKind::Tenant, ""));
        assert!(covers(SubjectKind::Agent, "writer") && !covers(SubjectKind::Agent, "critic"));
        assert!(covers(SubjectKind::Run, &run.to_string()));
        assert!(!covers(SubjectKind::Run, &RunId::from_u128(4).to_string()));
    }

    #[test]
    fn four_fifths_of_any_limit() {
        for (limit, soft) in [(0, 0), (1, 0), (4, 3), (5, 4), (100, 80), (i64::MAX, i64::MAX / 5 * 4 + 1)] {
            assert_eq!(Limits::usual_soft(limit), soft, "{limit}");
        }
    }
}
