//! What the worker needs of the rows of sources.

use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::DocumentId;

use super::Job;
use crate::domain::origin::{Miss, SourceState, Wish};
use crate::domain::records::StagedDocument;

/// The source of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSource {
    /// What is asked for.
    pub wish: Wish,
    /// How far it is.
    pub state: SourceState,
    /// Where the next step goes on.
    pub cursor: String,
    /// Documents that came so far, those included that cannot be had.
    pub documents: u32,
    /// Their bytes.
    pub bytes: u64,
    /// How often a process began to fetch since something was fetched last, this time included.
    pub attempts: u32,
}

/// What a step brought, ready to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'a> {
    /// Documents; their places are given by the store.
    pub documents: &'a [StagedDocument],
    /// Documents that cannot be had.
    pub misses: &'a [Miss],
    /// How far the source is now.
    pub state: SourceState,
    /// Where the next step goes on.
    pub cursor: &'a str,
    /// What the source said of its state; empty when it said nothing in this step.
    pub mark: &'a str,
    /// Now.
    pub now: i64,
    /// How long the worker holds the job.
    pub lease_until: i64,
}

/// Sources as rows.
#[async_trait]
pub trait SourceStore: Send + Sync {
    /// Stores a step and where the next one goes on, in one transaction. False when the job is not held any more.
    async fn store_step(&self, job: &Job, fetched: Fetched<'_>) -> Result<bool, StoreError>;

    /// The mark of the last whole fetching of this wish, when all that it brought is still there; else nothing.
    async fn mark(&self, job: &Job, wish: &Wish) -> Result<String, StoreError>;

    /// Notes what the job's source brought, and its mark when all of it could be stored.
    async fn settle(&self, job: &Job, wish: &Wish) -> Result<(), StoreError>;

    /// Documents that the source brought earlier and not this time, and that nobody else has stored since; `limit` at most.
    async fn gone(&self, job: &Job, wish: &Wish, limit: u32) -> Result<Vec<DocumentId>, StoreError>;

    /// One of them was deleted.
    async fn count_deleted(&self, job: &Job) -> Result<(), StoreError>;

    /// Forgets what the source brought earlier and not this time.
    async fn forget_gone(&self, job: &Job, wish: &Wish) -> Result<(), StoreError>;
}
