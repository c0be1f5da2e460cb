//! Shows and lists documents and passages.

use copydesk_types::{DocumentId, PassageId, TenantId};

use super::Desk;
use super::knowledge_bases::page;
use crate::domain::reading::Page;
use crate::domain::records::{Document, Passage};
use crate::error::{Error, Resource};
use crate::ports::DocumentFilter;

impl Desk {
    /// One document, with its text when that is asked for.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn document(
        &self,
        tenant: TenantId,
        id: DocumentId,
        with_text: bool,
    ) -> Result<(Document, Option<String>), Error> {
        let found = if with_text {
            let found = self.knowledge.document_with_text(tenant, id).await?;
            found.map(|(document, text)| (document, Some(text)))
        } else {
            self.knowledge.document(tenant, id).await?.map(|document| (document, None))
        };
        found.ok_or_else(|| Error::NotFound(Resource::Document, id.to_string()))
    }

    /// The pages of a document, in order; none of one that is absent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pages(&self, tenant: TenantId, id: DocumentId) -> Result<Vec<Page>, Error> {
        Ok(self.knowledge.pages(tenant, id).await?)
    }

    /// A page of a knowledge base's documents, newest first, and whether more follow.
    ///
    /// # Errors
    /// `NotFound` for the knowledge base.
    pub async fn documents(
        &self,
        tenant: TenantId,
        filter: DocumentFilter,
        before: Option<DocumentId>,
        size: u32,
    ) -> Result<(Vec<Document>, bool), Error> {
        self.knowledge_base(tenant, filter.knowledge_base).await?;
        let found = self.knowledge.documents(tenant, filter, before, size + 1).await?;
        Ok(page(found, size))
    }

    /// One passage.
    ///
    /// # Errors
    /// `NotFound`, also for a passage of a document's earlier version.
    pub async fn passage(&self, tenant: TenantId, id: PassageId) -> Result<Passage, Error> {
        let found = self.knowledge.passages(tenant, &[id]).await?.pop();
        found.ok_or_else(|| Error::NotFound(Resource::Passage, id.to_string()))
    }
}
