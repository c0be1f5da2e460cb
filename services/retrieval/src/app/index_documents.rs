//! The workers: each takes uploads one after the other and makes their documents searchable, each in one transaction.
//!
//! They keep no state of their own. What is done is in the rows, so a process that dies anywhere leaves whole documents
//! and jobs that the next one takes up where they stood. A document at which processes die is tried alone, and after
//! three losses no more.

use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::Delegation;
use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::progress::AtWork;
use super::{Desk, index_one};
use crate::domain::origin::SourceState;
use crate::domain::records::{StagedDocument, reason};
use crate::domain::stages::{OverQuota, Stage};
use crate::error::Error;
use crate::ports::{Finish, Finished, Item, ItemOutcome, Job, JobSource};

/// How long a worker may be silent before another takes its job, in milliseconds. Each document renews it.
const LEASE: i64 = 60_000;
/// How often the lease is renewed in the middle of a document.
const RENEW: Duration = Duration::from_secs(20);
/// How long a job may keep other tenants waiting, in milliseconds; it is looked at between documents.
const SHARE: i64 = 1_000;
/// How old a staging area must be before it counts as left behind, in milliseconds: longer than an upload may last.
const STALE: i64 = 2 * 60 * 60 * 1000;
/// How often to look for work that another process left or queued.
const IDLE: Duration = Duration::from_secs(5);
/// How long to wait after a failure of the store.
const BACKOFF: Duration = Duration::from_secs(1);
/// How often ended ingestions are looked at whether their retention has ended.
const SWEEP: Duration = Duration::from_secs(60 * 60);
/// Ingestions that expire in one go.
const SWEPT: u32 = 100;

/// The background work of a process.
pub struct Workers {
    desk: Desk,
    /// When it was made: before the first upload of this process.
    started: i64,
}

/// One of the workers.
struct Worker {
    desk: Desk,
    /// Held for reading by who is at a document, for writing by who is at one at which work was lost before: that one
    /// is alone in the process, so that no other document is blamed should the process die again.
    alone: Arc<RwLock<()>>,
    /// The job that it holds.
    held: Mutex<Option<Job>>,
}

/// Whether the job may go on.
#[derive(PartialEq, Eq)]
enum Turn {
    More,
    Ended,
}

impl Workers {
    /// The workers at a desk.
    pub fn new(desk: Desk) -> Self {
        let started = desk.clock.now();
        Self { desk, started }
    }

    /// Works until it is told to stop. What is stopped in the middle is rolled back and done again later.
    pub async fn run(self, stop: CancellationToken) {
        self.recover().await;
        let alone = Arc::new(RwLock::new(()));
        let mut workers = JoinSet::new();
        for _ in 0..self.desk.config.workers.count {
            let worker =
                Worker { desk: self.desk.clone(), alone: Arc::clone(&alone), held: Mutex::default() };
            workers.spawn(worker.run(stop.clone()));
        }
        workers.spawn(sweep(self.desk.clone(), stop));
        // A panic here is a fault of the worker itself, whose documents are caught elsewhere: it is told, not hidden.
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = &error as &dyn std::error::Error, "a worker was lost");
            }
        }
    }

    /// Cleans up after a process that ended in the middle.
    async fn recover(&self) {
        let stale = self.started.saturating_sub(STALE);
        if let Err(error) = self.desk.ingestions.recover(self.started, stale).await {
            tracing::error!(error = &error as &dyn std::error::Error, "old uploads are not cleaned up");
        }
    }
}

