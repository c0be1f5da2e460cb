//! Begins and ends changes of embedder; `reembedder.rs` does the work.

use copydesk_rpc::{Caller, Delegation};
use copydesk_types::{KnowledgeBaseId, TenantId};

use super::Desk;
use crate::domain::records::KnowledgeBase;
use crate::domain::upload::{Fault, Refusal};
use crate::error::{Error, Resource};
use crate::ports::{NewReembedding, ReembeddingStart, RequestKey};

impl Desk {
    /// Begins to change a knowledge base's embedder, or finds that the same request did; gives the knowledge base as it
    /// stands then.
    ///
    /// # Errors
    /// `NotFound`; `Refused` for an embedder that is not configured; `RequestReused`; `ReembeddingUnderWay`.
    #[tracing::instrument(name = "retrieval.reembed", skip_all)]
    pub async fn reembed(
        &self,
        caller: &Caller,
        request_id: String,
        id: KnowledgeBaseId,
        embedder: &str,
    ) -> Result<KnowledgeBase, Error> {
        self.knowledge_base(caller.tenant, id).await?;
        let (embedder_id, dimensions) = self.chosen(embedder)?;
        let delegation = serde_json::to_string(&Delegation::of(caller))?;
        let new = NewReembedding {
            knowledge_base: id,
            embedder: embedder_id,
            dimensions,
            delegation,
            time: self.clock.now(),
        };
        let fingerprint = blake3::hash(format!("{id} {embedder}").as_bytes()).to_hex().to_string();
        let request = RequestKey { id: request_id, fingerprint };
        match self.vectors.start_reembedding(caller.tenant, &new, &request).await? {
            ReembeddingStart::Stored(_) => {}
            ReembeddingStart::Reused => {
                return Err(Error::RequestReused(Resource::KnowledgeBase, request.id));
            }
            ReembeddingStart::Busy => return Err(Error::ReembeddingUnderWay(id)),
            ReembeddingStart::NoKnowledgeBase => {
                return Err(Error::NotFound(Resource::KnowledgeBase, id.to_string()));
            }
        }
        self.progress.reembedding_came();
        self.knowledge_base(caller.tenant, id).await
    }

    /// Ends a change of embedder and drops what it made.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    #[tracing::instrument(name = "retrieval.cancel_reembedding", skip_all)]
    pub async fn cancel_reembedding(&self, tenant: TenantId, id: KnowledgeBaseId) -> Result<(), Error> {
        self.knowledge_base(tenant, id).await?;
        let cancelled = self.vectors.cancel_reembedding(tenant, id).await?;
        if cancelled { Ok(()) } else { Err(Error::NotFound(Resource::Reembedding, id.to_string())) }
    }

    /// The id and the dimensions of the embedder that a caller means; empty and 0 for lexical only.
    ///
    /// # Errors
    /// `Refused` when there is none of that name or id.
    pub(super) fn chosen(&self, embedder: &str) -> Result<(String, u32), Error> {
        match self.embedders.named(embedder) {
            Ok(Some(embedder)) => Ok((embedder.id().to_owned(), embedder.dimensions() as u32)),
            Ok(None) => Ok((String::new(), 0)),
            Err(_) => {
                let names: Vec<&str> = self.embedders.all().iter().map(|entry| entry.name.as_str()).collect();
                let description = format!("is none of {}", [&names[..], &["none"]].concat().join(", "));
                Err(Refusal(vec![Fault { field: "embedder".to_owned(), description }]).into())
            }
        }
    }
}
