//! Reading a brand's lessons.

use copydesk_types::{BrandId, TenantId};

use super::{App, Listed, PageRequest};
use crate::domain::lesson::Lesson;
use crate::error::Error;
use crate::ports::Cursor;

impl App {
    /// A page of a brand's lessons, newest first.
    ///
    /// # Errors
    /// [`Error::BrandNotFound`].
    pub async fn list_lessons(
        &self,
        tenant: TenantId,
        brand: BrandId,
        page: PageRequest,
    ) -> Result<Listed<Lesson>, Error> {
        self.get_brand(tenant, brand).await?;
        let rows = self.store.lessons(tenant, brand, &page.rows()).await?;
        Ok(page.listed(rows, |lesson| Cursor { created_ms: lesson.created_ms, id: lesson.id.to_string() }))
    }
}
