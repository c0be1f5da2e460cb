//! Finds the passages that answer a query best, and says how it did.

use std::collections::HashMap;

use copydesk_guard::text::terms;
use copydesk_types::{KnowledgeBaseId, PassageId, TenantId};

use super::Desk;
use super::query_vectors::Dense;
use crate::domain::fusion::fuse;
use crate::domain::lens::Lens;
use crate::domain::ranking::{Hit, Leaf, lexical_only, passages};
use crate::domain::records::{KnowledgeBase, Passage};
use crate::domain::source::ContentType;
use crate::error::Error;
use crate::ports::{Corpus, IndexError};

/// Passages that each leg brings to the fusion, at least.
const LEG: usize = 100;
/// How often a search starts over when what it found was deleted before it could be shown.
const ATTEMPTS: usize = 3;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Query {
    /// Where to search; at least one.
    pub knowledge_bases: Vec<KnowledgeBaseId>,
    /// The question.
    pub text: String,
    /// Passages wanted; absent: by content type.
    pub top_k: Option<u32>,
    /// What will be written.
    pub content_type: ContentType,
    /// What it may see.
    pub lens: Lens,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Best first.
    pub passages: Vec<FoundPassage>,
    /// True when the dense leg took part.
    pub hybrid: bool,
    /// Why a configured leg did not take part.
    pub degraded: Option<String>,
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
    /// `NotFound` for a knowledge base. A failing dense leg is no error: the answer is lexical and says so.
    #[tracing::instrument(
        name = "retrieval.search",
        skip_all,
        fields(copydesk.knowledge_bases = query.knowledge_bases.len(), copydesk.hits, copydesk.hybrid)
    )]
    pub async fn search(&self, tenant: TenantId, query: Query) -> Result<Found, Error> {
        let top_k = query.top_k.unwrap_or_else(|| self.config.default_top_k(query.content_type)) as usize;
        let words = terms(&query.text);
        let mut bases = self.searched(tenant, &query).await?;
        let mut dense = Dense::default();
        let mut found = Vec::new();
        for attempt in 1..=ATTEMPTS {
            dense = self.dense(tenant, &bases, &query.text).await;
            let hits = self.ranked(corpus(tenant, &bases), &words, &mut dense, &query.lens, top_k).await?;
            let wanted = hits.len();
            found = self.with_passages(tenant, hits).await?;
            let moved = self.has_moved(tenant, &dense).await?;
            if moved && attempt == ATTEMPTS {
                // Never a mix of two embedders: what the legs found may be one.
                dense = Dense { legs: Vec::new(), failed: vec!["the embedder was changed just now".to_owned()] };
                let hits = self.ranked(corpus(tenant, &bases), &words, &mut dense, &query.lens, top_k).await?;
                found = self.with_passages(tenant, hits).await?;
            }
            if (found.len() == wanted && !moved) || attempt == ATTEMPTS {
                break;
            }
            bases = self.searched(tenant, &query).await?;
        }
        let (hybrid, degraded) = (!dense.legs.is_empty(), dense.degraded());
        self.metrics.searched(if hybrid { "hybrid" } else { "lexical" }, degraded.is_some());
        let span = tracing::Span::current();
        span.record("copydesk.hits", found.len()).record("copydesk.hybrid", hybrid);
        Ok(Found { passages: found, hybrid, degraded })
    }

    /// The knowledge bases as they are now, in order of id and each once.
    async fn searched(&self, tenant: TenantId, query: &Query) -> Result<Vec<KnowledgeBase>, Error> {
        let mut ids = query.knowledge_bases.clone();
        ids.sort_unstable();
        ids.dedup();
        let mut bases = Vec::with_capacity(ids.len());
        for id in ids {
            bases.push(self.knowledge_base(tenant, id).await?);
        }
        Ok(bases)
    }

    /// The best hits. A scan of meanings that is lost makes the dense leg a failed one.
    async fn ranked(
        &self,
        corpus: Corpus,
        words: &[String],
        dense: &mut Dense,
        lens: &Lens,
        top_k: usize,
    ) -> Result<Vec<Hit>, Error> {
        if dense.legs.is_empty() {
            let leaves = self.words.by_words(&corpus, words, lens, top_k).await?;
            return Ok(passages(lexical_only(leaves), top_k));
        }
        let depth = top_k.max(LEG);
        let lexical: Vec<Leaf> = self.words.by_words(&corpus, words, lens, depth).await?;
        let mut near = Vec::with_capacity(dense.legs.len());
        for leg in std::mem::take(&mut dense.legs) {
            let corpus = Corpus { tenant: corpus.tenant, knowledge_bases: leg.knowledge_bases.clone() };
            match self.meanings.by_meaning(&corpus, leg.vector.to_vec(), lens, depth).await {
                Ok(leaves) => {
                    near.push(leaves);
                    dense.legs.push(leg);
                }
                Err(IndexError::Lost(error)) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the dense leg takes no part in a search"
                    );
                    dense.failed.push("the search by meaning was lost; the log says why".to_owned());
                }
                Err(error) => return Err(error.into()),
            }
        }
        if near.is_empty() {
            return Ok(passages(lexical_only(lexical), top_k));
        }
        Ok(passages(fuse(&lexical, &near), top_k))
    }

    /// The hits whose passages still exist, in their order.
    async fn with_passages(&self, tenant: TenantId, hits: Vec<Hit>) -> Result<Vec<FoundPassage>, Error> {
        let ids: Vec<PassageId> = hits.iter().map(|hit| hit.leaf.passage).collect();
        let rows = if ids.is_empty() { Vec::new() } else { self.knowledge.passages(tenant, &ids).await? };
        let mut rows: HashMap<PassageId, Passage> = rows.into_iter().map(|row| (row.id, row)).collect();
        let found = hits.into_iter().filter_map(|hit| {
            let passage = rows.remove(&hit.leaf.passage)?;
            Some(FoundPassage { passage, hit })
        });
        Ok(found.collect())
    }
}

fn corpus(tenant: TenantId, bases: &[KnowledgeBase]) -> Corpus {
    Corpus { tenant, knowledge_bases: bases.iter().map(|base| (base.id, base.version)).collect() }
}
