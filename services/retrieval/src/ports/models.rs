//! What a search may ask of models elsewhere in the mesh.

use async_trait::async_trait;

/// What a reranker said of the texts that it was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The model, `<provider>/<model>`.
    pub model: String,
    /// Places of texts, from 0, with their scores, higher is better; in any order, not every text must be there.
    pub scores: Vec<(usize, f64)>,
}

/// A reranker gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the reranker failed: {reason}")]
pub struct RerankError {
    /// What went wrong, without any of the texts.
    pub reason: String,
}

/// Orders texts by how well they answer a query.
#[async_trait]
pub trait Reranker: Send + Sync {
    /// Scores texts for a query by this model; empty: the first one that there is. The caller bounds the time.
    async fn rerank(&self, model: &str, query: &str, texts: Vec<String>) -> Result<Ranking, RerankError>;
}
