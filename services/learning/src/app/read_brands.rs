//! Reading brands.

use copydesk_types::{BrandId, TenantId};

use super::{App, Listed, PageRequest};
use crate::domain::brand::Brand;
use crate::error::Error;
use crate::ports::Cursor;

impl App {
    /// One brand.
    ///
    /// # Errors
    /// [`Error::BrandNotFound`] when the tenant has no such brand.
    pub async fn get_brand(&self, tenant: TenantId, id: BrandId) -> Result<Brand, Error> {
        self.store.brand(tenant, id).await?.ok_or(Error::BrandNotFound(id))
    }

    /// A page of the tenant's brands, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list_brands(&self, tenant: TenantId, page: PageRequest) -> Result<Listed<Brand>, Error> {
        let rows = self.store.brands(tenant, &page.rows()).await?;
        Ok(page.listed(rows, |brand| Cursor { created_ms: brand.created_ms, id: brand.id.to_string() }))
    }
}
