//! Measuring how a brand writes.

use std::sync::Arc;

use copydesk_types::{BrandId, KnowledgeBaseId, TenantId};
use moka::sync::Cache;

use super::App;
use crate::domain::metrics::{BrandMetrics, measure};
use crate::domain::outcome::ContentType;
use crate::error::Error;

type Key = (TenantId, BrandId, ContentType, Vec<(KnowledgeBaseId, u64)>);

/// Figures that were measured before. The versions of the knowledge bases are part of the key, so that nothing has to
/// be thrown away when a text changes: the old entry is just not asked for again.
pub(super) struct Measured(Cache<Key, Option<Arc<BrandMetrics>>>);

impl Measured {
    pub(super) fn new(entries: u64) -> Self {
        Self(Cache::new(entries))
    }
}

impl App {
    /// The figures of a brand's published texts of a content type; `None` when there are none.
    ///
    /// # Errors
    /// [`Error::BrandNotFound`]; [`Error::Peer`] when the library does not answer, or the caller may not read it.
    #[tracing::instrument(name = "learning.brand_metrics", skip_all, fields(copydesk.texts))]
    pub async fn brand_metrics(
        &self,
        tenant: TenantId,
        id: BrandId,
        content_type: ContentType,
    ) -> Result<Option<Arc<BrandMetrics>>, Error> {
        let bases = self.get_brand(tenant, id).await?.fields.knowledge_bases;
        // Asked every time: the library says whether the caller may read, and whether a kept figure is still true.
        let versions = self.texts.versions(&bases).await?;
        let bases: Vec<KnowledgeBaseId> = versions.iter().map(|(base, _)| *base).collect();
        let key = (tenant, id, content_type, versions);
        if let Some(known) = self.measured.0.get(&key) {
            return Ok(known);
        }
        let texts = self.texts.texts(&bases, content_type, self.config.metrics_max_texts as usize).await?;
        tracing::Span::current().record("copydesk.texts", texts.len());
        // Off the event loop: hundreds of texts take long enough to be felt by other calls.
        let metrics = tokio::task::spawn_blocking(move || measure(&texts)).await?.map(Arc::new);
        self.measured.0.insert(key, metrics.clone());
        Ok(metrics)
    }
}
