//! The web.
use async_trait::async_trait;
use copydesk_rpc::ServiceError;
use serde::Serialize;

use crate::domain::passage::WebNote;

/// A question to the web.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebQuery {
    /// What is asked, 1 to 400 characters.
    pub query: String,
    /// The most results.
    pub max_results: u32,
}

/// The web, by way of retrieval.
#[async_trait]
pub trait Web: Send + Sync {
    /// What the web says, best first; nothing is no error.
    async fn search(&self, query: &WebQuery) -> Result<Vec<WebNote>, ServiceError>;
}
