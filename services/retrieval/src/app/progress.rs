//! Wakes those who wait: watchers of an ingestion, and the worker.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use copydesk_types::{IngestionId, TenantId};
use tokio::sync::{Notify, watch};

/// Who waits for what. A wake-up says "look again", never what changed: the rows say that.
#[derive(Debug, Default)]
pub struct Progress {
    watched: Mutex<HashMap<IngestionId, watch::Sender<()>>>,
    abandoned: Mutex<Vec<(TenantId, IngestionId)>>,
    work: Notify,
    reembedding: Notify,
}

impl Progress {
    /// Something that changes whenever the ingestion may have.
    pub fn subscribe(&self, id: IngestionId) -> watch::Receiver<()> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, sender| sender.receiver_count() > 0);
        watched.entry(id).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// Wakes the watchers of an ingestion.
    pub fn notify(&self, id: IngestionId) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(&id) {
            sender.send_replace(());
        }
    }

    /// Wakes every watcher.
    pub fn notify_all(&self) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in watched.values() {
            sender.send_replace(());
        }
    }

    /// Wakes the worker.
    pub fn work_came(&self) {
        self.work.notify_one();
    }

    /// Waits for [`work_came`](Self::work_came); one that came before counts.
    pub async fn work(&self) {
        self.work.notified().await;
    }

    /// Wakes the worker of changes of embedder.
    pub fn reembedding_came(&self) {
        self.reembedding.notify_one();
    }

    /// Waits for [`reembedding_came`](Self::reembedding_came); one that came before counts.
    pub async fn reembedding(&self) {
        self.reembedding.notified().await;
    }

    /// Leaves the staging area of a broken upload to the worker: the upload's own call is gone.
    pub fn abandon(&self, tenant: TenantId, id: IngestionId) {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).push((tenant, id));
        self.work.notify_one();
    }

    /// Takes what was abandoned.
    pub fn take_abandoned(&self) -> Vec<(TenantId, IngestionId)> {
        std::mem::take(&mut self.abandoned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
