//! From rows into an index: documents are read many at a time and entered one by one.

use std::collections::HashMap;

use copydesk_store::StoreError;
use copydesk_types::{DocumentId, TenantId};
use tokio::sync::RwLock;

use super::memory_index::Loaded;
use crate::domain::index::{IndexedChunk, IndexedDocument};
use crate::ports::{Change, ChunkedDocument, IndexSource, StoredChunk};

/// Chunks that are read at once, at least: with their vectors about four megabytes.
const CHUNKS: u64 = 2_000;
/// Documents that are read at once, at most: each is a parameter of a statement.
const DOCUMENTS: usize = 256;

/// The documents that changed, a batch after the other.
pub(super) struct Batches<'a> {
    source: &'a dyn IndexSource,
    tenant: TenantId,
    changes: std::vec::IntoIter<Change>,
}

/// Changes with the documents of those that still exist.
pub(super) struct Batch {
    changes: Vec<Change>,
    documents: HashMap<DocumentId, ChunkedDocument>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(source: &'a dyn IndexSource, tenant: TenantId, changes: Vec<Change>) -> Self {
        Self { source, tenant, changes: changes.into_iter() }
    }

    /// The next batch; `None` after the last.
    pub(super) async fn read(&mut self) -> Result<Option<Batch>, StoreError> {
        let (mut changes, mut chunks) = (Vec::new(), 0);
        while chunks < CHUNKS
            && changes.len() < DOCUMENTS
            && let Some(change) = self.changes.next()
        {
            chunks += change.chunks;
            changes.push(change);
        }
        if changes.is_empty() {
            return Ok(None);
        }
        let ids: Vec<DocumentId> = changes.iter().map(|change| change.document).collect();
        let read = self.source.chunked(self.tenant, &ids).await?;
        let documents = read.into_iter().map(|document| (document.facts.id, document)).collect();
        Ok(Some(Batch { changes, documents }))
    }
}

impl Batch {
    /// Each change with its document, if that still exists, ready to be entered.
    pub(super) fn documents(mut self) -> impl Iterator<Item = (Change, Option<IndexedDocument>)> {
        let documents = std::mem::take(&mut self.documents);
        self.changes.into_iter().scan(documents, |documents, change| {
            Some((change, documents.remove(&change.document).map(indexed)))
        })
    }
}

/// Enters a batch, each document in a moment of its own, and moves the version along with them. Blocks.
pub(super) fn enter(batch: Batch, loaded: &RwLock<Loaded>) {
    for (change, document) in batch.documents() {
        let mut loaded = loaded.blocking_write();
        match document {
            Some(document) => loaded.index.put(document),
            None => loaded.index.remove(change.document),
        }
        loaded.version = change.version;
    }
}

fn indexed(document: ChunkedDocument) -> IndexedDocument {
    let ChunkedDocument { facts, terms, chunks } = document;
    let chunk = |StoredChunk { passage, ordinal, span, vector, weights }| IndexedChunk {
        passage,
        ordinal,
        span,
        vector,
        weights,
    };
    let chunks = chunks.into_iter().map(chunk);
    IndexedDocument { facts, terms, chunks: chunks.collect() }
}
