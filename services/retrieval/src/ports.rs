//! What the desk needs from outside, each as narrow as it is used.
//!
//! Every store method belongs to one tenant, given first; another tenant's rows are as absent as rows that never were.
//! The three methods that a worker calls before it knows whom it works for say so.

use std::ops::Range;

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, IngestionId, KnowledgeBaseId, PassageId, TenantId};

use crate::domain::ranking::Leaf;
use crate::domain::records::{Document, Ingestion, KnowledgeBase, Passage, StagedDocument};
use crate::domain::source::{ContentType, SourceKind, SourceKinds};

/// Tells the time, in milliseconds since 1970, UTC.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> i64;
}

/// A caller's key for a creating call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The caller's id.
    pub id: String,
    /// What the call's body says, so that another body under the same id is noticed.
    pub fingerprint: String,
}

/// What became of a creating call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created<T> {
    /// It is stored.
    New(T),
    /// The same call came before and made this, as it is now.
    Before(T),
    /// The request id belongs to another body.
    Reused,
    /// The knowledge base is gone.
    NoKnowledgeBase,
}

/// Which documents a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentFilter {
    /// Of this knowledge base.
    pub knowledge_base: KnowledgeBaseId,
    /// Only this kind of source.
    pub source_kind: Option<SourceKind>,
    /// Only this content type.
    pub content_type: Option<ContentType>,
}

/// Knowledge bases, documents, passages.
#[async_trait]
pub trait KnowledgeStore: Send + Sync {
    /// Stores a new, empty knowledge base, or finds the one that the same request made before.
    async fn create_knowledge_base(
        &self,
        tenant: TenantId,
        new: &KnowledgeBase,
        request: &RequestKey,
    ) -> Result<Created<KnowledgeBase>, StoreError>;

    /// One knowledge base.
    async fn knowledge_base(
        &self,
        tenant: TenantId,
        id: KnowledgeBaseId,
    ) -> Result<Option<KnowledgeBase>, StoreError>;

    /// Newest first, those made before `before`, `limit` at most.
    async fn knowledge_bases(
        &self,
        tenant: TenantId,
        before: Option<KnowledgeBaseId>,
        limit: u32,
    ) -> Result<Vec<KnowledgeBase>, StoreError>;

    /// Deletes a knowledge base with all its rows, ingestions and request ids included. False when it is absent.
    async fn delete_knowledge_base(&self, tenant: TenantId, id: KnowledgeBaseId) -> Result<bool, StoreError>;

    /// One document.
    async fn document(&self, tenant: TenantId, id: DocumentId) -> Result<Option<Document>, StoreError>;

    /// One document with its text, both of the same version.
    async fn document_with_text(
        &self,
        tenant: TenantId,
        id: DocumentId,
    ) -> Result<Option<(Document, String)>, StoreError>;

    /// Newest first, those first ingested before `before`, `limit` at most.
    async fn documents(
        &self,
        tenant: TenantId,
        filter: DocumentFilter,
        before: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<Document>, StoreError>;

    /// Deletes a document with its passages and moves its knowledge base's version. False when it is absent.
    async fn delete_document(&self, tenant: TenantId, id: DocumentId) -> Result<bool, StoreError>;

    /// The passages of these ids that exist, in any order, each with the text of the version it was cut from.
    async fn passages(&self, tenant: TenantId, ids: &[PassageId]) -> Result<Vec<Passage>, StoreError>;
}

/// A document as an index reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkedDocument {
    /// Its title.
    pub title: String,
    /// What kind of source it is.
    pub kind: SourceKind,
    /// Its text.
    pub text: String,
    /// Its child chunks.
    pub chunks: Vec<StoredChunk>,
}

/// A child chunk as an index reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredChunk {
    /// The passage it is in.
    pub passage: PassageId,
    /// Its place in the passage, from 0.
    pub ordinal: u32,
    /// Its bytes in the document's text.
    pub span: Range<u64>,
    /// Its embedding, if it has one.
    pub vector: Option<Vec<f32>>,
}

/// What indexes are built from.
#[async_trait]
pub trait IndexSource: Send + Sync {
    /// The documents that were changed or deleted after this version of the knowledge base, oldest change first, each
    /// with the version of its last change.
    async fn changes(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        after: u64,
    ) -> Result<Vec<(DocumentId, u64)>, StoreError>;

    /// A document with its chunks, all of one version; `None` when it is absent.
    async fn chunked(&self, tenant: TenantId, id: DocumentId) -> Result<Option<ChunkedDocument>, StoreError>;
}

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

    /// For all tenants: empties every staging area that was left by an upload that broke before `before`, and, when
    /// this process is the only one on the database, every one there is, and takes back all leases.
    async fn recover(&self, before: i64) -> Result<(), StoreError>;

    /// For all tenants: takes the oldest ingestion that is queued or whose lease ended before `now`.
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

    /// Ends the job. False when it is gone or another worker holds it.
    async fn finish_job(&self, job: &Job, now: i64) -> Result<bool, StoreError>;
}

/// What a search looks through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    /// Whose.
    pub tenant: TenantId,
    /// The knowledge bases, in order of id and each once, with the version that the answer must show at least.
    pub knowledge_bases: Vec<(KnowledgeBaseId, u64)>,
}

/// Finds chunks by words.
#[async_trait]
pub trait LexicalIndex: Send + Sync {
    /// The best chunks for these terms, best first: enough for `parents` different passages, if there are so many.
    async fn by_words(
        &self,
        corpus: &Corpus,
        terms: &[String],
        kinds: SourceKinds,
        parents: usize,
    ) -> Result<Vec<Leaf>, StoreError>;

    /// Frees what is held for a deleted knowledge base.
    fn forget(&self, tenant: TenantId, knowledge_base: KnowledgeBaseId);
}

/// Finds chunks by meaning.
#[async_trait]
pub trait VectorIndex: Send + Sync {
    /// The nearest chunks to a vector, nearest first: enough for `parents` different passages, if there are so many.
    async fn by_meaning(
        &self,
        corpus: &Corpus,
        vector: Vec<f32>,
        kinds: SourceKinds,
        parents: usize,
    ) -> Result<Vec<Leaf>, StoreError>;
}

/// A text could not be turned into a vector.
#[derive(Debug, thiserror::Error)]
#[error("the embedder failed: {reason}")]
pub struct EmbedError {
    /// What went wrong, without any of the text.
    pub reason: String,
}

/// Turns texts into vectors whose cosine says how near their meanings are.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Names the model; vectors of different ids are never compared. For example `local/all-minilm-l6-v2`.
    fn id(&self) -> &str;

    /// One vector for each text, in order, all of the same width.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError>;
}
