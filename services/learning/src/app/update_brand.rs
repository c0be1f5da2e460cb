//! Changing a brand.

use copydesk_types::{BrandId, TenantId};

use super::App;
use crate::domain::brand::{Brand, BrandPatch};
use crate::error::Error;
use crate::ports::Update;

impl App {
    /// Changes the fields that the patch names; with an etag only if the brand still has it.
    ///
    /// # Errors
    /// [`Error::BrandNotFound`], [`Error::Stale`].
    #[tracing::instrument(name = "learning.update_brand", skip_all)]
    pub async fn update_brand(
        &self,
        tenant: TenantId,
        id: BrandId,
        etag: Option<&str>,
        patch: &BrandPatch,
    ) -> Result<Brand, Error> {
        match self.store.update_brand(tenant, id, etag, patch, self.clock.now_ms()).await? {
            Update::Changed(brand) => Ok(brand),
            Update::Stale => Err(Error::Stale(id)),
            Update::Absent => Err(Error::BrandNotFound(id)),
        }
    }
}
