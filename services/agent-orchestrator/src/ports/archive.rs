//! The archive.
use async_trait::async_trait;
use copydesk_rpc::ServiceError;
use copydesk_types::BrandId;
use serde::Serialize;

use crate::domain::direction::Lesson;
use crate::domain::outcome::Outcome;
use crate::domain::spec::{Brand, ContentType};

/// What lessons are looked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LessonQuery {
    /// The brand.
    pub brand_id: BrandId,
    /// The kind of content that will be written.
    pub content_type: ContentType,
    /// What it is about.
    pub topic: String,
}

/// Which brand's figures are asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FiguresQuery {
    /// The brand.
    pub brand_id: BrandId,
    /// Only texts of this kind.
    pub content_type: ContentType,
}

/// The archive, learning.
#[async_trait]
pub trait Archive: Send + Sync {
    /// A brand of the caller's tenant.
    async fn brand(&self, brand_id: BrandId) -> Result<Brand, ServiceError>;

    /// How the brand writes, as one line of figures; `None` when it has published nothing of that kind.
    async fn figures(&self, query: &FiguresQuery) -> Result<Option<String>, ServiceError>;

    /// Lessons to heed, best first.
    async fn lessons(&self, query: &LessonQuery) -> Result<Vec<Lesson>, ServiceError>;

    /// Tells the end of a run; telling it twice changes nothing.
    async fn record(&self, outcome: &Outcome) -> Result<(), ServiceError>;
}
