//! Finds the passages that answer a query best, and says how it did.
//!
//! One search is: what may be looked at (`plan`), the legs' lists (`legs`), one list of candidates, a second look, what
//! differs, what each kind is owed (`arrange`). Answers are kept (`kept`) until something changes.

mod arrange;
mod batch;
mod explain;
mod kept;
mod legs;
mod meaning;
mod plan;

use std::collections::HashMap;

use copydesk_types::{KnowledgeBaseId, PassageId, TenantId};

pub use explain::{Explanation, Lexical, Matched, Sparse};
pub use kept::QueryCache;
pub use plan::{Mode, Query, SecondLook};

use self::arrange::Arranged;
use self::meaning::Meaning;
use self::plan::Plan;
use super::Desk;
use crate::domain::fusion::Method;
use crate::domain::ranking::Hit;
use crate::domain::records::{KnowledgeBase, Passage};
use crate::error::Error;
use crate::ports::Corpus;

/// How often a search starts over when what it found was deleted before it could be shown.
const ATTEMPTS: usize = 3;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Best first.
    pub passages: Vec<FoundPassage>,
    /// The dense leg's model, when it took part.
    pub embedder: Option<String>,
    /// True when a sparse leg took part.
    pub sparse: bool,
    /// How the legs became one list, when there were several.
    pub method: Option<Method>,
    /// The model that looked a second time.
    pub reranker: Option<String>,
    /// Why something that was configured or asked for did not take part.
    pub degraded: Option<String>,
    /// What was searched, in order of id, with the versions that the answer shows at least.
    pub bases: Vec<(KnowledgeBaseId, u64)>,
    /// True when it is an answer from before.
    pub cached: bool,
}

impl Found {
    /// True when the dense leg took part.
    pub fn hybrid(&self) -> bool {
        self.embedder.is_some()
    }
}

/// A passage and why it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundPassage {
    /// The passage.
    pub passage: Passage,
    /// The chunk of it that matched.
    pub hit: Hit,
}

impl Desk {
    /// Searches.
    ///
    /// # Errors
    /// `NotFound` for a knowledge base, `Refused` for a query that cannot be. A failing dense leg or reranker is no
    /// error: the answer comes without it and says so.
    #[tracing::instrument(
        name = "retrieval.search",
        skip_all,
        fields(copydesk.knowledge_bases = query.knowledge_bases.len(), copydesk.hits, copydesk.hybrid, copydesk.cached)
    )]
    pub async fn search(&self, tenant: TenantId, query: Query) -> Result<Found, Error> {
        let plan = self.plan(&query)?;
        let bases = self.searched(tenant, &query.knowledge_bases).await?;
        let found = match self.kept(tenant, &query, &bases) {
            Some(kept) => kept,
            None => self.found(tenant, &query, &plan, bases).await?,
        };
        self.count(&found);
        let span = tracing::Span::current();
        span.record("copydesk.hits", found.passages.len()).record("copydesk.hybrid", found.hybrid());
        span.record("copydesk.cached", found.cached);
        Ok(found)
    }

    fn count(&self, found: &Found) {
        let mode = if found.hybrid() { "hybrid" } else { "lexical" };
        self.metrics.searched(mode, found.degraded.is_some(), found.cached);
    }

    /// The answer, as often anew as needed for all of it to be there, and kept.
    async fn found(
        &self,
        tenant: TenantId,
        query: &Query,
        plan: &Plan,
        mut bases: Vec<KnowledgeBase>,
    ) -> Result<Found, Error> {
        let mut attempt = 1;
        loop {
            let mut meaning = self.meaning(tenant, plan, &bases).await;
            let mut arranged = self.arranged(tenant, plan, &bases, &mut meaning).await?;
            if self.has_moved(tenant, &meaning).await? {
                // Never a mix of two embedders: if it changes every time, words have to do.
                arranged.whole = false;
                if attempt == ATTEMPTS {
                    meaning = Meaning::Failed("the embedder was changed just now".to_owned());
                    arranged = self.arranged(tenant, plan, &bases, &mut meaning).await?;
                }
            }
            let rows = self.rows(tenant, &[&arranged]).await?;
            let (found, whole) = shown(arranged, &rows, &bases);
            if whole {
                self.keep(tenant, query, &bases, &found);
            }
            if whole || attempt == ATTEMPTS {
                return Ok(found);
            }
            attempt += 1;
            bases = self.searched(tenant, &query.knowledge_bases).await?;
        }
    }

    /// The knowledge bases as they are now, in order of id and each once.
    async fn searched(&self, tenant: TenantId, ids: &[KnowledgeBaseId]) -> Result<Vec<KnowledgeBase>, Error> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut bases = Vec::with_capacity(ids.len());
        for id in ids {
            bases.push(self.knowledge_base(tenant, id).await?);
        }
        Ok(bases)
    }

    /// The rows of what several answers show and do not have yet, read at once.
    async fn rows(
        &self,
        tenant: TenantId,
        answers: &[&Arranged],
    ) -> Result<HashMap<PassageId, Passage>, Error> {
        let mut ids: Vec<PassageId> = answers.iter().flat_map(|arranged| arranged.missing()).collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = if ids.is_empty() { Vec::new() } else { self.knowledge.passages(tenant, &ids).await? };
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

/// The answer with its passages, and whether all of them were still there.
fn shown(arranged: Arranged, rows: &HashMap<PassageId, Passage>, bases: &[KnowledgeBase]) -> (Found, bool) {
    let mut passages = Vec::with_capacity(arranged.chosen.len());
    for at in &arranged.chosen {
        let hit = &arranged.candidates[*at];
        let id = hit.leaf.passage;
        if let Some(passage) = arranged.rows.get(&id).or_else(|| rows.get(&id)) {
            passages.push(FoundPassage { passage: passage.clone(), hit: hit.clone() });
        }
    }
    let whole = arranged.whole && passages.len() == arranged.chosen.len();
    let found = Found {
        passages,
        embedder: arranged.embedder,
        sparse: !arranged.legs.sparse.is_empty(),
        method: arranged.method,
        reranker: arranged.reranker,
        degraded: arranged.degraded,
        bases: bases.iter().map(|base| (base.id, base.version)).collect(),
        cached: false,
    };
    (found, whole)
}

fn corpus(tenant: TenantId, bases: &[KnowledgeBase]) -> Corpus {
    Corpus { tenant, knowledge_bases: bases.iter().map(|base| (base.id, base.version)).collect() }
}
