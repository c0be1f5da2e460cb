//! Finds the passages that answer a query best, and says how it did.

use std::collections::HashMap;

use copydesk_guard::text::terms;
use copydesk_types::{KnowledgeBaseId, PassageId, TenantId};

use super::Desk;
use crate::domain::fusion::fuse;
use crate::domain::lens::Lens;
use crate::domain::ranking::{Hit, Leaf, lexical_only, passages};
use crate::domain::records::{KnowledgeBase, Passage};
use crate::domain::source::ContentType;
use crate::error::Error;
use crate::ports::{Corpus, Embedder, IndexError};

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

/// The dense leg's part in one search.
enum Dense {
    /// No embedder is configured.
    Absent,
    /// It takes part with this vector.
    Vector(Vec<f32>),
    /// It cannot, for this reason.
    Failed(String),
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
        let mut dense = self.dense(&bases, &query.text).await;
        let mut found = Vec::new();
        for attempt in 1..=ATTEMPTS {
            let hits = self.ranked(corpus(tenant, &bases), &words, &mut dense, &query.lens, top_k).await?;
            let wanted = hits.len();
            found = self.with_passages(tenant, hits).await?;
            if found.len() == wanted || attempt == ATTEMPTS {
                break;
            }
            bases = self.searched(tenant, &query).await?;
        }
        let hybrid = matches!(dense, Dense::Vector(_));
        let degraded = if let Dense::Failed(reason) = dense { Some(reason) } else { None };
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

    async fn dense(&self, bases: &[KnowledgeBase], text: &str) -> Dense {
        let Some(embedder) = &self.embedder else { return Dense::Absent };
        if let Some(other) = bases.iter().find(|base| base.embedder != embedder.id()) {
            return Dense::Failed(format!(
                "{} was not indexed with the embedder {}",
                other.id,
                embedder.id()
            ));
        }
        match one_vector(embedder.as_ref(), text).await {
            Ok(vector) => Dense::Vector(vector),
            Err(reason) => {
                tracing::warn!(reason, "the dense leg takes no part in a search");
                Dense::Failed(reason)
            }
        }
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
        let Dense::Vector(vector) = dense else {
            let leaves = self.words.by_words(&corpus, words, lens, top_k).await?;
            return Ok(passages(lexical_only(leaves), top_k));
        };
        let depth = top_k.max(LEG);
        let lexical: Vec<Leaf> = self.words.by_words(&corpus, words, lens, depth).await?;
        match self.meanings.by_meaning(&corpus, vector.clone(), lens, depth).await {
            Ok(near) => Ok(passages(fuse(&lexical, &near), top_k)),
            Err(IndexError::Lost(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the dense leg takes no part in a search"
                );
                *dense = Dense::Failed("the search by meaning was lost; the log says why".to_owned());
                Ok(passages(lexical_only(lexical), top_k))
            }
            Err(error) => Err(error.into()),
        }
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

async fn one_vector(embedder: &dyn Embedder, text: &str) -> Result<Vec<f32>, String> {
    let vectors = embedder.embed(vec![text.to_owned()]).await.map_err(|error| error.to_string())?;
    vectors.into_iter().next().ok_or_else(|| "the embedder gave no vector".to_owned())
}