/// Deletes ingestions whose retention has ended.
async fn sweep(desk: Desk, stop: CancellationToken) {
    loop {
        if let Err(error) = desk.expire_ingestions(SWEPT).await {
            tracing::error!(error = &error as &dyn std::error::Error, "old ingestions are not deleted");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

impl Worker {
    async fn run(self, stop: CancellationToken) {
        let work = async {
            loop {
                match self.turn().await {
                    Ok(true) => {}
                    Ok(false) => {
                        // The time-out is the wake-up for work that another process left.
                        let _ = tokio::time::timeout(IDLE, self.desk.progress.work()).await;
                    }
                    Err(error) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "ingestion goes on later");
                        self.let_go().await;
                        tokio::time::sleep(BACKOFF).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
        self.let_go().await;
    }

    /// Gives back what it holds: the document that it was at is not to blame.
    async fn let_go(&self) {
        let Some(job) = self.held.lock().await.take() else { return };
        if let Err(error) = self.desk.ingestions.release(&job, self.desk.clock.now()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a job is given back by its lease only");
        }
    }

    /// One job, if there is one.
    async fn turn(&self) -> Result<bool, Error> {
        for (tenant, id) in self.desk.progress.take_abandoned() {
            self.desk.ingestions.abandon(tenant, id).await?;
        }
        let now = self.desk.clock.now();
        let busy = self.desk.progress.busy(self.desk.config.workers.per_tenant() as usize);
        let Some(job) = self.desk.ingestions.claim(now, now + LEASE, &busy).await? else { return Ok(false) };
        *self.held.lock().await = Some(job.clone());
        let at_work = Arc::new(self.desk.progress.begin(job.tenant, job.id));
        self.desk.progress.notify(job.id);
        let delegation: Delegation = serde_json::from_str(&job.delegation)?;
        let work = self.work_off(&job, &at_work);
        self.desk.minter.act(&delegation, None, "retrieval.index", work).await?;
        *self.held.lock().await = None;
        Ok(true)
    }

    async fn work_off(&self, job: &Job, at_work: &Arc<AtWork>) -> Result<(), Error> {
        if let Some(source) = job.source.as_ref().filter(|source| source.state == SourceState::Fetching)
            && self.fetched(job, source, at_work).await? == Turn::Ended
        {
            return Ok(());
        }
        let since = self.desk.clock.now();
        while let Some(item) = self.desk.ingestions.next_item(job).await? {
            let now = self.desk.clock.now();
            if now - since >= SHARE && self.desk.ingestions.give_way(job, now).await? {
                return Ok(());
            }
            if self.work_alone_or_not(job, item, at_work).await? == Turn::Ended {
                return Ok(());
            }
        }
        if let Some(source) = &job.source {
            self.desk.settle_source(job, source).await?;
        }
        self.desk.ingestions.finish_job(job, self.desk.clock.now()).await?;
        self.desk.progress.notify(job.id);
        Ok(())
    }

    async fn work_alone_or_not(&self, job: &Job, item: Item, at_work: &Arc<AtWork>) -> Result<Turn, Error> {
        if item.lost == 0 {
            let _together = self.alone.read().await;
            return self.work_on(job, item, at_work).await;
        }
        let _alone = self.alone.write().await;
        if !self.desk.ingestions.begin_suspect(job, item.staged.ordinal).await? {
            return Ok(Turn::Ended);
        }
        self.work_on(job, item, at_work).await
    }

    async fn work_on(&self, job: &Job, item: Item, at_work: &Arc<AtWork>) -> Result<Turn, Error> {
        let Item { staged, current_hash, waits_for_model, .. } = item;
        let readable = waits_for_model && self.desk.ocr.is_some();
        let outcome = if !readable && current_hash.as_ref() == Some(&staged.content_hash) {
            ItemOutcome::Unchanged
        } else {
            match self.indexed(job, &staged, at_work).await? {
                Some(outcome) => outcome,
                None => return Ok(Turn::Ended),
            }
        };
        at_work.tell(staged.ordinal, Stage::Storing);
        self.finish(job, &staged, outcome).await
    }

    /// Fetches what a source has, while the lease is renewed.
    async fn fetched(&self, job: &Job, source: &JobSource, at_work: &Arc<AtWork>) -> Result<Turn, Error> {
        let work = self.desk.fetch(job, source, LEASE);
        tokio::pin!(work);
        loop {
            tokio::select! {
                held = &mut work => return Ok(if held? { Turn::More } else { Turn::Ended }),
                () = at_work.stopped() => return Ok(Turn::Ended),
                () = tokio::time::sleep(RENEW) => {}
            }
            let until = self.desk.clock.now() + LEASE;
            if !self.desk.ingestions.renew(job, Stage::Waiting, until).await? {
                return Ok(Turn::Ended);
            }
        }
    }

    /// What becomes of a document, while the lease is renewed. `None` when the job was stopped or lost meanwhile.
    async fn indexed(
        &self,
        job: &Job,
        staged: &StagedDocument,
        at_work: &Arc<AtWork>,
    ) -> Result<Option<ItemOutcome>, Error> {
        let work = index_one::index(&self.desk, job, staged, at_work);
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return Ok(Some(outcome)),
                () = at_work.stopped() => return Ok(None),
                () = tokio::time::sleep(RENEW) => {}
            }
            let until = self.desk.clock.now() + LEASE;
            if !self.desk.ingestions.renew(job, at_work.stage(), until).await? {
                return Ok(None);
            }
            self.desk.progress.notify(job.id);
        }
    }

    async fn finish(&self, job: &Job, item: &StagedDocument, outcome: ItemOutcome) -> Result<Turn, Error> {
        let original = match &outcome {
            ItemOutcome::Indexed { original, .. } => original.clone(),
            _ => None,
        };
        let ended = self.write(job, item, outcome).await;
        if let Some(original) = original {
            // Unless the document refers to it now.
            self.desk.discard_object(job.tenant, &original).await;
        }
        ended
    }

    async fn write(&self, job: &Job, item: &StagedDocument, outcome: ItemOutcome) -> Result<Turn, Error> {
        let (mut outcome, allowance) = (outcome, self.desk.config.quotas.allowance());
        loop {
            let now = self.desk.clock.now();
            let lease_until = now + LEASE;
            let finish = Finish { item, outcome: &outcome, allowance: &allowance, now, lease_until };
            match self.desk.ingestions.finish_item(job, finish).await? {
                Finished::OverQuota(over) => outcome = exceeded(over),
                Finished::NotHeld => {
                    self.desk.progress.notify(job.id);
                    return Ok(Turn::Ended);
                }
                Finished::EmbedderChanged => return Ok(Turn::More),
                Finished::Written => break,
            }
        }
        self.desk.progress.notify(job.id);
        let (name, chunks) = summary(&outcome);
        self.desk.metrics.finished_document(name, chunks);
        Ok(Turn::More)
    }
}

fn exceeded(over: OverQuota) -> ItemOutcome {
    let message = format!("the limit of {} {} is reached", over.limit, over.measure.word());
    ItemOutcome::Failed { reason: reason::QUOTA_EXCEEDED, message }
}

fn summary(outcome: &ItemOutcome) -> (&'static str, u64) {
    match outcome {
        ItemOutcome::Unchanged => ("unchanged", 0),
        ItemOutcome::Failed { .. } => ("failed", 0),
        ItemOutcome::Lost { .. } => ("lost", 0),
        ItemOutcome::Indexed { passages, .. } => {
            ("indexed", passages.iter().map(|passage| passage.chunks.len() as u64).sum())
        }
    }
}
