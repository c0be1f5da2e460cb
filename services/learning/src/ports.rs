//! What the desk needs of the world: a clock, a store, the brand's published texts.

use async_trait::async_trait;
use copydesk_rpc::ServiceError;
use copydesk_store::StoreError;
use copydesk_types::{BrandId, KnowledgeBaseId, RunId, TenantId};

use crate::domain::accuracy::Decision;
use crate::domain::brand::{Brand, BrandPatch};
use crate::domain::feedback::Feedback;
use crate::domain::learning::Learning;
use crate::domain::lesson::Lesson;
use crate::domain::outcome::{ContentType, Outcome};

/// The time of day.
pub trait Clock: Send + Sync {
    /// Now, in ms since 1970.
    fn now_ms(&self) -> i64;
}

/// A caller's key for a creating call, and a digest of what the call said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The caller's `request_id`.
    pub id: String,
    /// Equal for equal bodies.
    pub fingerprint: String,
}

/// What came of a creating call.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored<T> {
    /// It is new.
    New(T),
    /// The same call came before; this is what it made, as it is now.
    Known(T),
    /// Another call used the request id before. Nothing was stored.
    Reused,
}

/// What came of an update.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// The brand after it.
    Changed(Brand),
    /// The etag was not the stored one. Nothing was changed.
    Stale,
    /// There is no such brand.
    Absent,
}

/// The last row of a page: the next page begins behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When the row was made, in ms since 1970.
    pub created_ms: i64,
    /// Its id.
    pub id: String,
}

/// A stretch of a list that goes from new to old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The most rows to read.
    pub rows: u32,
    /// Behind which row to begin; `None` for the newest.
    pub after: Option<Cursor>,
}

/// Which verdicts to list; `None` for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedbackFilter {
    /// Only of this brand.
    pub brand: Option<BrandId>,
    /// Only about this run.
    pub run: Option<RunId>,
}

/// The archive's memory. Every call is one transaction and sees the rows of one tenant only: a row of another tenant
/// is the same as no row.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores a brand unless the request id was used before.
    async fn create_brand(
        &self,
        tenant: TenantId,
        brand: &Brand,
        request: &RequestKey,
    ) -> Result<Stored<Brand>, StoreError>;
    /// One brand.
    async fn brand(&self, tenant: TenantId, id: BrandId) -> Result<Option<Brand>, StoreError>;
    /// The brands, newest first.
    async fn brands(&self, tenant: TenantId, page: &Page) -> Result<Vec<Brand>, StoreError>;
    /// Changes a brand. With an etag only if it is the stored one; of several such updates at once one succeeds.
    async fn update_brand(
        &self,
        tenant: TenantId,
        id: BrandId,
        etag: Option<&str>,
        patch: &BrandPatch,
        now_ms: i64,
    ) -> Result<Update, StoreError>;
    /// Stores the end of a run; false, and no change, when it is known already.
    async fn record_outcome(&self, tenant: TenantId, outcome: &Outcome) -> Result<bool, StoreError>;
    /// The end of a run.
    async fn outcome(&self, tenant: TenantId, run: RunId) -> Result<Option<Outcome>, StoreError>;
    /// Stores a verdict together with what it changes in the brand's lessons and with its decision on the draft,
    /// unless the request id was used before. Gives the verdict and the lessons that it made or strengthened, as they
    /// are now.
    async fn record_feedback(
        &self,
        tenant: TenantId,
        feedback: &Feedback,
        request: &RequestKey,
        learning: &Learning,
    ) -> Result<Stored<(Feedback, Vec<Lesson>)>, StoreError>;
    /// The verdicts, newest first.
    async fn feedback(
        &self,
        tenant: TenantId,
        filter: &FeedbackFilter,
        page: &Page,
    ) -> Result<Vec<Feedback>, StoreError>;
    /// A brand's lessons, newest first.
    async fn lessons(&self, tenant: TenantId, brand: BrandId, page: &Page)
    -> Result<Vec<Lesson>, StoreError>;
    /// A brand's lessons for a content type (and those for all) that are not refuted, the `most` recently supported.
    async fn standing_lessons(
        &self,
        tenant: TenantId,
        brand: BrandId,
        content_type: ContentType,
        most: u32,
    ) -> Result<Vec<Lesson>, StoreError>;
    /// The drafts with a review that people decided on, the `most` recent ones.
    async fn decisions(&self, tenant: TenantId, most: u32) -> Result<Vec<Decision>, StoreError>;
    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// What a brand has published, as the library has it. Calls carry the identity of the current call.
#[async_trait]
pub trait PublishedTexts: Send + Sync {
    /// The version of each knowledge base that exists, in the order given; what is gone is left out.
    async fn versions(&self, bases: &[KnowledgeBaseId]) -> Result<Vec<(KnowledgeBaseId, u64)>, ServiceError>;
    /// The published texts of a content type in the knowledge bases, newest first, `most` at most. A text or
    /// knowledge base that vanishes meanwhile is left out.
    async fn texts(
        &self,
        bases: &[KnowledgeBaseId],
        content_type: ContentType,
        most: usize,
    ) -> Result<Vec<String>, ServiceError>;
}
