//! The search index in a Qdrant server, for more chunks than one machine's memory holds and for replicas that share it.
//!
//! ```text
//! link.rs      calls: time limits, places, repeats, errors by what helps
//! layout.rs    the collection, its alias, its vectors and payload indexes
//! point.rs     a chunk as a point, and back
//! filter.rs    filters as the server's conditions
//! mark.rs      how far a knowledge base is shown
//! enter.rs     from rows into points
//! count.rs     what a search sees, and the numbers of it
//! recall.rs    from points to the lists of the legs
//! follow.rs    keeps everything up to date in the background
//! ```
//!
//! **Rows are the truth.** A point carries the version of its knowledge base that made it. A *mark*, a point without
//! vectors for each knowledge base, says up to which version points are shown; every search asks for points up to there.
//! New points are written first and are invisible; the mark is moved; what they replace is deleted. So a document, or a
//! knowledge base's vectors of a new embedder, is there as a whole or not, and whoever dies in between leaves nothing that
//! is seen: the next one reads the mark and does the rest again. Every hit's version is compared with the rows before it
//! is ranked; one that is gone or was replaced is dropped, and its points are deleted.
//!
//! **Scores are ours.** The server recalls candidates with their words and vectors, `domain/recalled.rs` scores them with
//! the formulas of the indexes in memory, and asks for more until nothing that was not recalled can belong into the list.
//! How many chunks hold a term, and how long all are, is counted in the server among the points that the search sees.

mod count;
mod enter;
mod filter;
mod follow;
mod layout;
mod link;
mod mark;
mod point;
mod recall;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use copydesk_types::{KnowledgeBaseId, PassageId, TenantId};
use moka::sync::Cache;
use tokio::sync::{Mutex as AsyncMutex, Notify};

use self::layout::Layout;
use self::link::{Fault, Link, in_time};
use self::mark::Mark;
use crate::config::QdrantConfig;
use crate::domain::inspection::Inspection;
use crate::domain::lens::Lens;
use crate::domain::ranking::Leaf;
use crate::domain::recalled::Statistics;
use crate::domain::token_weights::TokenWeights;
use crate::ports::{Corpus, Embedded, IndexError, IndexSource, Inspector, LexicalIndex, VectorIndex};

/// A knowledge base.
type Key = (TenantId, KnowledgeBaseId);

/// Numbers that are remembered: of whole corpora, and of single terms in them.
const REMEMBERED: u64 = 100_000;

/// The index in a Qdrant server.
pub struct QdrantIndex {
    source: Arc<dyn IndexSource>,
    link: Link,
    /// The widths of the embedders that are configured: a new collection takes them from the start.
    widths: BTreeSet<usize>,
    layout: RwLock<Option<Arc<Layout>>>,
    /// Held by who finds, makes or changes the collection.
    making: AsyncMutex<()>,
    held: Mutex<HashMap<Key, Arc<Held>>>,
    statistics: Cache<[u8; 32], Statistics>,
    holding: Cache<[u8; 32], u64>,
    /// Part of what numbers are remembered under: moves when points go away that should not have been there.
    epoch: AtomicU64,
    /// The version at which the follower last looked at each knowledge base's lengths.
    looked: Mutex<HashMap<Key, u64>>,
    /// Wakes the follower.
    wake: Notify,
}

/// What this process knows of a knowledge base.
#[derive(Default)]
struct Held {
    /// Held by whoever brings it up to date.
    catching_up: AsyncMutex<()>,
    /// The mark as it was last seen.
    mark: Mutex<Option<Mark>>,
}

impl Held {
    fn mark(&self) -> Option<Mark> {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, mark: Option<Mark>) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }
}

impl QdrantIndex {
    /// An index over a source. Nothing is called yet. `widths` are the dimensions of the embedders that are configured.
    pub fn new(
        source: Arc<dyn IndexSource>,
        config: QdrantConfig,
        widths: impl IntoIterator<Item = usize>,
    ) -> Self {
        Self {
            source,
            link: Link::new(config),
            widths: widths.into_iter().collect(),
            layout: RwLock::default(),
            making: AsyncMutex::default(),
            held: Mutex::default(),
            statistics: Cache::new(REMEMBERED),
            holding: Cache::new(REMEMBERED),
            epoch: AtomicU64::default(),
            looked: Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn held(&self, key: Key) -> Arc<Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(held.entry(key).or_default())
    }

    /// The collection, found or made when it is first needed.
    async fn layout(&self) -> Result<Arc<Layout>, Fault> {
        if let Some(layout) = self.known_layout() {
            return Ok(layout);
        }
        let _turn = self.making.lock().await;
        if let Some(layout) = self.known_layout() {
            return Ok(layout);
        }
        let layout = Arc::new(self.link.layout(&self.widths).await?);
        self.set_layout(Some(Arc::clone(&layout)));
        Ok(layout)
    }

    fn known_layout(&self) -> Option<Arc<Layout>> {
        self.layout.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_layout(&self, layout: Option<Arc<Layout>>) {
        *self.layout.write().unwrap_or_else(PoisonError::into_inner) = layout;
    }

    /// Forgets what is known of the server, because it turned out to be otherwise.
    fn forget_all(&self) {
        self.set_layout(None);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().for_each(|held| held.note(None));
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// The alias: the name by which everything is read and written.
    fn alias(&self) -> &str {
        &self.link.config().prefix
    }
}

#[async_trait]
impl LexicalIndex for QdrantIndex {
    async fn by_words(
        &self,
        corpus: &Corpus,
        terms: &[String],
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        in_time("a search by words", self.words(corpus, terms, lens, parents)).await
    }

    fn forget(&self, tenant: TenantId, knowledge_base: KnowledgeBaseId) {
        // Its points go when the follower sees that it has no row; no search names it before.
        tracing::debug!(%tenant, %knowledge_base, "a knowledge base leaves the index");
        self.wake.notify_one();
    }
}

#[async_trait]
impl VectorIndex for QdrantIndex {
    async fn by_meaning(
        &self,
        corpus: &Corpus,
        vector: Vec<f32>,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        in_time("a search by meaning", self.meanings(corpus, vector, lens, parents)).await
    }

    async fn by_tokens(
        &self,
        corpus: &Corpus,
        weights: &TokenWeights,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        in_time("a search by tokens", self.tokens(corpus, weights, lens, parents)).await
    }
}

#[async_trait]
impl Inspector for QdrantIndex {
    async fn inspect(
        &self,
        corpus: &Corpus,
        terms: &[String],
        question: Option<Embedded>,
        passages: &[PassageId],
    ) -> Result<Inspection, IndexError> {
        in_time("a look at passages", self.look(corpus, terms, question, passages)).await
    }
}
