//! The indexes in memory: one for each knowledge base, built from rows when it is first searched, caught up before
//! every search, dropped when memory is short and it was not searched for the longest time.
//!
//! Rows are the truth. A search names the version that it must see, and the index reads what changed since the version
//! it has; so a write needs to tell nobody, and a deletion that was answered is never found again. Reading rows and
//! splitting texts happens beside the index: searches wait for a document's entry into it and for no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use copydesk_rpc::Turns;
use copydesk_types::{KnowledgeBaseId, PassageId, TenantId};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};

use super::catch_up::{Batches, enter};
use super::graphs::Graphs;
use crate::config::IndexConfig;
use crate::domain::index::{Effort, KnowledgeIndex, Wish};
use crate::domain::inspection::{self, Inspection};
use crate::domain::lens::Lens;
use crate::domain::ranking::Leaf;
use crate::domain::terms::TermId;
use crate::domain::token_weights::TokenWeights;
use crate::domain::{bm25, cosine, sparse};
use crate::ports::{Corpus, Embedded, IndexError, IndexSource, Inspector, LexicalIndex, VectorIndex};

type Key = (TenantId, KnowledgeBaseId);

/// The indexes in memory.
pub struct MemoryIndex {
    source: Arc<dyn IndexSource>,
    config: IndexConfig,
    shelf: Arc<Mutex<Shelf>>,
    graphs: Graphs,
    turns: Turns,
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<Key, Entry>,
    uses: u64,
}

struct Entry {
    held: Arc<Held>,
    last_use: u64,
    bytes: u64,
}

/// One knowledge base's index.
#[derive(Default)]
pub(super) struct Held {
    /// Held by whoever brings the index up to date, to the end of what was begun.
    catching_up: Arc<AsyncMutex<()>>,
    /// Held by whoever sees to the index's graph.
    pub(super) making: Arc<AsyncMutex<()>>,
    pub(super) loaded: Arc<RwLock<Loaded>>,
}

/// An index and the version of the knowledge base that it shows.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) version: u64,
    pub(super) index: KnowledgeIndex,
    /// About how many bytes it took when it was last counted, and how many documents changed since.
    bytes: usize,
    changed: usize,
}

impl Loaded {
    /// About how many bytes it takes. Counting goes through every list: it is done again only when the index may have
    /// changed by a good part.
    fn weighed(&mut self, changed: usize) -> usize {
        self.changed += changed;
        if self.bytes == 0 || self.changed >= self.index.documents() / 32 {
            (self.bytes, self.changed) = (self.index.bytes(), 0);
        }
        self.bytes
    }

    /// About how many bytes it takes, counted now.
    pub(super) fn weighed_anew(&mut self) -> usize {
        self.bytes = 0;
        self.weighed(0)
    }
}

impl Shelf {
    /// Notes the size of an index and drops others until all fit. The one that was used last stays, whatever its size.
    fn weigh(&mut self, key: Key, bytes: usize, budget: u64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.bytes = bytes as u64;
        }
        let mut all: u64 = self.entries.values().map(|entry| entry.bytes).sum();
        while all > budget && self.entries.len() > 1 {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_use).map(|(key, _)| *key);
            let Some(dropped) = oldest.and_then(|key| self.entries.remove(&key)) else { break };
            all -= dropped.bytes;
        }
    }
}

impl MemoryIndex {
    /// Indexes over a source.
    pub fn new(source: Arc<dyn IndexSource>, config: IndexConfig) -> Self {
        Self { source, graphs: Graphs::new(&config), config, shelf: Arc::default(), turns: Turns::default() }
    }

    /// How many knowledge bases are in memory, and about how many bytes they take.
    pub fn held(&self) -> (usize, u64) {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        (shelf.entries.len(), shelf.entries.values().map(|entry| entry.bytes).sum())
    }

