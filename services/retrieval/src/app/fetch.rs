//! Fetches what a source has, step by step, each stored with the place where the next one goes on; and compares at the
//! end what it brought with what it brought before.

use std::time::Duration;

use super::Desk;
use crate::domain::origin::{Miss, SourceDocument, SourceState, Step};
use crate::domain::records::{StagedDocument, reason as failure};
use crate::domain::source::{ContentType, Format};
use crate::error::Error;
use crate::ports::{Fetched, Job, JobSource};
use crate::sources::{self, At, Source, reason};

/// How often a step that failed in passing is asked for.
const ATTEMPTS: u32 = 4;
/// How often processes may end while they fetch the same step.
const LOSSES: u32 = 3;
/// Documents that are deleted before the store is asked for more.
const GONE: u32 = 100;

/// How far a fetching is.
struct Place {
    cursor: String,
    documents: u32,
    bytes: u64,
}

impl Desk {
    /// Fetches a source to its end. False when the job is not held any more.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn fetch(&self, job: &Job, source: &JobSource, lease: i64) -> Result<bool, Error> {
        let found = sources::entry(&source.wish.kind).and_then(|entry| entry.source);
        let Some(fetching) = found else {
            let miss = Miss::source(reason::ODD, "this build knows no such source");
            return self.fail(job, source, miss, lease).await;
        };
        if source.attempts > LOSSES {
            let miss = Miss::source(failure::LOST, "the process ended three times while it was fetched");
            return self.fail(job, source, miss, lease).await;
        }
        let held = self.fetch_all(job, source, fetching, lease).await?;
        fetching.end(&self.tools, &job.id.to_string()).await;
        Ok(held)
    }

    async fn fetch_all(
        &self,
        job: &Job,
        source: &JobSource,
        fetching: &dyn Source,
        lease: i64,
    ) -> Result<bool, Error> {
        // An ETag tells of changes, not of what is gone.
        let mark = match source.wish.mirror {
            true => String::new(),
            false => self.sources.mark(job, &source.wish).await?,
        };
        let mut place =
            Place { cursor: source.cursor.clone(), documents: source.documents, bytes: source.bytes };
        loop {
            let job_id = job.id.to_string();
            let (spec, mirror) = (source.wish.spec.as_str(), source.wish.mirror);
            let at = At { spec, cursor: &place.cursor, mark: &mark, mirror, job: &job_id };
            let step = match self.step(fetching, at).await {
                Ok(step) => step,
                Err(miss) => return self.fail(job, source, miss, lease).await,
            };
            let more = step.next.is_some();
            if let Err(miss) = self.room(&mut place, &step) {
                return self.fail(job, source, miss, lease).await;
            }
            if !self.store_step(job, source, step, &mut place, lease).await? {
                return Ok(false);
            }
            self.progress.notify(job.id);
            if !more {
                return Ok(true);
            }
        }
    }

    /// A step, asked for again while its failure may pass.
    async fn step(&self, fetching: &dyn Source, at: At<'_>) -> Result<Step, Miss> {
        let settings = &self.config.sources;
        let (mut pause, most) = (settings.pause(), Duration::from_secs(settings.max_wait_seconds));
        let mut left = ATTEMPTS;
        loop {
            let miss = match fetching.step(&self.tools, at).await {
                Ok(step) => return Ok(step),
                Err(miss) => miss,
            };
            left -= 1;
            match miss.again {
                Some(wait) if left > 0 && wait <= most => {
                    tokio::time::sleep(wait.max(pause)).await;
                    pause *= 2;
                }
                _ => return Err(miss),
            }
        }
    }

    /// Whether a source stays within what an upload may have.
    fn room(&self, place: &mut Place, step: &Step) -> Result<(), Miss> {
        let limits = &self.config.limits;
        place.documents += (step.documents.len() + step.misses.len()) as u32;
        place.bytes += step.documents.iter().map(|document| document.content.len() as u64).sum::<u64>();
        if place.documents > limits.max_documents_per_upload {
            let message = format!("has more than {} documents", limits.max_documents_per_upload);
            return Err(Miss::source(reason::TOO_LARGE, message));
        }
        if place.bytes > limits.max_upload_bytes {
            let message = format!("has more than {} bytes", limits.max_upload_bytes);
            return Err(Miss::source(reason::TOO_LARGE, message));
        }
        Ok(())
    }

    async fn store_step(
        &self,
        job: &Job,
        source: &JobSource,
        step: Step,
        place: &mut Place,
        lease: i64,
    ) -> Result<bool, Error> {
        let state = if step.next.is_some() { SourceState::Fetching } else { SourceState::Fetched };
        let (mut documents, mut misses) = (Vec::new(), step.misses);
        for document in step.documents {
            match staged(document, source.wish.content_type, self.config.limits.max_document_bytes) {
                Ok(document) => documents.push(document),
                Err(miss) => misses.push(miss),
            }
        }
        place.cursor = step.next.unwrap_or_default();
        let now = self.clock.now();
        let fetched = Fetched {
            documents: &documents,
            misses: &misses,
            state,
            cursor: &place.cursor,
            mark: step.mark.as_deref().unwrap_or_default(),
            now,
            lease_until: now + lease,
        };
        Ok(self.sources.store_step(job, fetched).await?)
    }

    /// Ends the fetching with the reason why it goes no further. Where it stood stays known: it may be tried again.
    async fn fail(&self, job: &Job, source: &JobSource, miss: Miss, lease: i64) -> Result<bool, Error> {
        tracing::info!(kind = source.wish.kind, reason = miss.reason, "a source cannot be fetched");
        let now = self.clock.now();
        let miss = Miss { key: source.wish.name.clone(), ..miss };
        let fetched = Fetched {
            documents: &[],
            misses: std::slice::from_ref(&miss),
            state: SourceState::Failed,
            cursor: "",
            mark: "",
            now,
            lease_until: now + lease,
        };
        Ok(self.sources.store_step(job, fetched).await?)
    }

    /// Notes what a source brought, and deletes what it has no more where that is wanted.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn settle_source(&self, job: &Job, source: &JobSource) -> Result<(), Error> {
        let now = self.ingestions.ingestion(job.tenant, job.id).await?;
        let state = now.and_then(|ingestion| ingestion.source).map(|source| source.state);
        self.sources.settle(job, &source.wish).await?;
        if state != Some(SourceState::Fetched) || !source.wish.mirror {
            return Ok(());
        }
        loop {
            let gone = self.sources.gone(job, &source.wish, GONE).await?;
            if gone.is_empty() {
                break;
            }
            for document in gone {
                if self.knowledge.delete_document(job.tenant, document).await? {
                    self.cache.forget_document(document);
                    self.progress.objects_left();
                    self.sources.count_deleted(job).await?;
                }
            }
        }
        self.sources.forget_gone(job, &source.wish).await?;
        Ok(())
    }
}

/// A document as it is staged, or why it cannot be.
fn staged(document: SourceDocument, content_type: ContentType, most: u64) -> Result<StagedDocument, Miss> {
    let key: String = document.key.chars().filter(|c| !c.is_control()).take(256).collect();
    if let Some(fault) = document.fault() {
        return Err(Miss::new(key, failure::UNREADABLE, fault));
    }
    if document.content.len() as u64 > most {
        return Err(Miss::new(document.key, failure::TOO_LARGE, format!("is longer than {most} bytes")));
    }
    let is_text = matches!(document.format, Format::Text | Format::Markdown);
    if is_text && std::str::from_utf8(&document.content).is_err() {
        return Err(Miss::new(document.key, failure::UNREADABLE, "is not valid UTF-8"));
    }
    let header = document.header(content_type);
    Ok(StagedDocument {
        ordinal: 0,
        key: header.key,
        title: header.title,
        format: document.format,
        source_kind: document.kind,
        content_type,
        content_hash: blake3::hash(&document.content).to_hex().to_string(),
        content: document.content,
        attributes: header.attributes.unwrap_or_default(),
        source_uri: header.source_uri,
    })
}
