//! Shows an ingestion, and follows it to its end.

use std::time::Duration;

use copydesk_rpc::{ServiceError, StreamSink};
use copydesk_types::{IngestionId, TenantId};

use super::Desk;
use crate::domain::records::Ingestion;
use crate::error::{Error, Resource};

/// How long a watcher sleeps at most: another process on the same database wakes nobody here.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

impl Desk {
    /// One ingestion.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn ingestion(&self, tenant: TenantId, id: IngestionId) -> Result<Ingestion, Error> {
        let found = self.ingestions.ingestion(tenant, id).await?;
        found.ok_or_else(|| Error::NotFound(Resource::Ingestion, id.to_string()))
    }

    /// Sends the ingestion as it is now and whenever it changed, until it has ended or nobody listens.
    ///
    /// # Errors
    /// `NotFound` when it is deleted meanwhile.
    pub async fn watch(
        &self,
        tenant: TenantId,
        id: IngestionId,
        sink: StreamSink<Ingestion>,
    ) -> Result<(), ServiceError> {
        // Before the first look, so that no change falls in between.
        let mut changes = self.progress.subscribe(id);
        let mut last: Option<Ingestion> = None;
        loop {
            let now = self.ingestion(tenant, id).await?;
            let ended = now.state.is_final();
            if last.as_ref() != Some(&now) {
                if sink.send(now.clone()).await.is_err() {
                    return Ok(());
                }
                last = Some(now);
            }
            if ended {
                return Ok(());
            }
            // An error would mean that the sender is gone: then time alone wakes us.
            let _ = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await;
        }
    }
}
