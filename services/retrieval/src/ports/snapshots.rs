//! What the desk needs of the rows of snapshots and originals.

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, SnapshotId, TenantId};

use super::{Created, NewPassage, RequestKey, StoredObject, StoredPage};
use crate::domain::records::{Document, KnowledgeBase};
use crate::domain::stages::Allowance;

/// A stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// What it was made of.
    pub knowledge_base: KnowledgeBaseId,
    /// That knowledge base's name.
    pub name: String,
    /// Documents in it.
    pub documents: u64,
    /// Child chunks in it.
    pub chunks: u64,
    /// Length of its file.
    pub size: u64,
    /// The hash at the end of its file, in hexadecimal digits.
    pub content_hash: String,
    /// When it was made.
    pub create_time: i64,
}

/// A document with all that belongs to it, of one version.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeDocument {
    /// The document.
    pub document: Document,
    /// When its bytes were uploaded.
    pub upload_time: i64,
    /// Its text.
    pub text: String,
    /// The object of its bytes, unless they are its text.
    pub original: Option<StoredObject>,
    /// Its passages with their chunks.
    pub passages: Vec<NewPassage>,
    /// Its pages in order.
    pub pages: Vec<StoredPage>,
}

/// A document's bytes as they were uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Original {
    /// They are its text: the hash that they should have, and they.
    Text(String, Bytes),
    /// They stand in an object.
    Object(StoredObject),
}

/// Where the documents of a restore come from, and where the parts of an object come from.
pub type Source<'a, T> = &'a mut (dyn Iterator<Item = Result<T, StoreError>> + Send);

/// Snapshots and originals.
#[async_trait]
pub trait SnapshotStore: Send + Sync {
    /// A document's bytes as they were uploaded, or where they stand.
    async fn original(&self, tenant: TenantId, id: DocumentId) -> Result<Option<Original>, StoreError>;

    /// The ids of a knowledge base's documents.
    async fn document_ids(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
    ) -> Result<Vec<DocumentId>, StoreError>;

    /// A document with all that belongs to it; `None` when it is absent.
    async fn whole_document(
        &self,
        tenant: TenantId,
        id: DocumentId,
    ) -> Result<Option<WholeDocument>, StoreError>;

    /// Stores a snapshot whose file is this pending object.
    async fn add_snapshot(
        &self,
        tenant: TenantId,
        snapshot: &Snapshot,
        file: &StoredObject,
    ) -> Result<(), StoreError>;

    /// One snapshot.
    async fn snapshot(&self, tenant: TenantId, id: SnapshotId) -> Result<Option<Snapshot>, StoreError>;

    /// Newest first, those made before `before`, `limit` at most.
    async fn snapshots(
        &self,
        tenant: TenantId,
        before: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<Snapshot>, StoreError>;

    /// Deletes a snapshot; its file is gone. False when it is absent.
    async fn delete_snapshot(&self, tenant: TenantId, id: SnapshotId) -> Result<bool, StoreError>;

    /// The knowledge base that this request id restored before, with its fingerprint.
    async fn restored_before(
        &self,
        tenant: TenantId,
        request_id: &str,
    ) -> Result<Option<(String, KnowledgeBase)>, StoreError>;

    /// Stores a new knowledge base with all these documents, whose originals are pending objects, in one transaction: all or
    /// nothing. Its counts and version are counted here.
    async fn restore(
        &self,
        tenant: TenantId,
        base: &KnowledgeBase,
        request: &RequestKey,
        documents: Source<'_, WholeDocument>,
        allowance: &Allowance,
    ) -> Result<Created<KnowledgeBase>, StoreError>;
}
