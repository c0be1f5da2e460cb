//! Queries as embedders give them, those that were asked before from memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::CallContext;
use copydesk_types::TenantId;
use moka::sync::Cache;
use tokio::time::Instant;

use super::Desk;
use super::embed::checked;
use crate::domain::records::text_hash;
use crate::ports::{EmbedCause, EmbedError, Embedded, Embedder, Purpose};

/// A tenant's query under an embedder's id.
type Key = (TenantId, Arc<str>, [u8; 16]);

/// Vectors of queries that were asked before. Cheap to clone.
#[derive(Clone)]
pub struct QueryVectors {
    kept: Cache<Key, Arc<Embedded>>,
}

impl QueryVectors {
    /// Keeps so many.
    pub fn new(capacity: u64) -> Self {
        Self { kept: Cache::new(capacity) }
    }
}

impl Desk {
    /// Each text's vector as a query; those that are not known are made in one call.
    ///
    /// # Errors
    /// When the embedder fails or takes longer than a search may wait.
    pub(super) async fn query_vectors(
        &self,
        tenant: TenantId,
        embedder: &dyn Embedder,
        texts: Vec<String>,
    ) -> Result<HashMap<String, Arc<Embedded>>, EmbedError> {
        let id: Arc<str> = Arc::from(embedder.id());
        let key = |text: &str| (tenant, Arc::clone(&id), text_hash(text));
        let (mut known, mut missing) = (HashMap::with_capacity(texts.len()), Vec::new());
        for text in texts {
            match self.queries.kept.get(&key(&text)) {
                Some(vector) => {
                    known.insert(text, vector);
                }
                None => missing.push(text),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let patience = self.patience();
        let work = checked(embedder, missing.clone(), Purpose::Query);
        let Ok(made) = tokio::time::timeout(patience, work).await else {
            let reason = format!("no vector came within {} ms", patience.as_millis());
            return Err(EmbedError { cause: EmbedCause::Passing(None), reason });
        };
        for (text, vector) in missing.into_iter().zip(made?) {
            let vector = Arc::new(vector);
            self.queries.kept.insert(key(&text), Arc::clone(&vector));
            known.insert(text, vector);
        }
        Ok(known)
    }

    /// How long a query's vector is waited for: the other half of the call's time is for the search itself.
    fn patience(&self) -> Duration {
        let most = Duration::from_millis(self.config.embedding.query_timeout_ms);
        let left = CallContext::current().deadline().map(|deadline| deadline - Instant::now());
        left.map_or(most, |left| most.min(left / 2))
    }
}
