//! One run with its steps.
use copydesk_rpc::ServiceError;
use copydesk_types::{RunId, TenantId};

use super::{App, no_such_run};
use crate::domain::run::{Run, Step};
use crate::error::of_store;

impl App {
    /// A run of the tenant and its steps in the order in which they were planned.
    #[tracing::instrument(name = "runs.get", skip_all)]
    pub(crate) async fn get_run(
        &self,
        tenant: TenantId,
        run_id: RunId,
    ) -> Result<(Run, Vec<Step>), ServiceError> {
        let store = &self.ports.store;
        let run = store.get(tenant, run_id).await.map_err(of_store)?.ok_or_else(|| no_such_run(run_id))?;
        let steps = store.steps(tenant, run_id).await.map_err(of_store)?;
        Ok((run, steps))
    }
}
