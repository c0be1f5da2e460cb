//! Follows an ingestion to its end.

use std::time::Duration;

use copydesk_rpc::{ServiceError, StreamSink};
use copydesk_types::{IngestionId, TenantId};

use super::Desk;
use crate::domain::records::Ingestion;
use crate::domain::stages::{IngestionDocument, Stage};
use crate::error::Error;

/// How long a watcher sleeps at most: another process on the same database wakes nobody here.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Documents told at once.
const TOLD: u32 = 100;

/// An ingestion as it stands, and what has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// As it stands.
    pub ingestion: Ingestion,
    /// The documents that ended since the change before, in that order, and the one at work.
    pub documents: Vec<IngestionDocument>,
}

/// Whether there is nothing to tell. The short stages of a document are told only when they are not short.
fn same(last: &Ingestion, now: &Ingestion, waited: bool) -> bool {
    let long = |at: Option<(u32, Stage)>| at.filter(|(_, stage)| waited || *stage == Stage::Embedding);
    long(last.at) == long(now.at) && *last == Ingestion { at: last.at, ..now.clone() }
}

impl Desk {
    /// Sends the ingestion as it is now and whenever it changed, until it has ended or nobody listens.
    ///
    /// # Errors
    /// `NotFound` when it is deleted meanwhile.
    pub async fn watch(
        &self,
        tenant: TenantId,
        id: IngestionId,
        sink: StreamSink<Change>,
    ) -> Result<(), ServiceError> {
        // Before the first look, so that no change falls in between.
        let mut changes = self.progress.subscribe(id);
        let (mut last, mut waited) = (None::<Ingestion>, true);
        loop {
            let now = self.ingestion(tenant, id).await?;
            let ended = now.state.is_final();
            if !last.as_ref().is_some_and(|last| same(last, &now, waited)) {
                let after = last.as_ref().map_or(now.changes, |last| last.changes);
                let documents = self.changed(tenant, &now, after).await?;
                last = Some(now.clone());
                if sink.send(Change { ingestion: now, documents }).await.is_err() {
                    return Ok(());
                }
            }
            if ended {
                return Ok(());
            }
            // An error inside would mean that the sender is gone: then time alone wakes us.
            waited = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await.is_err();
        }
    }

    async fn changed(
        &self,
        tenant: TenantId,
        now: &Ingestion,
        after: u64,
    ) -> Result<Vec<IngestionDocument>, Error> {
        let mut documents = Vec::new();
        if now.changes > after {
            // To what is told of the ingestion and no further: what ended since then comes next, and only once.
            let changes = after + 1..=now.changes;
            documents = self.ingestions.changed_documents(tenant, now.id, changes, TOLD).await?;
        }
        if let Some(at_work) = self.at_work(tenant, now).await? {
            documents.retain(|document| document.ordinal != at_work.ordinal);
            documents.push(at_work);
        }
        Ok(documents)
    }
}
