//! What the desk needs of the rows of snapshots and originals.

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, SnapshotId, TenantId};

use super::{Created, NewPassage, RequestKey, StoredPage};
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
    /// Its bytes, unless they are its text.
    pub original: Option<Vec<u8>>,
    /// Its passages with their chunks.
    pub passages: Vec<NewPassage>,
    /// Its pages in order.
    pub pages: Vec<StoredPage>,
}

/// Where the documents of a restore come from, and where the parts of a snapshot's file come from.
pub type Source<'a, T> = &'a mut (dyn Iterator<Item = Result<T, StoreError>> + Send);

/// Snapshots and originals.
#[async_trait]
pub trait SnapshotStore: Send + Sync {
    /// The hash and the bytes of a document as they were uploaded.
    async fn original(&self, tenant: TenantId, id: DocumentId)
    -> Result<Option<(String, Bytes)>, StoreError>;

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

    /// Stores a snapshot and the parts of its file, all or nothing.
    async fn add_snapshot(
        &self,
        tenant: TenantId,
        snapshot: &Snapshot,
        parts: Source<'_, Vec<u8>>,
    ) -> Result<(), StoreError>;

    /// One snapshot.
    async fn snapshot(&self, tenant: TenantId, id: SnapshotId) -> Result<Option<Snapshot>, StoreError>;

    /// A part of a snapshot's file, from 0; `None` after the last.
    async fn snapshot_part(
        &self,
        tenant: TenantId,
        id: SnapshotId,
        ordinal: u32,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// Newest first, those made before `before`, `limit` at most.
    async fn snapshots(
        &self,
        tenant: TenantId,
        before: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<Snapshot>, StoreError>;

    /// Deletes a snapshot with its file. False when it is absent.
    async fn delete_snapshot(&self, tenant: TenantId, id: SnapshotId) -> Result<bool, StoreError>;

    /// The knowledge base that this request id restored before, with its fingerprint.
    async fn restored_before(
        &self,
        tenant: TenantId,
        request_id: &str,
    ) -> Result<Option<(String, KnowledgeBase)>, StoreError>;

    /// Stores a new knowledge base with all these documents, in one transaction: all or nothing. Its counts and version
    /// are counted here.
    async fn restore(
        &self,
        tenant: TenantId,
        base: &KnowledgeBase,
        request: &RequestKey,
        documents: Source<'_, WholeDocument>,
        allowance: &Allowance,
    ) -> Result<Created<KnowledgeBase>, StoreError>;
}