    fn entry(&self, key: Key) -> Arc<Held> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.uses += 1;
        let last_use = shelf.uses;
        let entry =
            shelf.entries.entry(key).or_insert_with(|| Entry { held: Arc::default(), last_use, bytes: 0 });
        entry.last_use = last_use;
        Arc::clone(&entry.held)
    }

    /// Waits until the graphs of all indexes that want one are made.
    pub async fn settled(&self) {
        let held: Vec<Arc<Held>> = {
            let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.entries.values().map(|entry| Arc::clone(&entry.held)).collect()
        };
        for held in held {
            drop(held.making.lock().await);
        }
    }

    /// The indexes of a corpus, each at the wanted version or a later one. First all are brought up to date, so that
    /// none is held while another one is read from rows; then they are taken in order of id, which every corpus has:
    /// two searches never wait for each other.
    async fn current(&self, corpus: &Corpus) -> Result<Vec<OwnedRwLockReadGuard<Loaded>>, IndexError> {
        let mut entries = Vec::with_capacity(corpus.knowledge_bases.len());
        for (knowledge_base, version) in &corpus.knowledge_bases {
            let key = (corpus.tenant, *knowledge_base);
            let held = self.entry(key);
            if held.loaded.read().await.version < *version {
                self.catch_up(key, &held, *version).await?;
            }
            entries.push(held);
        }
        let mut guards = Vec::with_capacity(entries.len());
        for held in entries {
            guards.push(Arc::clone(&held.loaded).read_owned().await);
        }
        Ok(guards)
    }

    /// Searches, beside the runtime's own threads and at a turn of the tenant's when that takes long.
    async fn searched<T: Send + 'static>(
        &self,
        tenant: TenantId,
        guards: Vec<OwnedRwLockReadGuard<Loaded>>,
        cost: impl Fn(&KnowledgeIndex) -> u64,
        search: impl FnOnce(&[&KnowledgeIndex]) -> T + Send + 'static,
    ) -> Result<T, IndexError> {
        let cost: u64 = guards.iter().map(|guard| cost(&guard.index)).sum();
        let work = move || {
            let indexes: Vec<&KnowledgeIndex> = guards.iter().map(|guard| &guard.index).collect();
            search(&indexes)
        };
        if cost <= SHORT {
            return Ok(work());
        }
        let turn = self.turns.take(tenant).await;
        beside(move || {
            let found = work();
            drop(turn);
            found
        })
        .await
    }

    /// Enters what changed since the version that the index shows. What a search that ran out of time has entered is
    /// there for the next.
    async fn catch_up(&self, key: Key, held: &Arc<Held>, version: u64) -> Result<(), IndexError> {
        let mut turn = Arc::clone(&held.catching_up).lock_owned().await;
        let shown = held.loaded.read().await.version;
        if shown >= version {
            return Ok(());
        }
        let (tenant, knowledge_base) = key;
        let changes = self.source.changes(tenant, knowledge_base, shown).await?;
        let changed = changes.len();
        let mut batches = Batches::new(self.source.as_ref(), tenant, changes);
        let mut next = batches.read().await?;
        while let Some(batch) = next {
            let loaded = Arc::clone(&held.loaded);
            // The turn goes along: a search that is given up leaves it with the work, not with the next search.
            let work = beside(move || {
                enter(batch, &loaded);
                turn
            });
            let (done, read) = tokio::join!(work, batches.read());
            turn = done?;
            next = read?;
        }
        let (bytes, wish) = finish(&held.loaded, version, changed, self.graphs.effort(), turn).await;
        let (shelf, budget) = (Arc::clone(&self.shelf), self.config.memory_bytes);
        let weigh =
            move |bytes| shelf.lock().unwrap_or_else(PoisonError::into_inner).weigh(key, bytes, budget);
        weigh(bytes);
        if wish != Wish::Nothing {
            self.graphs.tend(held, weigh);
        }
        Ok(())
    }
}

/// The index shows this version now. Gives its size and what should be done about its graph.
async fn finish(
    loaded: &RwLock<Loaded>,
    version: u64,
    changed: usize,
    effort: Effort,
    _turn: OwnedMutexGuard<()>,
) -> (usize, Wish) {
    let mut loaded = loaded.write().await;
    loaded.version = loaded.version.max(version);
    (loaded.weighed(changed), loaded.index.wish(effort.graph_above))
}

/// Runs long work beside the runtime's own threads. What was lost is told: it must not look like a document without
/// words, or a search without hits.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, IndexError> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// Nanoseconds of work, about, that are done on the runtime's own threads: no more than a hop to another thread may cost
/// on a busy machine.
const SHORT: u64 = 100_000;
/// What a posting and a vector cost to look at, in nanoseconds, about.
const POSTING: u64 = 2;
const VECTOR: u64 = 20;

/// What it costs to go through the postings of these terms.
fn of_words(index: &KnowledgeIndex, terms: &[String]) -> u64 {
    let postings = |term: &String| index.postings(TermId::of(term)).len() as u64;
    POSTING * terms.iter().map(postings).sum::<u64>()
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
        let (own, lens) = (terms.to_vec(), lens.clone());
        let cost = |index: &KnowledgeIndex| of_words(index, terms);
        self.searched(corpus.tenant, guards, cost, move |indexes| bm25::search(indexes, &own, &lens, parents))
            .await
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
        let own = lens.clone();
        let cost = |index: &KnowledgeIndex| VECTOR * index.about_visible(lens);
        let effort = self.graphs.effort();
        self.searched(corpus.tenant, guards, cost, move |indexes| {
            cosine::search(indexes, vector, &own, parents, effort)
        })
        .await
    }

    async fn by_tokens(
        &self,
        corpus: &Corpus,
        weights: &TokenWeights,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        let guards = self.current(corpus).await?;
        let (own, lens) = (weights.clone(), lens.clone());
        let holding = |index: &KnowledgeIndex| {
            weights.iter().map(|(token, _)| index.holding(token).len() as u64).sum::<u64>()
        };
        let cost = |index: &KnowledgeIndex| POSTING * holding(index);
        self.searched(corpus.tenant, guards, cost, move |indexes| {
            sparse::search(indexes, &own, &lens, parents)
        })
        .await
    }
}

#[async_trait]
impl Inspector for MemoryIndex {
    async fn inspect(
        &self,
        corpus: &Corpus,
        terms: &[String],
        question: Option<Embedded>,
        passages: &[PassageId],
    ) -> Result<Inspection, IndexError> {
        let guards = self.current(corpus).await?;
        let (terms, passages) = (terms.to_vec(), passages.to_vec());
        let cost = |index: &KnowledgeIndex| POSTING * index.chunks();
        let (vector, weights) = question.map(|own| (own.vector, own.weights)).unzip();
        let inspect = move |indexes: &[&KnowledgeIndex]| {
            inspection::inspect(indexes, &terms, vector, weights.flatten(), &passages)
        };
        self.searched(corpus.tenant, guards, cost, inspect).await
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
