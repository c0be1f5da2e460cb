//! The indexes in memory: one for each knowledge base, built from rows when it is first searched, caught up before
//! every search, dropped when it was not searched for the longest time.
//!
//! Rows are the truth. A search names the version that it must see, and the index reads what changed since the version
//! it has; so a write needs to tell nobody, and a deletion that was answered is never found again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use copydesk_guard::text::terms;
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, TenantId};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::domain::index::{IndexedChunk, IndexedDocument, KnowledgeIndex};
use crate::domain::inspection::{self, Inspection};
use crate::domain::lens::Lens;
use crate::domain::ranking::Leaf;
use crate::domain::{bm25, cosine};
use crate::ports::{ChunkedDocument, Corpus, IndexError, IndexSource, Inspector, LexicalIndex, VectorIndex};

type Key = (TenantId, KnowledgeBaseId);

/// The indexes in memory.
pub struct MemoryIndex {
    source: Arc<dyn IndexSource>,
    capacity: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<Key, Entry>,
    uses: u64,
}

struct Entry {
    loaded: Arc<RwLock<Loaded>>,
    last_use: u64,
}

#[derive(Default)]
struct Loaded {
    version: u64,
    index: KnowledgeIndex,
}

impl MemoryIndex {
    /// Indexes over a source, of so many knowledge bases at once.
    pub fn new(source: Arc<dyn IndexSource>, capacity: usize) -> Self {
        Self { source, capacity: capacity.max(1), shelf: Mutex::default() }
    }

    /// How many knowledge bases are in memory.
    pub fn held(&self) -> usize {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    fn entry(&self, key: Key) -> Arc<RwLock<Loaded>> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.uses += 1;
        let last_use = shelf.uses;
        let entry = shelf.entries.entry(key).or_insert_with(|| Entry { loaded: Arc::default(), last_use });
        entry.last_use = last_use;
        let loaded = Arc::clone(&entry.loaded);
        while shelf.entries.len() > self.capacity {
            let oldest = shelf.entries.iter().min_by_key(|(_, entry)| entry.last_use).map(|(key, _)| *key);
            oldest.and_then(|key| shelf.entries.remove(&key));
        }
        loaded
    }

    /// The indexes of a corpus, each at the wanted version or a later one. They are taken in order of id, which every
    /// corpus has: two searches never wait for each other.
    async fn current(&self, corpus: &Corpus) -> Result<Vec<OwnedRwLockReadGuard<Loaded>>, IndexError> {
        let mut guards = Vec::with_capacity(corpus.knowledge_bases.len());
        for (knowledge_base, version) in &corpus.knowledge_bases {
            let key = (corpus.tenant, *knowledge_base);
            let entry = self.entry(key);
            let guard = Arc::clone(&entry).read_owned().await;
            if guard.version >= *version {
                guards.push(guard);
                continue;
            }
            drop(guard);
            let mut guard = entry.write_owned().await;
            if guard.version < *version {
                self.catch_up(key, &mut guard, *version).await?;
            }
            guards.push(guard.downgrade());
        }
        Ok(guards)
    }

    /// Applies one change after the other and keeps the version of each: a search that ran out of time in the middle
    /// leaves its part of the work to the next.
    async fn catch_up(&self, key: Key, loaded: &mut Loaded, version: u64) -> Result<(), IndexError> {
        let (tenant, knowledge_base) = key;
        for (document, change) in self.source.changes(tenant, knowledge_base, loaded.version).await? {
            match self.source.chunked(tenant, document).await? {
                Some(chunked) => loaded.index.put(prepared(document, chunked).await?),
                None => loaded.index.remove(document),
            }
            loaded.version = change;
        }
        loaded.version = loaded.version.max(version);
        Ok(())
    }
}

/// Splits a document into terms, beside the runtime's own threads when that takes long.
async fn prepared(id: DocumentId, chunked: ChunkedDocument) -> Result<IndexedDocument, IndexError> {
    const SHORT: usize = 64 * 1024;
    if chunked.text.len() <= SHORT {
        return Ok(indexed(id, &chunked));
    }
    beside(move || indexed(id, &chunked)).await
}

/// Runs long work beside the runtime's own threads. What was lost is told: it must not look like a document without
/// words, or a search without hits.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, IndexError> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// A chunk is found by its own words and by those of its document's title: a part of a long text often does not say
/// again what it is about.
fn indexed(id: DocumentId, document: &ChunkedDocument) -> IndexedDocument {
    let title = terms(&document.title);
    let chunks = document.chunks.iter().map(|chunk| {
        let span = chunk.span.start as usize..chunk.span.end as usize;
        let mut words = terms(document.text.get(span).unwrap_or_default());
        words.extend(title.iter().cloned());
        IndexedChunk {
            passage: chunk.passage,
            ordinal: chunk.ordinal,
            span: chunk.span.clone(),
            terms: words,
            vector: chunk.vector.clone(),
        }
    });
    IndexedDocument { id, kind: document.kind, chunks: chunks.collect() }
}

fn indexes(guards: &[OwnedRwLockReadGuard<Loaded>]) -> Vec<&KnowledgeIndex> {
    guards.iter().map(|guard| &guard.index).collect()
}

#[async_trait]
impl LexicalIndex for MemoryIndex {
    async fn by_words(
        &self,
        corpus: &Corpus,
        terms: &[String],
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        let guards = self.current(corpus).await?;
        Ok(bm25::search(&indexes(&guards), terms, lens.kinds, parents))
    }

    fn forget(&self, tenant: TenantId, knowledge_base: KnowledgeBaseId) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.entries.remove(&(tenant, knowledge_base));
    }
}

#[async_trait]
impl VectorIndex for MemoryIndex {
    async fn by_meaning(
        &self,
        corpus: &Corpus,
        vector: Vec<f32>,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        let guards = self.current(corpus).await?;
        let kinds = lens.kinds;
        beside(move || cosine::search(&indexes(&guards), &vector, kinds, parents)).await
    }
}

#[async_trait]
impl Inspector for MemoryIndex {
    async fn inspect(
        &self,
        corpus: &Corpus,
        terms: &[String],
        passages: &[PassageId],
    ) -> Result<Inspection, IndexError> {
        let guards = self.current(corpus).await?;
        let (terms, passages) = (terms.to_vec(), passages.to_vec());
        beside(move || inspection::inspect(&indexes(&guards), &terms, &passages)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lost_work_is_an_error_and_not_an_empty_answer() {
        assert_eq!(beside(|| 3).await.unwrap(), 3);
        let lost = beside(|| -> Vec<Leaf> { unreachable!("a fault in the scan") }).await;
        assert!(matches!(lost, Err(IndexError::Lost(_))), "{lost:?}");
    }
}
