//! What can go wrong here.
use std::time::Duration;

use copydesk_rpc::{Kind, ServiceError};
use copydesk_store::StoreError;

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are wrong; every fault is named.
    #[error("agent_orchestrator settings: {}", .0.join("; "))]
    Config(Vec<String>),
    /// The database cannot be opened or migrated.
    #[error("the database of agent-orchestrator cannot be used")]
    Store(#[from] StoreError),
}

/// The store's error as the caller of a method sees it.
pub(crate) fn of_store(error: StoreError) -> ServiceError {
    if error.is_retryable() {
        let message = "the run store is unavailable";
        return ServiceError::unavailable("STORE_UNAVAILABLE", message, Duration::from_secs(1))
            .with_source(error);
    }
    ServiceError::internal(error)
}

/// Why an attempt of a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepError {
    /// A stable word.
    pub(crate) reason: String,
    /// For a person to read; holds no content.
    pub(crate) message: String,
    /// Whether another attempt may help.
    pub(crate) retry: Retry,
}

/// Whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No: the run fails.
    Never,
    /// Yes, after a wait of our own.
    Backoff,
    /// Yes, but not before this time has passed.
    After(Duration),
    /// Yes, however often: a service that was not reached did nothing, and its return is waited for until the run's
    /// deadline. Not before this time has passed.
    Away(Duration),
}

/// The channel's word for a peer that was not reached at all.
const UNREACHABLE: &str = "UNREACHABLE";

impl StepError {
    pub(crate) fn fatal(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), retry: Retry::Never }
    }

    pub(crate) fn retryable(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), retry: Retry::Backoff }
    }

    pub(crate) fn is_retryable(&self) -> bool {
        self.retry != Retry::Never
    }
}

impl From<ServiceError> for StepError {
    fn from(error: ServiceError) -> Self {
        if error.kind() == Kind::Internal {
            // Handled here, so logged here: the step ends with no more than a word.
            tracing::error!(error = ?error, "a call of a step failed inside");
        }
        let retry = match (error.is_retryable(), error.retry_after()) {
            (false, _) => Retry::Never,
            (true, None) => Retry::Backoff,
            (true, Some(wait)) if error.reason() == UNREACHABLE => Retry::Away(wait),
            (true, Some(wait)) => Retry::After(wait),
        };
        Self { reason: error.reason().to_owned(), message: error.message().to_owned(), retry }
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        of_store(error).into()
    }
}
