//! What a search needs: the legs, and the rows that indexes are built from.

use std::collections::HashMap;
use std::ops::Range;

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, TenantId};

use super::Embedded;
use crate::domain::filter::Facts;
use crate::domain::inspection::Inspection;
use crate::domain::lens::Lens;
use crate::domain::ranking::Leaf;
use crate::domain::terms::DocumentTerms;
use crate::domain::token_weights::TokenWeights;

/// That a document was changed or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The document.
    pub document: DocumentId,
    /// The version of the knowledge base that its last change made.
    pub version: u64,
    /// How many chunks it has now; none when it is deleted.
    pub chunks: u64,
}

/// A document as an index reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkedDocument {
    /// What filters may ask of it, its id and its title among them.
    pub facts: Facts,
    /// The terms of its title and of each of its chunks.
    pub terms: DocumentTerms,
    /// Its child chunks, in order of the text.
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
    /// The learned weights of its tokens, if it has some.
    pub weights: Option<TokenWeights>,
}

/// What indexes are built from.
#[async_trait]
pub trait IndexSource: Send + Sync {
    /// The documents that were changed or deleted after this version of the knowledge base, oldest change first.
    async fn changes(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        after: u64,
    ) -> Result<Vec<Change>, StoreError>;

    /// Those of these documents that exist, in any order, each with its chunks, all of one version. At most a thousand.
    async fn chunked(&self, tenant: TenantId, ids: &[DocumentId])
    -> Result<Vec<ChunkedDocument>, StoreError>;

    /// The versions of the knowledge base that last changed these documents, deletions included; those that never were
    /// are left out. At most a thousand.
    async fn last_changes(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        ids: &[DocumentId],
    ) -> Result<HashMap<DocumentId, u64>, StoreError>;

    /// Every knowledge base of every tenant with its version: for an index that is kept up to date for all of them.
    async fn every_knowledge_base(&self) -> Result<Vec<(TenantId, KnowledgeBaseId, u64)>, StoreError>;
}

/// What a search looks through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    /// Whose.
    pub tenant: TenantId,
    /// The knowledge bases, in order of id and each once, with the version that the answer must show at least.
    pub knowledge_bases: Vec<(KnowledgeBaseId, u64)>,
}

/// An index cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The rows that it is built from cannot be read.
    #[error("the rows of an index cannot be read")]
    Store(#[from] StoreError),
    /// Its work was lost: the process is ending, or the code has a fault.
    #[error("work on an index was lost")]
    Lost(#[from] tokio::task::JoinError),
    /// The server that holds it is not there, busy or late: the caller repeats later.
    #[error("the server of the search index: {0}")]
    Unavailable(String),
    /// The server that holds it refuses, or holds something else: the operator looks at it.
    #[error("the server of the search index refuses: {0}")]
    Unfit(String),
}

/// Finds chunks by words.
#[async_trait]
pub trait LexicalIndex: Send + Sync {
    /// The best chunks for these terms, best first: enough for `parents` different passages, if there are so many.
    async fn by_words(
        &self,
        corpus: &Corpus,
        terms: &[String],
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError>;

    /// Frees what is held for a deleted knowledge base.
    fn forget(&self, tenant: TenantId, knowledge_base: KnowledgeBaseId);
}

/// Finds chunks by what an embedder has said of them.
#[async_trait]
pub trait VectorIndex: Send + Sync {
    /// The nearest chunks to a vector, nearest first: enough for `parents` different passages, if there are so many.
    async fn by_meaning(
        &self,
        corpus: &Corpus,
        vector: Vec<f32>,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError>;

    /// The best chunks by the learned weights of the tokens that they share with a query, best first: enough for `parents`
    /// different passages, if there are so many.
    async fn by_tokens(
        &self,
        corpus: &Corpus,
        weights: &TokenWeights,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError>;
}

/// Looks at single passages, for explanations and for choosing what differs.
#[async_trait]
pub trait Inspector: Send + Sync {
    /// The chunks of these passages, with the numbers that the legs rank by for these terms and, when meanings are
    /// compared, this question. Passages that are not in the corpus have none.
    async fn inspect(
        &self,
        corpus: &Corpus,
        terms: &[String],
        question: Option<Embedded>,
        passages: &[PassageId],
    ) -> Result<Inspection, IndexError>;
}
