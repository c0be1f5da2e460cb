//! What can go wrong, one variant per decision that a caller or an operator can take.
use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::{Kind, ServiceError};
use copydesk_store::StoreError;

use crate::domain::Outcome;
use crate::providers::BuildError;

/// Why the service cannot be built, or a call has no answer. It can be cloned, because calls that joined a running
/// one get its error too.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The settings are wrong.
    #[error("settings of the llm-router: {}", .0.join("; "))]
    Config(Vec<String>),
    /// A provider cannot be made from its settings.
    #[error(transparent)]
    Provider(Arc<BuildError>),
    /// The database failed.
    #[error("the router's database failed")]
    Store(#[source] Arc<StoreError>),
    /// Another request was made under the same `request_id`.
    #[error("this request_id belongs to a request with another body")]
    RequestIdTaken {
        /// The id.
        request_id: String,
    },
    /// A provider does not take the input, and no other is asked to swallow it.
    #[error("{model} refused the input")]
    RefusedInput {
        /// Which model.
        model: String,
    },
    /// Only the offline writer could answer, and it does not know the schema.
    #[error("the offline writer cannot fill this response_schema")]
    SchemaUnsupported,
    /// No model answered.
    #[error("no model answered: {}", list(.attempts))]
    AllFailed {
        /// Each attempt in order.
        attempts: Vec<(String, Outcome)>,
        /// The shortest time after which a provider said to ask again.
        retry_after: Option<Duration>,
    },
    /// The answer broke off after its first token.
    #[error("the answer of {model} broke off")]
    StreamBroken {
        /// Which model.
        model: String,
    },
    /// Nobody reads the stream any more.
    #[error("the reader has gone")]
    ReaderGone,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self::Provider(Arc::new(error))
    }
}

/// Attempts as a person reads them.
pub fn list(attempts: &[(String, Outcome)]) -> String {
    attempts.iter().map(|(model, outcome)| format!("{model}: {outcome}")).collect::<Vec<_>>().join(", ")
}

/// When to ask again where nobody said so.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Store(source) if source.is_retryable() => {
                ServiceError::unavailable("STORE_UNAVAILABLE", text, RETRY_AFTER).with_source(source)
            }
            Error::RequestIdTaken { request_id } => {
                ServiceError::already_exists("copydesk.llm_router.v1.GenerateRequest", request_id)
            }
            Error::RefusedInput { model } => {
                ServiceError::new(Kind::FailedPrecondition, "REFUSED_INPUT", text)
                    .with_metadata("model", model)
            }
            Error::SchemaUnsupported => {
                ServiceError::new(Kind::FailedPrecondition, "OFFLINE_SCHEMA_UNSUPPORTED", text)
            }
            Error::AllFailed { attempts, retry_after } => {
                ServiceError::unavailable("ALL_MODELS_FAILED", text, retry_after.unwrap_or(RETRY_AFTER))
                    .with_metadata("attempts", list(&attempts))
            }
            Error::StreamBroken { model } => {
                ServiceError::unavailable("STREAM_BROKEN", text, RETRY_AFTER).with_metadata("model", model)
            }
            Error::ReaderGone => ServiceError::new(Kind::Cancelled, "READER_GONE", text),
            other @ (Error::Config(_) | Error::Provider(_) | Error::Store(_)) => {
                ServiceError::internal(other)
            }
        }
    }
}
