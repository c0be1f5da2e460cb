//! What the desk and its worker need of the rows of uploads.

use std::ops::{Range, RangeInclusive};

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, IngestionId, KnowledgeBaseId, PassageId, TenantId};

use super::{Created, JobSource, RequestKey, StoredObject};
use crate::domain::origin::{SourceState, Wish};
use crate::domain::reading::Page;
use crate::domain::records::{Ingestion, IngestionState, StagedDocument};
use crate::domain::source::Format;
use crate::domain::stages::{Allowance, IngestionDocument, OverQuota, Stage};
use crate::domain::terms::DocumentTerms;
use crate::domain::token_weights::TokenWeights;

/// A new ingestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIngestion {
    /// Its id, under which its documents are staged.
    pub id: IngestionId,
    /// Where its documents go.
    pub knowledge_base: KnowledgeBaseId,
    /// How many documents are staged.
    pub documents: u32,
    /// How many bytes they have.
    pub bytes: u64,
    /// For whom the worker acts, as JSON.
    pub delegation: String,
    /// Now.
    pub time: i64,
    /// What it is fetched from, and how far that is; `None` for an upload.
    pub source: Option<(Wish, SourceState)>,
}

/// Documents of an ended ingestion to be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Which ingestion.
    pub id: IngestionId,
    /// For whom the worker acts from now on, as JSON.
    pub delegation: String,
    /// Now.
    pub time: i64,
}

/// Which ingestions a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IngestionFilter {
    /// Only into this knowledge base.
    pub knowledge_base: Option<KnowledgeBaseId>,
    /// Only in this state.
    pub state: Option<IngestionState>,
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
    /// When it was uploaded.
    pub create_time: i64,
    /// For whom the worker acts, as JSON.
    pub delegation: String,
    /// Grows with each holder; an old holder's writes are refused.
    pub fence: i64,
    /// What it is fetched from; `None` for an upload.
    pub source: Option<JobSource>,
}

/// The next document of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The document as it was uploaded.
    pub staged: StagedDocument,
    /// How often the work on it was lost since it was last asked for.
    pub lost: u32,
    /// The content hash of the document that has its key now. Absent when there is none, and when that one has to be
    /// made anew although its bytes are the same: its meaning is searched, and it gets another title.
    pub current_hash: Option<String>,
    /// Whether that document has pages that were not read because no vision model was configured.
    pub waits_for_model: bool,
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
    /// The learned weights of its tokens, if its embedder gives some.
    pub weights: Option<TokenWeights>,
    /// The hash of what was embedded: the chunk under its document's title. Absent without an embedding, and where an
    /// earlier build did not keep it.
    pub text_hash: Option<[u8; 16]>,
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
#[allow(clippy::large_enum_variant, reason = "one at a time, and the large one is the usual one")]
pub enum ItemOutcome {
    /// Its bytes are those of the stored document: at most what is said of it is written.
    Unchanged,
    /// It cannot be indexed.
    Failed {
        /// A stable word.
        reason: &'static str,
        /// For a person.
        message: String,
    },
    /// The work on it was lost; it waits for another attempt, or is poisoned after too many.
    Lost {
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
        /// The pending object of its bytes, unless they are its text.
        original: Option<StoredObject>,
        /// Its pages in order.
        pages: Vec<StoredPage>,
        /// Its passages.
        passages: Vec<NewPassage>,
        /// The terms of its title and of all chunks of its passages, in their order.
        terms: DocumentTerms,
        /// The id of the embedder that made their vectors; empty for none.
        embedder: String,
    },
}

/// The end of an item.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// The item, as it was given out.
    pub item: &'a StagedDocument,
    /// What became of it.
    pub outcome: &'a ItemOutcome,
    /// What its tenant may store.
    pub allowance: &'a Allowance,
    /// Now.
    pub now: i64,
    /// How long the worker holds the job.
    pub lease_until: i64,
}

