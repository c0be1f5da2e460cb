//! Pages of runs.
use copydesk_rpc::ServiceError;
use copydesk_types::{RunId, TenantId};

use super::App;
use crate::domain::run::Run;
use crate::error::of_store;
use crate::ports::ListFilter;

impl App {
    /// Up to `filter.limit` runs, newest first, and after which run the next page begins, if there is one.
    #[tracing::instrument(name = "runs.list", skip_all)]
    pub(crate) async fn list_runs(
        &self,
        tenant: TenantId,
        mut filter: ListFilter,
    ) -> Result<(Vec<Run>, Option<RunId>), ServiceError> {
        let wanted = filter.limit as usize;
        filter.limit = filter.limit.saturating_add(1);
        let mut runs = self.ports.store.list(tenant, &filter).await.map_err(of_store)?;
        let more = runs.len() > wanted;
        runs.truncate(wanted);
        let next = runs.last().map(|run| run.run_id).filter(|_| more);
        Ok((runs, next))
    }
}
