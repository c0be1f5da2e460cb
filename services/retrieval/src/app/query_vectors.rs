//! The dense side of a search: for every embedder among the knowledge bases a leg of its own. Vectors of different
//! embedders are never compared; their legs meet where scores are made comparable, in the fusion.

use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::CallContext;
use copydesk_types::{KnowledgeBaseId, TenantId};
use moka::future::Cache;
use tokio::time::Instant;

use super::Desk;
use super::embed::checked;
use crate::domain::records::{KnowledgeBase, text_hash};
use crate::error::Error;
use crate::ports::{EmbedCause, EmbedError, Embedder, Purpose};

/// A tenant's query under an embedder's id.
type Key = (TenantId, Arc<str>, [u8; 16]);

/// Vectors of queries that were asked before; what is asked by several at once is made once. Cheap to clone.
#[derive(Clone)]
pub struct QueryVectors {
    kept: Cache<Key, Arc<[f32]>>,
}

impl QueryVectors {
    /// Keeps so many.
    pub fn new(capacity: u64) -> Self {
        Self { kept: Cache::new(capacity) }
    }
}

/// The dense side of one search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dense {
    /// One leg for each embedder, in order of its id.
    pub legs: Vec<DenseLeg>,
    /// Why knowledge bases with an embedder have no leg, one sentence for each embedder.
    pub failed: Vec<String>,
}

/// The knowledge bases of one embedder, with the query's vector.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseLeg {
    /// The embedder's id.
    pub embedder: String,
    /// The knowledge bases, in order of id, with the version that the answer must show at least.
    pub knowledge_bases: Vec<(KnowledgeBaseId, u64)>,
    /// The query's vector.
    pub vector: Arc<[f32]>,
}

impl Dense {
    /// Why the answer lacks a leg that it should have; `None` when it lacks none.
    pub fn degraded(&self) -> Option<String> {
        (!self.failed.is_empty()).then(|| self.failed.join("; "))
    }
}

impl Desk {
    /// The dense legs of a search over these knowledge bases. An embedder that fails costs its leg and not the search.
    pub(super) async fn dense(&self, tenant: TenantId, bases: &[KnowledgeBase], text: &str) -> Dense {
        let mut ids: Vec<&str> = bases.iter().map(|base| base.embedder.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut dense = Dense::default();
        for id in ids.into_iter().filter(|id| !id.is_empty()) {
            let here: Vec<&KnowledgeBase> = bases.iter().filter(|base| base.embedder == id).collect();
            match self.query_vector(tenant, &here, text).await {
                Ok(vector) => dense.legs.push(DenseLeg {
                    embedder: id.to_owned(),
                    knowledge_bases: here.iter().map(|base| (base.id, base.version)).collect(),
                    vector,
                }),
                Err(reason) => {
                    tracing::warn!(embedder = id, reason, "the dense leg takes no part in a search");
                    dense.failed.push(reason);
                }
            }
        }
        dense
    }

    async fn query_vector(
        &self,
        tenant: TenantId,
        bases: &[&KnowledgeBase],
        text: &str,
    ) -> Result<Arc<[f32]>, String> {
        let Some(first) = bases.first() else { return Err("there is no knowledge base".to_owned()) };
        for base in bases {
            self.embedder_of(base).map_err(|error| format!("{} is searched by words: {error}", base.id))?;
        }
        let embedder = self.embedder_with(&first.embedder, first.dimensions).map_err(|error| error.to_string())?;
        let key = (tenant, Arc::from(first.embedder.as_str()), text_hash(text));
        let made = self.queries.kept.try_get_with(key, self.make(embedder.as_ref(), text));
        made.await.map_err(|error| error.to_string())
    }

    async fn make(&self, embedder: &dyn Embedder, text: &str) -> Result<Arc<[f32]>, EmbedError> {
        let patience = self.patience();
        let work = checked(embedder, vec![text.to_owned()], Purpose::Query);
        let Ok(answer) = tokio::time::timeout(patience, work).await else {
            let reason = format!("no vector came within {} ms", patience.as_millis());
            return Err(EmbedError { cause: EmbedCause::Passing(None), reason });
        };
        let vector = answer?.pop();
        vector.map(Arc::from).ok_or_else(|| EmbedError::fault("the embedder gave no vector"))
    }

    /// How long a query's vector is waited for: the other half of the call's time is for the search itself.
    fn patience(&self) -> Duration {
        let most = Duration::from_millis(self.config.embedding.query_timeout_ms);
        let left = CallContext::current().deadline().map(|deadline| deadline - Instant::now());
        left.map_or(most, |left| most.min(left / 2))
    }

    /// Whether a knowledge base's vectors were changed to another embedder's since `dense` was made: then its legs may
    /// have met vectors that they must not be compared with.
    pub(super) async fn has_moved(&self, tenant: TenantId, dense: &Dense) -> Result<bool, Error> {
        for leg in &dense.legs {
            for (id, _) in &leg.knowledge_bases {
                if self.knowledge_base(tenant, *id).await?.embedder != leg.embedder {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
