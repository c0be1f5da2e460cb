//! What the desk needs of the rows that callers see.

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, TenantId};

use crate::domain::reading::Page;
use crate::domain::records::{Document, KnowledgeBase, Passage};
use crate::domain::source::{ContentType, SourceKind};
use crate::domain::stages::{OverQuota, Usage};

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
    /// The knowledge base, or whatever it is about, is gone.
    NoKnowledgeBase,
    /// The tenant may not store more.
    OverQuota(OverQuota),
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

    /// What the tenant has stored and has under way.
    async fn usage(&self, tenant: TenantId) -> Result<Usage, StoreError>;

    /// The passages of these ids that exist, in any order, each with the text of the version it was cut from.
    async fn passages(&self, tenant: TenantId, ids: &[PassageId]) -> Result<Vec<Passage>, StoreError>;

    /// The pages of a document, in order.
    async fn pages(&self, tenant: TenantId, id: DocumentId) -> Result<Vec<Page>, StoreError>;
}
