//! The worker of changes of embedder. Document after document it makes the new vectors and keeps them beside those that
//! searches use; when no document lacks them, one transaction puts all of them in place.
//!
//! What is done is in the rows: a process that dies anywhere leaves whole documents, and the next one goes on. Documents
//! that come meanwhile are documents without new vectors, nothing more.

use std::ops::Range;
use std::time::Duration;

use copydesk_rpc::Delegation;
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::embed::{Texts, told};
use super::index_one::ReadBy;
use crate::domain::titled::Heading;
use crate::error::Error;
use crate::ports::{ReembeddingJob, Switch, Unembedded};

/// How long the worker may be silent before another takes its job, in milliseconds: longer than the largest document
/// takes, because each document renews it.
const LEASE: i64 = 30 * 60_000;
/// How long a job is left alone after its embedder failed, in milliseconds.
const REST: i64 = 10_000;
/// How often to look for work that another process left or queued.
const IDLE: Duration = Duration::from_secs(5);
/// How long to wait after a failure of the store.
const BACKOFF: Duration = Duration::from_secs(1);

/// The background worker.
pub struct Reembedder {
    desk: Desk,
}

impl Reembedder {
    /// A worker at a desk.
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    /// Works until it is told to stop. What it stops in the middle of is done again later.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(&self) {
        if let Err(error) = self.desk.vectors.recover_reembeddings().await {
            tracing::error!(error = &error as &dyn std::error::Error, "old leases are not taken back");
        }
        loop {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => {
                    // The time-out is the wake-up for work that another process left.
                    let _ = tokio::time::timeout(IDLE, self.desk.progress.reembedding()).await;
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "reembedding goes on later");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    }

    /// One job, if there is one.
    async fn turn(&self) -> Result<bool, Error> {
        let now = self.desk.clock.now();
        let Some(job) = self.desk.vectors.claim_reembedding(now, now + LEASE).await? else {
            return Ok(false);
        };
        let delegation: Delegation = serde_json::from_str(&job.delegation)?;
        let work = self.work_off(&job);
        let done = self.desk.minter.act(&delegation, None, "retrieval.reembed", work).await;
        let rest = self.desk.clock.now() + REST;
        match done {
            Ok(()) => {}
            Err(error) => match told(&error) {
                Some((word, message)) => {
                    tracing::warn!(reason = word, message, "a reembedding rests");
                    self.desk.vectors.put_back(&job, &format!("{word}: {message}"), rest).await?;
                }
                None => {
                    self.desk.vectors.put_back(&job, "a fault of ours; the log says why", rest).await?;
                    return Err(error);
                }
            },
        }
        Ok(true)
    }

    async fn work_off(&self, job: &ReembeddingJob) -> Result<(), Error> {
        loop {
            if !job.embedder.is_empty() && !self.embed_all(job).await? {
                return Ok(());
            }
            match self.desk.vectors.switch_vectors(job).await? {
                Switch::More => {}
                Switch::Done => {
                    tracing::info!(
                        embedder = job.embedder,
                        "a knowledge base has the vectors of its new embedder"
                    );
                    return Ok(());
                }
                Switch::Lost => return Ok(()),
            }
        }
    }

    /// Embeds the documents that lack new vectors. False when the job is not held any more.
    async fn embed_all(&self, job: &ReembeddingJob) -> Result<bool, Error> {
        let mut after = None;
        while let Some(next) = self.desk.vectors.next_unembedded(job, after).await? {
            after = Some(next.document);
            if !self.embed(job, &next).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn embed(&self, job: &ReembeddingJob, of: &Unembedded) -> Result<bool, Error> {
        let embedder = self.desk.embedder_with(&job.embedder, job.dimensions)?;
        let stored = self.desk.knowledge.document_with_text(job.tenant, of.document).await?;
        let Some((stored, text)) = stored else { return Ok(true) };
        let Some(document) = self.desk.vectors.chunked(job.tenant, &[of.document]).await?.pop() else {
            return Ok(true);
        };
        let reader = ReadBy(embedder.clone());
        let heading = Heading::new(&of.title, &stored.key, reader.clamp());
        let chunk = |span: &Range<u64>| text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let texts = document.chunks.iter().map(|own| heading.over(chunk(&own.span))).collect();
        let whose =
            Texts { tenant: job.tenant, knowledge_base: job.knowledge_base, embedder: embedder.as_ref() };
        let vectors = self.desk.document_vectors(&whose, texts).await?;
        let made: Vec<_> = document.chunks.into_iter().zip(vectors).collect();
        let lease_until = self.desk.clock.now() + LEASE;
        Ok(self.desk.vectors.put_vectors(job, of, &made, lease_until).await?)
    }
}