/// What became of the end of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It is written.
    Written,
    /// Nothing is written: the tenant may not store more.
    OverQuota(OverQuota),
    /// Nothing is written: the job is gone or another worker holds it.
    NotHeld,
    /// Nothing is written: the knowledge base has another embedder by now than made the vectors. The document waits as
    /// before.
    EmbedderChanged,
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

    /// Stores the ingestion over what is staged; from then on a worker may take it. Refused when it would exceed what
    /// the tenant may store, staged bytes included.
    async fn commit(
        &self,
        tenant: TenantId,
        new: &NewIngestion,
        request: &RequestKey,
        allowance: &Allowance,
    ) -> Result<Created<Ingestion>, StoreError>;

    /// One ingestion.
    async fn ingestion(&self, tenant: TenantId, id: IngestionId) -> Result<Option<Ingestion>, StoreError>;

    /// Newest first, those stored before `before`, `limit` at most, without their failures.
    async fn ingestions(
        &self,
        tenant: TenantId,
        filter: IngestionFilter,
        before: Option<IngestionId>,
        limit: u32,
    ) -> Result<Vec<Ingestion>, StoreError>;

    /// The documents of an ingestion whose rows are in this state (any state when `None`), in upload order, from the
    /// place `from` on, `limit` at most. A document at work is a waiting one.
    async fn ingestion_documents(
        &self,
        tenant: TenantId,
        id: IngestionId,
        state: Option<Stage>,
        from: u32,
        limit: u32,
    ) -> Result<Vec<IngestionDocument>, StoreError>;

    /// The documents whose last change is one of these by number, oldest change first; the newest `limit` of them.
    async fn changed_documents(
        &self,
        tenant: TenantId,
        id: IngestionId,
        changes: RangeInclusive<u64>,
        limit: u32,
    ) -> Result<Vec<IngestionDocument>, StoreError>;

    /// Ends an ingestion and refuses the writes of whoever holds it. One that has ended stays as it is. `None` when it
    /// is absent.
    async fn cancel(
        &self,
        tenant: TenantId,
        id: IngestionId,
        now: i64,
    ) -> Result<Option<Ingestion>, StoreError>;

    /// Queues the failed, poisoned and cancelled documents again whose bytes are kept.
    async fn retry(
        &self,
        tenant: TenantId,
        retry: &Retry,
        request: &RequestKey,
    ) -> Result<Created<Ingestion>, StoreError>;

    /// For all tenants: deletes ingestions that ended before this time, with their documents' states and request ids;
    /// `limit` at most. How many they were.
    async fn expire(&self, ended_before: i64, limit: u32) -> Result<u32, StoreError>;

    /// For all tenants: empties the staging areas that broken uploads left behind. On a database of this process alone
    /// those are all that are older than `started`, when the process began, and all leases are taken back; on a shared
    /// one those that are older than `stale`.
    async fn recover(&self, started: i64, stale: i64) -> Result<(), StoreError>;

    /// For all tenants but those in `busy`: takes the oldest ingestion that is queued or whose lease ended before
    /// `now`, of the tenant that was served least recently. A knowledge base's ingestions are given out one at a time,
    /// in the order in which they were stored. If its last holder was lost, the document that it was at counts a loss.
    async fn claim(&self, now: i64, lease_until: i64, busy: &[TenantId]) -> Result<Option<Job>, StoreError>;

    /// The next document of the job that waits: those whose work was never lost come first.
    async fn next_item(&self, job: &Job) -> Result<Option<Item>, StoreError>;

    /// Notes that the job's holder is now at this document, whose work was lost before. False when it is not held.
    async fn begin_suspect(&self, job: &Job, ordinal: u32) -> Result<bool, StoreError>;

    /// Renews the lease in the middle of a document and notes how far it is. False when the job is not held any more.
    async fn renew(&self, job: &Job, stage: Stage, lease_until: i64) -> Result<bool, StoreError>;

    /// Writes an item's outcome, the document's rows, the counters and the new lease in one transaction.
    async fn finish_item(&self, job: &Job, finish: Finish<'_>) -> Result<Finished, StoreError>;

    /// Gives the job back at `now`, so that others come first, if another tenant's could be taken. False, with nothing
    /// changed, when none could or another worker holds the job.
    async fn give_way(&self, job: &Job, now: i64) -> Result<bool, StoreError>;

    /// Gives the job back at `now` in whatever state its document is: the holder ends, and nothing counts as lost.
    async fn release(&self, job: &Job, now: i64) -> Result<(), StoreError>;

    /// Ends the job. False when it is gone or another worker holds it.
    async fn finish_job(&self, job: &Job, now: i64) -> Result<bool, StoreError>;
}
