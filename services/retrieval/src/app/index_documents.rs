//! The worker: takes uploads one after the other and makes their documents searchable, each in one transaction.
//!
//! It keeps no state of its own. What is done is in the rows, so a process that dies anywhere leaves whole documents
//! and a job that the next one takes up where it stood.

use std::time::Duration;

use copydesk_rpc::Delegation;
use tokio_util::sync::CancellationToken;

use super::{Desk, index_one};
use crate::error::Error;
use crate::ports::{Item, ItemOutcome, Job};

/// How long a worker may be silent before another takes its job, in milliseconds. Each document renews it.
const LEASE: i64 = 60_000;
/// How long a job may keep other tenants waiting, in milliseconds; it is looked at between documents.
const SHARE: i64 = 1_000;
/// How old a staging area must be before it counts as left behind, in milliseconds: longer than an upload may last.
const STALE: i64 = 2 * 60 * 60 * 1000;
/// How often to look for work that another process left or queued.
const IDLE: Duration = Duration::from_secs(5);
/// How long to wait after a failure of the store.
const BACKOFF: Duration = Duration::from_secs(1);

/// The background worker.
pub struct Worker {
    desk: Desk,
    /// When it was made: before the first upload of this process.
    started: i64,
}

/// Whether the job may go on.
#[derive(PartialEq, Eq)]
enum Turn {
    More,
    Ended,
}

impl Worker {
    /// A worker at a desk.
    pub fn new(desk: Desk) -> Self {
        let started = desk.clock.now();
        Self { desk, started }
    }

    /// Works until it is told to stop. What it stops in the middle of is rolled back and done again later.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            self.recover().await;
            loop {
                match self.turn().await {
                    Ok(true) => {}
                    Ok(false) => {
                        // The time-out is the wake-up for work that another process left.
                        let _ = tokio::time::timeout(IDLE, self.desk.progress.work()).await;
                    }
                    Err(error) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "ingestion goes on later");
                        tokio::time::sleep(BACKOFF).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Cleans up after a process that ended in the middle.
    async fn recover(&self) {
        let stale = self.started.saturating_sub(STALE);
        if let Err(error) = self.desk.ingestions.recover(self.started, stale).await {
            tracing::error!(error = &error as &dyn std::error::Error, "old uploads are not cleaned up");
        }
    }

    /// One job, if there is one.
    async fn turn(&self) -> Result<bool, Error> {
        for (tenant, id) in self.desk.progress.take_abandoned() {
            self.desk.ingestions.abandon(tenant, id).await?;
        }
        let now = self.desk.clock.now();
        let Some(job) = self.desk.ingestions.claim(now, now + LEASE).await? else { return Ok(false) };
        self.desk.progress.notify(job.id);
        let delegation: Delegation = serde_json::from_str(&job.delegation)?;
        let work = self.work_off(&job);
        self.desk.minter.act(&delegation, None, "retrieval.index", work).await?;
        Ok(true)
    }

    async fn work_off(&self, job: &Job) -> Result<(), Error> {
        let since = self.desk.clock.now();
        while let Some(item) = self.desk.ingestions.next_item(job).await? {
            let now = self.desk.clock.now();
            if now - since >= SHARE && self.desk.ingestions.give_way(job, now).await? {
                return Ok(());
            }
            if self.work_on(job, item).await? == Turn::Ended {
                return Ok(());
            }
        }
        self.desk.ingestions.finish_job(job, self.desk.clock.now()).await?;
        self.desk.progress.notify(job.id);
        Ok(())
    }

    async fn work_on(&self, job: &Job, item: Item) -> Result<Turn, Error> {
        let Item { staged, current_hash } = item;
        let outcome = if current_hash.as_ref() == Some(&staged.content_hash) {
            ItemOutcome::Unchanged
        } else {
            index_one::index(&self.desk, job, &staged).await
        };
        let (name, chunks) = summary(&outcome);
        let now = self.desk.clock.now();
        let held = self.desk.ingestions.finish_item(job, &staged, &outcome, now, now + LEASE).await?;
        self.desk.progress.notify(job.id);
        if !held {
            return Ok(Turn::Ended);
        }
        self.desk.metrics.finished_document(name, chunks);
        Ok(Turn::More)
    }
}

fn summary(outcome: &ItemOutcome) -> (&'static str, u64) {
    match outcome {
        ItemOutcome::Unchanged => ("unchanged", 0),
        ItemOutcome::Failed { .. } => ("failed", 0),
        ItemOutcome::Indexed { passages, .. } => {
            ("indexed", passages.iter().map(|passage| passage.chunks.len() as u64).sum())
        }
    }
}
