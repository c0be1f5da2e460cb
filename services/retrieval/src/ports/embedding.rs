//! What turns texts into vectors, and where vectors are kept that no search sees yet.

use std::time::Duration;

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, TenantId};

use super::{IndexSource, RequestKey, StoredChunk};
use crate::domain::records::Reembedding;
use crate::domain::token_weights::TokenWeights;

/// What a text is embedded for: some models give queries other vectors than passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A passage to be found.
    Document,
    /// A query to find passages with.
    Query,
}

/// What may be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedCause {
    /// Asking again may help, after this time if one is given.
    Passing(Option<Duration>),
    /// No budget is left: asking again costs what there is not.
    Budget,
    /// The vectors have other dimensions than they should.
    Dimensions,
    /// Anything else: asking again does not help.
    Fault,
}

/// A text could not be turned into a vector.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the embedder failed: {reason}")]
pub struct EmbedError {
    /// What may be done about it.
    pub cause: EmbedCause,
    /// What went wrong, without any of the text.
    pub reason: String,
}

impl EmbedError {
    /// A failure that stays.
    pub fn fault(reason: impl Into<String>) -> Self {
        Self { cause: EmbedCause::Fault, reason: reason.into() }
    }
}

/// A text as an embedder gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// Its vector.
    pub vector: Vec<f32>,
    /// The learned weights of its tokens; from an embedder that [weighs](Embedder::weighs_tokens) them always there.
    pub weights: Option<TokenWeights>,
}

impl From<Vec<f32>> for Embedded {
    fn from(vector: Vec<f32>) -> Self {
        Self { vector, weights: None }
    }
}

/// Turns texts into vectors whose cosine says how near their meanings are; some also say what each token of a text counts.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Names the model; vectors of different ids are never compared. For example `local/all-minilm-l6-v2-1a2b3c4d`.
    fn id(&self) -> &str;

    /// The dimensions of its vectors, 1 to 16,384.
    fn dimensions(&self) -> usize;

    /// Each text, in order, with a vector of [`dimensions`](Self::dimensions) values.
    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Embedded>, EmbedError>;

    /// Whether it gives the weights of a text's tokens too.
    fn weighs_tokens(&self) -> bool {
        false
    }

    /// The most tokens of a text that it reads, in its own tokens and without those that it adds itself; the rest of a
    /// longer text is not part of the vector. `None`: unknown.
    fn max_tokens(&self) -> Option<usize> {
        None
    }

    /// How many of its own tokens a text has. Where its vocabulary is not at hand, this is only the number of bytes, which
    /// no vocabulary exceeds.
    fn count(&self, text: &str) -> usize {
        text.len()
    }
}

/// What was made of a text before, found by the hash of the text.
pub type KnownVector = ([u8; 16], Embedded);

/// A reembedding to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReembedding {
    /// Of this knowledge base.
    pub knowledge_base: KnowledgeBaseId,
    /// The id of the embedder that is changed to; empty: lexical only.
    pub embedder: String,
    /// Its dimensions.
    pub dimensions: u32,
    /// For whom the work is done, as JSON.
    pub delegation: String,
    /// Now.
    pub time: i64,
}

/// What became of a reembedding to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReembeddingStart {
    /// It is stored, or the same request stored it before; absent when that one is over.
    Stored(Option<Reembedding>),
    /// The request id belongs to another body.
    Reused,
    /// Another one is under way.
    Busy,
    /// The knowledge base is gone.
    NoKnowledgeBase,
}

/// A reembedding that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReembeddingJob {
    /// Whose it is.
    pub tenant: TenantId,
    /// Of this knowledge base.
    pub knowledge_base: KnowledgeBaseId,
    /// The id of the embedder that is changed to; empty: lexical only.
    pub embedder: String,
    /// Its dimensions.
    pub dimensions: u32,
    /// For whom the work is done, as JSON.
    pub delegation: String,
    /// Grows with each holder; an old holder's writes are refused.
    pub fence: i64,
}

/// A document that has no vectors of the new embedder yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unembedded {
    /// The document.
    pub document: DocumentId,
    /// Its version.
    pub version: u32,
    /// Its title, which is embedded with each chunk.
    pub title: String,
}

/// What became of the change to the new vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// All vectors are the new ones.
    Done,
    /// A document came that has none yet.
    More,
    /// The reembedding is gone, or another worker holds it.
    Lost,
}

/// Vectors by the hashes of their texts, and reembeddings with the vectors that they make.
#[async_trait]
pub trait VectorStore: IndexSource {
    /// The tenant's vectors of these texts by this embedder that are stored, in any order.
    async fn known_vectors(
        &self,
        tenant: TenantId,
        embedder: &str,
        hashes: &[[u8; 16]],
    ) -> Result<Vec<KnownVector>, StoreError>;

    /// Keeps vectors of a document that is not stored yet, so that they need not be made again should its work be
    /// interrupted; they are dropped when it is stored. When more than `limit` are kept for all tenants, the oldest go.
    async fn keep_vectors(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        embedder: &str,
        vectors: &[KnownVector],
        now: i64,
        limit: u32,
    ) -> Result<(), StoreError>;

    /// Stores a reembedding; from then on a worker may take it.
    async fn start_reembedding(
        &self,
        tenant: TenantId,
        new: &NewReembedding,
        request: &RequestKey,
    ) -> Result<ReembeddingStart, StoreError>;

    /// Drops a reembedding with the vectors that it made. False when there is none.
    async fn cancel_reembedding(&self, tenant: TenantId, id: KnowledgeBaseId) -> Result<bool, StoreError>;

    /// For all tenants: takes back the leases of a process that is gone, on a database of this process alone.
    async fn recover_reembeddings(&self) -> Result<(), StoreError>;

    /// For all tenants: takes a reembedding whose lease ended before `now`.
    async fn claim_reembedding(
        &self,
        now: i64,
        lease_until: i64,
    ) -> Result<Option<ReembeddingJob>, StoreError>;

    /// The first document after `after` in order of id that has no new vectors; from the first when `None`.
    async fn next_unembedded(
        &self,
        job: &ReembeddingJob,
        after: Option<DocumentId>,
    ) -> Result<Option<Unembedded>, StoreError>;

    /// Keeps the new vectors of a document's chunks with the hashes of what was embedded, in the order of
    /// [`ChunkedDocument`](super::ChunkedDocument), counts them and renews the lease. False, with nothing written, when
    /// the job is gone or another worker holds it; a document that was replaced or got another title meanwhile is left
    /// for later.
    async fn put_vectors(
        &self,
        job: &ReembeddingJob,
        of: &Unembedded,
        vectors: &[(StoredChunk, KnownVector)],
        lease_until: i64,
    ) -> Result<bool, StoreError>;

    /// Says why a reembedding does not go on, and until when to leave it alone. False as above.
    async fn put_back(&self, job: &ReembeddingJob, error: &str, lease_until: i64)
    -> Result<bool, StoreError>;

    /// Makes the new vectors those that searches see, in one transaction, and moves the version.
    async fn switch_vectors(&self, job: &ReembeddingJob) -> Result<Switch, StoreError>;
}
