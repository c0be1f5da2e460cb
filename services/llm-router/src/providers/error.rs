//! Why a provider gives no answer, or cannot be made.
use std::fmt;
use std::time::Duration;

use crate::domain::Outcome;

/// Why there is no answer. It shows itself without `message`.
#[derive(thiserror::Error)]
#[error("{outcome}: {detail}")]
pub struct ProviderError {
    /// The reason, as the contract names it.
    pub outcome: Outcome,
    /// More for the operator; never a key, a prompt or an answer.
    pub detail: String,
    /// When to ask again, if the provider said so.
    pub retry_after: Option<Duration>,
    /// The provider's HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's own sentence, for the caller alone: it may quote the prompt, so it is never logged or kept.
    pub message: Option<String>,
    /// What lies below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProviderError {
    /// An error with a reason and a detail.
    pub fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into(), retry_after: None, status: None, message: None, source: None }
    }

    /// The same with its cause.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The same with the status of the reply, unless it has one.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status.get_or_insert(status);
        self
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderError")
            .field("outcome", &self.outcome)
            .field("detail", &self.detail)
            .field("retry_after", &self.retry_after)
            .field("status", &self.status)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A provider that cannot be made from its settings.
#[derive(Debug, thiserror::Error)]
#[error("provider {name} cannot be set up: {detail}")]
pub struct BuildError {
    /// The provider's configured name.
    pub name: String,
    /// What is wrong.
    pub detail: String,
    /// What lies below.
    #[source]
    pub source: Option<rustls::Error>,
}
