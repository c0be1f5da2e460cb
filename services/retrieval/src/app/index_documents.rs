//! The worker: takes uploads one after the other and makes their documents searchable, each in one transaction.
//!
//! It keeps no state of its own. What is done is in the rows, so a process that dies anywhere leaves whole documents
//! and a job that the next one takes up where it stood.

use std::time::Duration;

use copydesk_rpc::Delegation;
use copydesk_types::{DocumentId, PassageId};
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::embed::{Texts, told};
use crate::chunkers;
use crate::domain::packing::{Parent, pack};
use crate::domain::records::{StagedDocument, reason};
use crate::error::Error;
use crate::ports::{Embedder, Item, ItemOutcome, Job, NewChunk, NewPassage};

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
            self.index(job, &staged).await
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

    /// Cuts and embeds a document. A fault of ours fails the document, not the job.
    async fn index(&self, job: &Job, staged: &StagedDocument) -> ItemOutcome {
        let indexed = match self.cut(staged).await {
            Ok((title, parents)) if parents.is_empty() => {
                tracing::debug!(title = title.len(), "a document has nothing to index");
                return failed(reason::EMPTY, "there is no text to index");
            }
            Ok((title, parents)) => {
                self.embedded(job, staged, parents).await.map(|embedded| (title, embedded))
            }
            Err(error) => Err(error),
        };
        match indexed {
            Ok((title, (passages, embedder))) => {
                ItemOutcome::Indexed { new_id: DocumentId::generate(), title, passages, embedder }
            }
            Err(error) => {
                if let Some((reason, message)) = told(&error) {
                    tracing::warn!(reason, message, "a document is not embedded");
                    return ItemOutcome::Failed { reason, message };
                }
                tracing::error!(error = &error as &dyn std::error::Error, "a document is not indexed");
                failed(reason::INTERNAL, "the document could not be indexed; the log says why")
            }
        }
    }

    /// Cutting takes a second for the largest documents: it runs beside the runtime's own threads.
    async fn cut(&self, staged: &StagedDocument) -> Result<(String, Vec<Parent>), Error> {
        let (text, format) = (staged.text.clone(), staged.format);
        let (given, key) = (staged.title.clone(), staged.key.clone());
        let sizes = self.desk.config.sizes(staged.content_type);
        let cut = tokio::task::spawn_blocking(move || {
            let outline = chunkers::outline(format, &text);
            let parents = pack(&text, &outline, sizes)?;
            let title = if given.is_empty() { outline.title.unwrap_or(key) } else { given };
            Ok::<_, Error>((title, parents))
        });
        cut.await?
    }

    async fn embedded(
        &self,
        job: &Job,
        staged: &StagedDocument,
        parents: Vec<Parent>,
    ) -> Result<(Vec<NewPassage>, String), Error> {
        let base = self.desk.knowledge.knowledge_base(job.tenant, job.knowledge_base).await?;
        let embedder = base.as_ref().map(|base| self.desk.embedder_of(base)).transpose()?.flatten();
        let mut vectors = match embedder {
            Some(embedder) => self.vectors(job, embedder.as_ref(), staged, &parents).await?,
            None => Vec::new(),
        }
        .into_iter();
        let passages = parents.into_iter().map(|parent| NewPassage {
            id: PassageId::generate(),
            span: parent.chunk.span.start as u64..parent.chunk.span.end as u64,
            tokens: parent.chunk.tokens as u32,
            chunks: (parent.children.into_iter())
                .map(|child| NewChunk {
                    span: child.span.start as u64..child.span.end as u64,
                    tokens: child.tokens as u32,
                    vector: vectors.next(),
                })
                .collect(),
        });
        let embedder = embedder.map(|embedder| embedder.id().to_owned()).unwrap_or_default();
        Ok((passages.collect(), embedder))
    }

    async fn vectors(
        &self,
        job: &Job,
        embedder: &dyn Embedder,
        staged: &StagedDocument,
        parents: &[Parent],
    ) -> Result<Vec<Vec<f32>>, Error> {
        let children: Vec<&str> = (parents.iter().flat_map(|parent| &parent.children))
            .map(|child| staged.text.get(child.span.clone()).unwrap_or_default())
            .collect();
        let of = Texts { tenant: job.tenant, knowledge_base: job.knowledge_base, embedder };
        self.desk.document_vectors(&of, &children).await
    }
}

fn failed(reason: &'static str, message: &str) -> ItemOutcome {
    ItemOutcome::Failed { reason, message: message.to_owned() }
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
