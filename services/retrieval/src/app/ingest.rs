//! Takes an upload: parts in, documents staged, answered when all of it is stored.

use copydesk_rpc::{Caller, Delegation};
use copydesk_types::{IngestionId, KnowledgeBaseId, TenantId};

use super::Desk;
use crate::domain::origin::{SourceDocument, SourceState, Wish};
use crate::domain::records::{Ingestion, StagedDocument};
use crate::domain::source::ContentType;
use crate::domain::upload::{Header, Refusal, Upload};
use crate::error::{Error, Resource};
use crate::ports::{Created, NewIngestion, RequestKey};

/// Documents are staged together until they have so many bytes or are so many: a transaction for each small one
/// would make an upload wait for the disk most of its time.
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH: usize = 256;
/// Bytes of a part of a document that comes as a whole.
const PART: usize = 512 * 1024;

/// The first part of an upload.
#[derive(Debug, Clone)]
pub struct IngestStart {
    /// The caller's key.
    pub request_id: String,
    /// Where to.
    pub knowledge_base: KnowledgeBaseId,
    /// What it is fetched from, and how far that is; `None` for an upload.
    pub source: Option<(Wish, SourceState)>,
}

/// An upload under way. Dropped before [`finish`](Self::finish) answered, it leaves nothing behind.
pub struct Ingesting {
    desk: Desk,
    delegation: Delegation,
    start: IngestStart,
    upload: Upload,
    /// What the request id stands for already; then the upload is only read to be compared.
    before: Option<(String, Ingestion)>,
    batch: Vec<StagedDocument>,
    staged: StagedArea,
}

impl Desk {
    /// Begins an upload.
    ///
    /// # Errors
    /// `NotFound` for the knowledge base, `OverQuota` when the tenant has too many ingestions open.
    pub async fn begin_ingest(&self, caller: &Caller, start: IngestStart) -> Result<Ingesting, Error> {
        self.knowledge_base(caller.tenant, start.knowledge_base).await?;
        let before = self.ingestions.ingestion_of_request(caller.tenant, &start.request_id).await?;
        if before.is_none() {
            self.check_open_ingestions(caller.tenant).await?;
        }
        let mut upload = Upload::new(self.config.upload_limits(), &start.knowledge_base.to_string());
        if let Some((wish, _)) = &start.source {
            upload = upload.of_source(wish);
        }
        let staged = StagedArea {
            desk: self.clone(),
            tenant: caller.tenant,
            id: IngestionId::generate(),
            used: false,
        };
        let (delegation, batch) = (Delegation::of(caller), Vec::new());
        Ok(Ingesting { desk: self.clone(), delegation, start, upload, before, batch, staged })
    }
}

impl Ingesting {
    /// The next document begins.
    ///
    /// # Errors
    /// `Refused` when the one before or the upload breaks a rule that ends it at once.
    pub async fn document(&mut self, header: Header) -> Result<(), Error> {
        let before = self.upload.document(header)?;
        self.take(before).await
    }

    /// The next bytes of the current document.
    ///
    /// # Errors
    /// `Refused` when they are too many or belong to no document.
    pub fn content(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.upload.content(bytes)?)
    }

    /// The next document as a whole.
    ///
    /// # Errors
    /// As those of its parts.
    pub async fn whole(&mut self, document: &SourceDocument, content_type: ContentType) -> Result<(), Error> {
        self.document(document.header(content_type)).await?;
        document.content.chunks(PART).try_for_each(|part| self.content(part))
    }

    /// The refusal for a part that must not come here.
    pub fn refuse(&mut self, field: &str, description: &str) -> Refusal {
        self.upload.refuse(field, description.to_owned())
    }

    /// The stream has ended: stores the ingestion and wakes the worker.
    ///
    /// # Errors
    /// `Refused` with every fault of the upload, `RequestReused` when the request id stands for another upload,
    /// `NotFound` when the knowledge base was deleted meanwhile, `OverQuota` when the tenant may not store as much.
    #[tracing::instrument(name = "retrieval.ingest", skip_all, fields(copydesk.documents))]
    pub async fn finish(mut self) -> Result<Ingestion, Error> {
        let mut finished = self.upload.finish()?;
        let last = finished.last.take();
        self.take(last).await?;
        self.flush().await?;
        tracing::Span::current().record("copydesk.documents", finished.documents);
        if let Some((fingerprint, ingestion)) = self.before.take() {
            let same = fingerprint == finished.fingerprint;
            return if same { Ok(ingestion) } else { Err(self.reused()) };
        }
        let new = NewIngestion {
            id: self.staged.id,
            knowledge_base: self.start.knowledge_base,
            documents: finished.documents,
            bytes: finished.bytes,
            delegation: serde_json::to_string(&self.delegation)?,
            time: self.desk.clock.now(),
            source: self.start.source.clone(),
        };
        let request = RequestKey { id: self.start.request_id.clone(), fingerprint: finished.fingerprint };
        let allowance = self.desk.config.quotas.allowance();
        match self.desk.ingestions.commit(self.delegation.tenant, &new, &request, &allowance).await? {
            Created::New(ingestion) => {
                self.staged.used = false;
                self.desk.progress.work_came();
                Ok(ingestion)
            }
            Created::Before(ingestion) => Ok(ingestion),
            Created::Reused => Err(self.reused()),
            Created::OverQuota(over) => {
                // At once: what is staged counts for the quota of the next upload.
                self.desk.ingestions.abandon(self.staged.tenant, self.staged.id).await?;
                Err(Error::OverQuota(over))
            }
            Created::NoKnowledgeBase => {
                Err(Error::NotFound(Resource::KnowledgeBase, self.start.knowledge_base.to_string()))
            }
        }
    }

    fn reused(&self) -> Error {
        Error::RequestReused(Resource::Ingestion, self.start.request_id.clone())
    }

    async fn take(&mut self, document: Option<StagedDocument>) -> Result<(), Error> {
        if let (Some(document), None) = (document, &self.before) {
            self.batch.push(document);
            let bytes: usize = self.batch.iter().map(|document| document.content.len()).sum();
            if bytes >= BATCH_BYTES || self.batch.len() >= BATCH {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        // Before the write: a call that is cancelled in the middle of it may still have written.
        self.staged.used = true;
        let (tenant, id, now) = (self.staged.tenant, self.staged.id, self.desk.clock.now());
        Ok(self.desk.ingestions.stage(tenant, id, &batch, now).await?)
    }
}

/// The staging area of one upload. Unless the ingestion was stored over it, the worker is told to empty it.
struct StagedArea {
    desk: Desk,
    tenant: TenantId,
    id: IngestionId,
    used: bool,
}

impl Drop for StagedArea {
    fn drop(&mut self) {
        if self.used {
            self.desk.progress.abandon(self.tenant, self.id);
        }
    }
}
