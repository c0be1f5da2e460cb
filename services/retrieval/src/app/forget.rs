//! Deletes, for good and at once: when the answer is given, no search finds what was deleted.

use copydesk_types::{DocumentId, KnowledgeBaseId, TenantId};

use super::Desk;
use crate::error::{Error, Resource};

impl Desk {
    /// Deletes a document. Searches that start later see the new version of its knowledge base and so not the document.
    ///
    /// # Errors
    /// `NotFound`.
    #[tracing::instrument(name = "retrieval.delete_document", skip_all)]
    pub async fn delete_document(&self, tenant: TenantId, id: DocumentId) -> Result<(), Error> {
        if !self.knowledge.delete_document(tenant, id).await? {
            return Err(Error::NotFound(Resource::Document, id.to_string()));
        }
        self.cache.forget_document(id);
        self.progress.objects_left();
        Ok(())
    }

    /// Deletes a knowledge base with everything in it, jobs under way included.
    ///
    /// # Errors
    /// `NotFound`.
    #[tracing::instrument(name = "retrieval.delete_knowledge_base", skip_all)]
    pub async fn delete_knowledge_base(&self, tenant: TenantId, id: KnowledgeBaseId) -> Result<(), Error> {
        if !self.knowledge.delete_knowledge_base(tenant, id).await? {
            return Err(Error::NotFound(Resource::KnowledgeBase, id.to_string()));
        }
        self.words.forget(tenant, id);
        self.cache.forget_base(id);
        self.progress.objects_left();
        // Watchers of its ingestions read again and find them gone.
        self.progress.notify_all();
        Ok(())
    }
}
