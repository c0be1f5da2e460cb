//! Answers that are given again while nothing has changed.
//!
//! An answer is kept under everything that it depends on: the tenant, the whole query, and each knowledge base with its
//! version, which moves with every change of content. So what was deleted is in no answer that is given after the
//! deletion was answered, and a change needs to tell nobody. Degraded answers are not kept: the next one may be whole.

use std::sync::Arc;

use copydesk_types::{DocumentId, KnowledgeBaseId, TenantId};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::Found;
use super::plan::Query;
use crate::app::Desk;
use crate::config;
use crate::domain::records::KnowledgeBase;

/// What an entry costs beside its passages' texts, in bytes.
const ENTRY: usize = 512;
/// What a passage costs beside its text and title, in bytes.
const PASSAGE: usize = 512;

/// The answers.
#[derive(Clone)]
pub struct QueryCache {
    entries: Cache<[u8; 32], Entry>,
    /// How long they hold, in milliseconds.
    ttl: i64,
}

#[derive(Clone)]
struct Entry {
    found: Arc<Found>,
    time: i64,
}

impl QueryCache {
    /// An empty one.
    pub fn new(config: &config::QueryCache) -> Self {
        let ttl = std::time::Duration::from_secs(config.ttl_seconds);
        let capacity = if config.ttl_seconds == 0 { 0 } else { config.max_bytes };
        let entries = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, entry: &Entry| u32::try_from(size(&entry.found)).unwrap_or(u32::MAX))
            // Admission by frequency would refuse new answers while old ones are popular.
            .eviction_policy(EvictionPolicy::lru())
            // Frees what nobody asks for again; whether an answer still holds is decided by the desk's clock.
            .time_to_live(ttl)
            .support_invalidation_closures()
            .build();
        Self { entries, ttl: i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX) }
    }

    /// Frees answers that show a deleted document. They would not be given again anyway.
    pub(in crate::app) fn forget_document(&self, id: DocumentId) {
        let shows = move |entry: &Entry| entry.found.passages.iter().any(|one| one.passage.document == id);
        self.forget(shows);
    }

    /// Frees answers from a deleted knowledge base.
    pub(in crate::app) fn forget_base(&self, id: KnowledgeBaseId) {
        self.forget(move |entry: &Entry| entry.found.bases.iter().any(|(base, _)| *base == id));
    }

    fn forget(&self, which: impl Fn(&Entry) -> bool + Send + Sync + 'static) {
        if let Err(error) = self.entries.invalidate_entries_if(move |_, entry| which(entry)) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "old answers stay in memory for a while"
            );
        }
    }

    /// About how many bytes are held.
    pub fn held(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }
}

fn size(found: &Found) -> usize {
    let passages =
        found.passages.iter().map(|one| PASSAGE + one.passage.text.len() + one.passage.title.len());
    ENTRY + passages.sum::<usize>()
}

/// What an answer depends on, as a hash that nobody can find another text for.
fn key(tenant: TenantId, query: &Query, bases: &[KnowledgeBase]) -> [u8; 32] {
    let query = Query { skip_cache: false, ..query.clone() };
    let bases: Vec<_> = bases.iter().map(|base| (base.id, base.version, &base.embedder)).collect();
    *blake3::hash(format!("{tenant} {bases:?} {query:?}").as_bytes()).as_bytes()
}

impl Desk {
    /// The answer that this query got before, if nothing has changed since.
    pub(super) fn kept(&self, tenant: TenantId, query: &Query, bases: &[KnowledgeBase]) -> Option<Found> {
        if query.skip_cache {
            return None;
        }
        let entry = self.cache.entries.get(&key(tenant, query, bases))?;
        let age = self.clock.now().saturating_sub(entry.time);
        (age < self.cache.ttl).then(|| Found { cached: true, ..Found::clone(&entry.found) })
    }

    /// Keeps an answer that is whole.
    pub(super) fn keep(&self, tenant: TenantId, query: &Query, bases: &[KnowledgeBase], found: &Found) {
        if found.degraded.is_none() && self.cache.ttl > 0 {
            let entry = Entry { found: Arc::new(found.clone()), time: self.clock.now() };
            self.cache.entries.insert(key(tenant, query, bases), entry);
        }
    }
}
