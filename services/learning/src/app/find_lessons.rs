//! Finding what the next text should heed.

use copydesk_types::{BrandId, TenantId};

use super::App;
use crate::domain::outcome::ContentType;
use crate::domain::relevance::{Found, Query, find};
use crate::error::Error;

/// What is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindLessons {
    /// For which brand.
    pub brand: BrandId,
    /// What kind of content.
    pub content_type: ContentType,
    /// What it is about.
    pub topic: String,
    /// The most lessons to find, 1 to 20.
    pub limit: u32,
}

impl App {
    /// The lessons to heed, best first.
    ///
    /// # Errors
    /// [`Error::BrandNotFound`].
    #[tracing::instrument(name = "learning.find_lessons", skip_all, fields(copydesk.lessons))]
    pub async fn find_lessons(&self, tenant: TenantId, wanted: &FindLessons) -> Result<Vec<Found>, Error> {
        self.get_brand(tenant, wanted.brand).await?;
        let most = self.config.lesson_candidates;
        let lessons = self.store.standing_lessons(tenant, wanted.brand, wanted.content_type, most).await?;
        let query = Query {
            content_type: wanted.content_type,
            topic: &wanted.topic,
            limit: wanted.limit as usize,
            tokens: self.config.lesson_tokens as usize,
            now_ms: self.clock.now_ms(),
        };
        let found = find(lessons, &query);
        tracing::Span::current().record("copydesk.lessons", found.len());
        Ok(found)
    }
}
