//! What came of runs.

use copydesk_types::{RunId, TenantId};

use super::App;
use crate::domain::outcome::Outcome;
use crate::error::Error;

impl App {
    /// Stores the end of a run; false when it is known already, whatever it said then: the first one wins.
    ///
    /// # Errors
    /// [`Error::Store`].
    #[tracing::instrument(name = "learning.record_outcome", skip_all)]
    pub async fn record_outcome(&self, tenant: TenantId, outcome: &Outcome) -> Result<bool, Error> {
        let recorded = self.store.record_outcome(tenant, outcome).await?;
        if recorded {
            self.metrics.outcome(outcome.state, outcome.degraded);
        }
        Ok(recorded)
    }

    /// The end of a run.
    ///
    /// # Errors
    /// [`Error::OutcomeNotFound`] when it is not known to this tenant.
    pub async fn get_outcome(&self, tenant: TenantId, run: RunId) -> Result<Outcome, Error> {
        self.store.outcome(tenant, run).await?.ok_or(Error::OutcomeNotFound(run))
    }
}
