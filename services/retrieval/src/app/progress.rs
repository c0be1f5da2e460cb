//! Wakes those who wait: watchers of an ingestion, and the workers. Knows what the workers of this process are at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use copydesk_types::{IngestionId, TenantId};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::domain::stages::Stage;

/// Who waits for what. A wake-up says "look again", never what changed: the rows say that.
#[derive(Debug, Default)]
pub struct Progress {
    watched: Mutex<HashMap<IngestionId, watch::Sender<()>>>,
    abandoned: Mutex<Vec<(TenantId, IngestionId)>>,
    at_work: Mutex<HashMap<IngestionId, Work>>,
    work: Notify,
    reembedding: Notify,
    objects: Notify,
}

/// What a worker of this process is at.
#[derive(Debug, Clone)]
struct Work {
    tenant: TenantId,
    at: Option<(u32, Stage)>,
    stop: CancellationToken,
}

/// A worker's hold on an ingestion; dropped, nobody is at it any more.
#[derive(Debug)]
pub struct AtWork {
    progress: Arc<Progress>,
    id: IngestionId,
    stop: CancellationToken,
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

    /// Wakes a worker.
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

    /// Wakes the sweeper of objects.
    pub fn objects_left(&self) {
        self.objects.notify_one();
    }

    /// Waits for [`objects_left`](Self::objects_left); one that came before counts.
    pub async fn objects(&self) {
        self.objects.notified().await;
    }

    /// Leaves the staging area of a broken upload to the workers: the upload's own call is gone.
    pub fn abandon(&self, tenant: TenantId, id: IngestionId) {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).push((tenant, id));
        self.work.notify_one();
    }

    /// Takes what was abandoned.
    pub fn take_abandoned(&self) -> Vec<(TenantId, IngestionId)> {
        std::mem::take(&mut self.abandoned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A worker of this process begins with an ingestion.
    pub fn begin(self: &Arc<Self>, tenant: TenantId, id: IngestionId) -> AtWork {
        let stop = CancellationToken::new();
        let work = Work { tenant, at: None, stop: stop.clone() };
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(id, work);
        AtWork { progress: Arc::clone(self), id, stop }
    }

    /// Where a worker of this process is in an ingestion: the document's place in the upload, and how far it is.
    pub fn at(&self, id: IngestionId) -> Option<(u32, Stage)> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).get(&id)?.at
    }

    /// Stops the work on an ingestion, if it is in this process. Its rows say already that it has ended.
    pub fn stop(&self, id: IngestionId) {
        if let Some(work) = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            work.stop.cancel();
        }
    }

    /// The tenants for whom `most` or more workers of this process are at work.
    pub fn busy(&self, most: usize) -> Vec<TenantId> {
        let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tenants: HashMap<TenantId, usize> = HashMap::new();
        for work in at_work.values() {
            *tenants.entry(work.tenant).or_default() += 1;
        }
        tenants.into_iter().filter(|(_, workers)| *workers >= most).map(|(tenant, _)| tenant).collect()
    }
}

impl AtWork {
    /// Tells how far a document is. Watchers hear of embedding alone: the other stages are short, and a wake-up for each
    /// of a small document would cost more than its work.
    pub fn tell(&self, ordinal: u32, stage: Stage) {
        if let Some(work) =
            self.progress.at_work.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&self.id)
        {
            work.at = Some((ordinal, stage));
        }
        if stage == Stage::Embedding {
            self.progress.notify(self.id);
        }
    }

    /// How far the document is.
    pub fn stage(&self) -> Stage {
        self.progress.at(self.id).map_or(Stage::Parsing, |(_, stage)| stage)
    }

    /// Waits until somebody stops the work.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.progress.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_who_is_busy_and_stops_the_work() {
        let progress = Arc::new(Progress::default());
        let (one, other) = (TenantId::from_u128(1), TenantId::from_u128(2));
        let (first, second, third) =
            (IngestionId::generate(), IngestionId::generate(), IngestionId::generate());
        let held = [progress.begin(one, first), progress.begin(one, second), progress.begin(other, third)];
        assert_eq!(progress.busy(2), [one]);
        held[0].tell(4, Stage::Embedding);
        assert_eq!((progress.at(first), progress.at(second)), (Some((4, Stage::Embedding)), None));
        assert_eq!((held[0].stage(), held[1].stage()), (Stage::Embedding, Stage::Parsing));
        progress.stop(first);
        held[0].stopped().await;
        drop(held);
        assert_eq!((progress.busy(1), progress.at(first)), (vec![], None));
    }
}
