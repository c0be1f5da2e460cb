//! The library.
use async_trait::async_trait;
use copydesk_rpc::ServiceError;
use serde::{Deserialize, Serialize};

use crate::domain::passage::Passage;
use crate::domain::spec::ContentType;

/// Which kinds of sources a search may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sources {
    /// All.
    All,
    /// What states facts of today: all but what the brand has published before, which repeats them in other words,
    /// and issues, which complain of the past.
    Facts,
    /// Only what the brand has published before.
    OnlyPosts,
}

/// A search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchQuery {
    /// `kb_…`.
    pub knowledge_base_ids: Vec<String>,
    /// What is asked.
    pub query: String,
    /// The kind of content that will be written.
    pub content_type: ContentType,
    /// Where to look.
    pub sources: Sources,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Best first.
    pub passages: Vec<Passage>,
    /// `lexical` or `hybrid`.
    pub mode: String,
}

/// The library, retrieval.
#[async_trait]
pub trait Library: Send + Sync {
    /// The passages that answer a query best; none is no error.
    async fn search(&self, query: &SearchQuery) -> Result<Found, ServiceError>;
}
