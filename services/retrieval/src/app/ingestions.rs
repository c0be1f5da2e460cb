//! Shows and lists ingestions and their documents, cancels them, tries them again, lets them expire.

use copydesk_rpc::{Caller, Delegation};
use copydesk_types::{IngestionId, TenantId};

use super::Desk;
use super::knowledge_bases::page;
use crate::domain::records::Ingestion;
use crate::domain::stages::{IngestionDocument, Measure, OverQuota, Stage, Usage};
use crate::error::{Error, Resource};
use crate::ports::{Created, IngestionFilter, RequestKey, Retry};

const DAY: i64 = 24 * 60 * 60 * 1000;

impl Desk {
    /// One ingestion.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn ingestion(&self, tenant: TenantId, id: IngestionId) -> Result<Ingestion, Error> {
        let found = self.ingestions.ingestion(tenant, id).await?;
        found.map(|found| self.as_it_is(found)).ok_or_else(|| absent(id))
    }

    /// A page of ingestions, newest first, and whether more follow.
    ///
    /// # Errors
    /// `NotFound` for the knowledge base of the filter.
    pub async fn ingestions(
        &self,
        tenant: TenantId,
        filter: IngestionFilter,
        before: Option<IngestionId>,
        size: u32,
    ) -> Result<(Vec<Ingestion>, bool), Error> {
        if let Some(id) = filter.knowledge_base {
            self.knowledge_base(tenant, id).await?;
        }
        let found = self.ingestions.ingestions(tenant, filter, before, size + 1).await?;
        let (found, more) = page(found, size);
        Ok((found.into_iter().map(|found| self.as_it_is(found)).collect(), more))
    }

    /// A page of an ingestion's documents from the place `from` on, in upload order, and whether more follow.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn ingestion_documents(
        &self,
        tenant: TenantId,
        id: IngestionId,
        stage: Option<Stage>,
        from: u32,
        size: u32,
    ) -> Result<(Vec<IngestionDocument>, bool), Error> {
        let ingestion = self.ingestion(tenant, id).await?;
        if let Some(stage) = stage.filter(|stage| stage.is_at_work()) {
            let found = self.at_work(tenant, &ingestion).await?;
            return Ok((found.into_iter().filter(|found| found.stage == stage).collect(), false));
        }
        // One more than a page, and the one at work, which is no waiting one.
        let found = self.ingestions.ingestion_documents(tenant, id, stage, from, size + 2).await?;
        let found = found.into_iter().map(|found| staged(&ingestion, found));
        let wanted = found.filter(|found| stage.is_none_or(|stage| stage == found.stage));
        Ok(page(wanted.collect(), size))
    }

    /// The document of an ingestion that is at work, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn at_work(
        &self,
        tenant: TenantId,
        ingestion: &Ingestion,
    ) -> Result<Option<IngestionDocument>, Error> {
        let Some((ordinal, _)) = ingestion.at else { return Ok(None) };
        let found = self.ingestions.ingestion_documents(tenant, ingestion.id, None, ordinal, 1).await?;
        let found = found.into_iter().map(|found| staged(ingestion, found));
        Ok(found.into_iter().find(|found| found.stage.is_at_work()))
    }

    /// Ends an ingestion; what it has stored stays.
    ///
    /// # Errors
    /// `NotFound`.
    #[tracing::instrument(name = "retrieval.cancel_ingestion", skip_all)]
    pub async fn cancel_ingestion(&self, tenant: TenantId, id: IngestionId) -> Result<Ingestion, Error> {
        let ended = self.ingestions.cancel(tenant, id, self.clock.now()).await?.ok_or_else(|| absent(id))?;
        self.progress.stop(id);
        self.progress.notify(id);
        Ok(ended)
    }

    /// Queues the failed, poisoned and cancelled documents of an ingestion again.
    ///
    /// # Errors
    /// `NotFound`, `RequestReused` when the request id belongs to another ingestion, `OverQuota` when the tenant has
    /// too many ingestions open.
    #[tracing::instrument(name = "retrieval.retry_ingestion", skip_all)]
    pub async fn retry_ingestion(
        &self,
        caller: &Caller,
        request_id: String,
        id: IngestionId,
    ) -> Result<Ingestion, Error> {
        if self.ingestion(caller.tenant, id).await?.state.is_final() {
            self.check_open_ingestions(caller.tenant).await?;
        }
        let delegation = serde_json::to_string(&Delegation::of(caller))?;
        let retry = Retry { id, delegation, time: self.clock.now() };
        let request = RequestKey { id: request_id, fingerprint: id.to_string() };
        match self.ingestions.retry(caller.tenant, &retry, &request).await? {
            Created::New(ingestion) | Created::Before(ingestion) => {
                self.progress.work_came();
                self.progress.notify(id);
                Ok(ingestion)
            }
            Created::Reused => Err(Error::RequestReused(Resource::Ingestion, request.id)),
            Created::NoKnowledgeBase => Err(absent(id)),
            Created::OverQuota(over) => Err(Error::OverQuota(over)),
        }
    }

    /// What a tenant has stored and has under way.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage(&self, tenant: TenantId) -> Result<Usage, Error> {
        Ok(self.knowledge.usage(tenant).await?)
    }

    /// Whether a tenant may open another ingestion: looked at before an upload is read, decided when it is stored.
    pub(super) async fn check_open_ingestions(&self, tenant: TenantId) -> Result<(), Error> {
        let limit = self.config.quotas.open_ingestions;
        if limit > 0 && self.usage(tenant).await?.open_ingestions >= limit {
            return Err(Error::OverQuota(OverQuota { measure: Measure::OpenIngestions, limit }));
        }
        Ok(())
    }

    /// Deletes ingestions whose retention has ended, `limit` at most at once until none is left.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn expire_ingestions(&self, limit: u32) -> Result<(), Error> {
        let days = i64::from(self.config.retention.ingestion_days);
        if days == 0 {
            return Ok(());
        }
        while self.ingestions.expire(self.clock.now() - days * DAY, limit).await? == limit {}
        Ok(())
    }

    /// An ingestion with what this process knows better than its row.
    fn as_it_is(&self, mut ingestion: Ingestion) -> Ingestion {
        if ingestion.state.is_final() {
            ingestion.at = None;
        } else if let Some(at) = self.progress.at(ingestion.id) {
            ingestion.at = Some(at);
        }
        ingestion
    }
}

/// A document with its stage if it is at work; its row says that it waits.
fn staged(ingestion: &Ingestion, mut document: IngestionDocument) -> IngestionDocument {
    if let Some((ordinal, stage)) = ingestion.at
        && ordinal == document.ordinal
        && document.stage == Stage::Waiting
    {
        document.stage = stage;
        document.attempts += 1;
    }
    document
}

fn absent(id: IngestionId) -> Error {
    Error::NotFound(Resource::Ingestion, id.to_string())
}
