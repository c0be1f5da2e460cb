//! Makes, shows and lists knowledge bases.

use copydesk_types::{KnowledgeBaseId, TenantId};

use super::Desk;
use crate::domain::records::KnowledgeBase;
use crate::domain::source::KnowledgeBaseKind;
use crate::error::{Error, Resource};
use crate::ports::{Created, RequestKey};

impl Desk {
    /// Makes an empty knowledge base; the same request id and body again gives the same one.
    ///
    /// # Errors
    /// `Refused` for an embedder that is not configured, `RequestReused` for the same id with another body.
    #[tracing::instrument(name = "retrieval.create_knowledge_base", skip_all)]
    pub async fn create_knowledge_base(
        &self,
        tenant: TenantId,
        request_id: String,
        name: String,
        kind: KnowledgeBaseKind,
        embedder: &str,
    ) -> Result<KnowledgeBase, Error> {
        // What is left out is left out of the fingerprint too: it stays what it was before there were these fields.
        let mut said = name.clone();
        if kind != KnowledgeBaseKind::General || !embedder.is_empty() {
            said = format!("{name}\0{}\0{embedder}", kind.word());
        }
        let fingerprint = blake3::hash(said.as_bytes()).to_hex().to_string();
        let (embedder, dimensions) = self.chosen(embedder)?;
        let new = KnowledgeBase {
            id: KnowledgeBaseId::generate(),
            name,
            documents: 0,
            chunks: 0,
            version: 1,
            create_time: self.clock.now(),
            embedder,
            dimensions,
            kind,
            reembedding: None,
        };
        let request = RequestKey { id: request_id, fingerprint };
        match self.knowledge.create_knowledge_base(tenant, &new, &request).await? {
            Created::New(made) | Created::Before(made) => Ok(made),
            Created::Reused | Created::NoKnowledgeBase | Created::OverQuota(_) => {
                Err(Error::RequestReused(Resource::KnowledgeBase, request.id))
            }
        }
    }

    /// One knowledge base.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn knowledge_base(
        &self,
        tenant: TenantId,
        id: KnowledgeBaseId,
    ) -> Result<KnowledgeBase, Error> {
        let found = self.knowledge.knowledge_base(tenant, id).await?;
        found.ok_or_else(|| Error::NotFound(Resource::KnowledgeBase, id.to_string()))
    }

    /// A page of knowledge bases, newest first, and whether more follow.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn knowledge_bases(
        &self,
        tenant: TenantId,
        before: Option<KnowledgeBaseId>,
        size: u32,
    ) -> Result<(Vec<KnowledgeBase>, bool), Error> {
        let found = self.knowledge.knowledge_bases(tenant, before, size + 1).await?;
        Ok(page(found, size))
    }
}

/// The first `size` of what was asked for with one more, and whether there was one more.
pub(super) fn page<T>(mut found: Vec<T>, size: u32) -> (Vec<T>, bool) {
    let more = found.len() > size as usize;
    found.truncate(size as usize);
    (found, more)
}
