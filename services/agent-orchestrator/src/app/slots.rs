//! The steps that this process works on, each with the token that drops it.
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use copydesk_types::RunId;
use tokio_util::sync::CancellationToken;

use crate::ports::Claim;

/// The running steps.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashMap<Claim, CancellationToken>>);

impl Slots {
    fn lock(&self) -> MutexGuard<'_, HashMap<Claim, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step begins; its token drops it.
    pub(super) fn begin(&self, claim: &Claim) -> CancellationToken {
        let token = CancellationToken::new();
        self.lock().insert(claim.clone(), token.clone());
        token
    }

    /// A step is no longer at work here.
    pub(super) fn end(&self, claim: &Claim) {
        self.lock().remove(claim);
    }

    /// How many are at work.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The steps at work.
    pub(super) fn claims(&self) -> Vec<Claim> {
        self.lock().keys().cloned().collect()
    }

    /// The runs at work.
    pub(super) fn runs(&self) -> HashSet<RunId> {
        self.lock().keys().map(|claim| claim.run_id).collect()
    }

    /// Drops the steps of a run.
    pub(super) fn cancel(&self, run_id: RunId) {
        self.lock().iter().filter(|(claim, _)| claim.run_id == run_id).for_each(|(_, token)| token.cancel());
    }

    /// Drops every step.
    pub(super) fn cancel_all(&self) {
        self.lock().values().for_each(CancellationToken::cancel);
    }

    /// Drops those of `known` that are not among `held`: another worker has them, or their run has ended.
    pub(super) fn keep(&self, known: &[Claim], held: &HashSet<Claim>) {
        let running = self.lock();
        for claim in known.iter().filter(|claim| !held.contains(*claim)) {
            if let Some(token) = running.get(claim) {
                token.cancel();
            }
        }
    }
}
