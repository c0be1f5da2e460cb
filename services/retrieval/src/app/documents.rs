//! Shows and lists documents and passages.

use copydesk_types::{DocumentId, PassageId, TenantId};

use super::Desk;
use super::knowledge_bases::page;
use crate::domain::filter::{Facts, Filter};
use crate::domain::reading::Page;
use crate::domain::records::{Document, Passage};
use crate::error::{Error, Resource};
use crate::ports::DocumentFilter;

/// Documents read at once where a filter must look at each.
const READ: u32 = 500;

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

    /// The same with the document's pages, in order. They are read after it: when it was replaced meanwhile, both are read
    /// again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn document_with_pages(
        &self,
        tenant: TenantId,
        id: DocumentId,
        with_text: bool,
    ) -> Result<(Document, Option<String>, Vec<Page>), Error> {
        loop {
            let (found, text) = self.document(tenant, id, with_text).await?;
            let pages = self.knowledge.pages(tenant, id).await?;
            if self.document(tenant, id, false).await?.0.version == found.version {
                return Ok((found, text, pages));
            }
        }
    }

    /// A page of a knowledge base's documents, newest first, and whether more follow.
    ///
    /// # Errors
    /// `NotFound` for the knowledge base.
    pub async fn documents(
        &self,
        tenant: TenantId,
        list: DocumentFilter,
        filter: Option<&Filter>,
        before: Option<DocumentId>,
        size: u32,
    ) -> Result<(Vec<Document>, bool), Error> {
        self.knowledge_base(tenant, list.knowledge_base).await?;
        let found = match filter {
            Some(filter) => self.accepted(tenant, list, filter, before, size + 1).await?,
            None => self.knowledge.documents(tenant, list, before, size + 1).await?,
        };
        Ok(page(found, size))
    }

    /// The newest documents for which a filter holds, up to `wanted`. What attributes say is not for the database to
    /// ask: the two databases would each answer in their own way.
    async fn accepted(
        &self,
        tenant: TenantId,
        list: DocumentFilter,
        filter: &Filter,
        mut before: Option<DocumentId>,
        wanted: u32,
    ) -> Result<Vec<Document>, Error> {
        let mut found = Vec::new();
        loop {
            let read = self.knowledge.documents(tenant, list, before, READ).await?;
            let last = read.len() < READ as usize;
            before = read.last().map(|document| document.id);
            found.extend(read.into_iter().filter(|document| filter.accepts(&Facts::of(document))));
            if last || found.len() >= wanted as usize {
                found.truncate(wanted as usize);
                return Ok(found);
            }
        }
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
