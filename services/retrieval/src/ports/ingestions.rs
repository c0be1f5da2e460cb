//! What the desk and its worker need of the rows of uploads.

use std::ops::Range;

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, IngestionId, KnowledgeBaseId, PassageId, TenantId};

use super::{Created, RequestKey};
use crate::domain::reading::Page;
use crate::domain::records::{Ingestion, StagedDocument};
use crate::domain::source::Format;

/// A new ingestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIngestion {
    /// Its id, under which its documents are staged.
    pub id: IngestionId,
    /// Where its documents go.
    pub knowledge_base: KnowledgeBaseId,
    /// How many documents are staged.
    pub documents: u32,
    /// For whom the worker acts, as JSON.
    pub delegation: String,
    /// Now.
    pub time: i64,
}

/// An ingestion that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: IngestionId,
    /// Where its documents go.
    pub knowledge_base: KnowledgeBaseId,
    /// For whom the worker acts, as JSON.
    pub delegation: String,
    /// Grows with each holder; an old holder's writes are refused.
    pub fence: i64,
}

/// The next document of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The document as it was uploaded.
    pub staged: StagedDocument,
    /// The content hash of the document that has its key now.
    pub current_hash: Option<String>,
}

/// A passage to be written, with its chunks.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPassage {
    /// Its id.
    pub id: PassageId,
    /// Its bytes in the document's text.
    pub span: Range<u64>,
    /// Its tokens.
    pub tokens: u32,
    /// Its child chunks.
    pub chunks: Vec<NewChunk>,
}

/// A child chunk to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewChunk {
    /// Its bytes in the document's text.
    pub span: Range<u64>,
    /// Its tokens.
    pub tokens: u32,
    /// Its embedding, if it has one.
    pub vector: Option<Vec<f32>>,
}

/// A page to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPage {
    /// The page.
    pub page: Page,
    /// BLAKE3 of the picture that it was read from, in hexadecimal digits.
    pub picture_hash: Option<String>,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemOutcome {
    /// Its bytes are those of the stored document.
    Unchanged,
    /// It cannot be indexed.
    Failed {
        /// A stable word.
        reason: &'static str,
        /// For a person.
        message: String,
    },
    /// It is to be stored with these passages.
    Indexed {
        /// The document's id if its key is new.
        new_id: DocumentId,
        /// Its title.
        title: String,
        /// What it was read as.
        format: Format,
        /// Its text, as a parser read it.
        text: String,
        /// Its pages in order.
        pages: Vec<StoredPage>,
        /// Its passages.
        passages: Vec<NewPassage>,
    },
}

/// Uploads and their jobs.
#[async_trait]
pub trait IngestionStore: Send + Sync {
    /// What a request id made before: the body's fingerprint and the ingestion as it is now.
    async fn ingestion_of_request(
        &self,
        tenant: TenantId,
        request_id: &str,
    ) -> Result<Option<(String, Ingestion)>, StoreError>;

    /// Puts documents into the staging area of an ingestion that is not stored yet.
    async fn stage(
        &self,
        tenant: TenantId,
        id: IngestionId,
        documents: &[StagedDocument],
        time: i64,
    ) -> Result<(), StoreError>;

    /// Empties the staging area of an ingestion that was not stored; a stored one is left alone.
    async fn abandon(&self, tenant: TenantId, id: IngestionId) -> Result<(), StoreError>;

    /// Stores the ingestion over what is staged; from then on a worker may take it.
    async fn commit(
        &self,
        tenant: TenantId,
        new: &NewIngestion,
        request: &RequestKey,
    ) -> Result<Created<Ingestion>, StoreError>;

    /// One ingestion.
    async fn ingestion(&self, tenant: TenantId, id: IngestionId) -> Result<Option<Ingestion>, StoreError>;

    /// For all tenants: empties the staging areas that broken uploads left behind. On a database of this process alone
    /// those are all that are older than `started`, when the process began, and all leases are taken back; on a shared
    /// one those that are older than `stale`.
    async fn recover(&self, started: i64, stale: i64) -> Result<(), StoreError>;

    /// For all tenants: takes the oldest ingestion that is queued or whose lease ended before `now`, of the tenant that
    /// was served least recently.
    async fn claim(&self, now: i64, lease_until: i64) -> Result<Option<Job>, StoreError>;

    /// The first document of the job that is not done.
    async fn next_item(&self, job: &Job) -> Result<Option<Item>, StoreError>;

    /// Writes an item's outcome, the document's rows, the counters and the new lease in one transaction. False, with
    /// nothing written, when the job is gone or another worker holds it.
    async fn finish_item(
        &self,
        job: &Job,
        item: &StagedDocument,
        outcome: &ItemOutcome,
        now: i64,
        lease_until: i64,
    ) -> Result<bool, StoreError>;

    /// Gives the job back at `now`, so that others come first, if another tenant's could be taken. False, with nothing
    /// changed, when none could or another worker holds the job.
    async fn give_way(&self, job: &Job, now: i64) -> Result<bool, StoreError>;

    /// Ends the job. False when it is gone or another worker holds it.
    async fn finish_job(&self, job: &Job, now: i64) -> Result<bool, StoreError>;
}
