//! Ending a run before its time.
use copydesk_rpc::ServiceError;
use copydesk_types::{RunId, TenantId};

use super::{App, no_such_run};
use crate::domain::run::{Ending, Run, Step};
use crate::error::of_store;

impl App {
    /// Ends a run unless it has ended. What this process does for it is dropped at once, down to the provider's
    /// socket; another process notices within its next look at what it holds.
    #[tracing::instrument(name = "runs.cancel", skip_all)]
    pub(crate) async fn cancel_run(
        &self,
        tenant: TenantId,
        run_id: RunId,
    ) -> Result<(Run, Vec<Step>), ServiceError> {
        let store = &self.ports.store;
        let ended = store.end(tenant, run_id, Ending::cancelled(), self.now()).await.map_err(of_store)?;
        let (run, by_us) = ended.ok_or_else(|| no_such_run(run_id))?;
        if by_us {
            self.ended(&run);
        }
        let steps = store.steps(tenant, run_id).await.map_err(of_store)?;
        Ok((run, steps))
    }
}
