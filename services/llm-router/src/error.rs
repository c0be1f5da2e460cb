//! What can go wrong, one variant per decision that a caller or an operator can take.
use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::{Kind, ServiceError};
use copydesk_store::StoreError;
use copydesk_types::NanoDollars;

use crate::adapters::ReplicaError;
use crate::app::{BudgetError, LedgerBehind, LedgerFull};
use crate::domain::{Outcome, Period, SubjectKind};
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
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(Arc<ReplicaError>),
    /// The queue in front of the ledger is full: a call would not be counted.
    #[error("the ledger takes no more records")]
    LedgerFull,
    /// Records are on their way to the database for longer than a reader can wait.
    #[error("the ledger is behind")]
    LedgerBehind,
    /// The call might cost more than a budget has left.
    #[error("the {} budget of the {} has {left} left of {limit}", period.as_str(), subject.as_str())]
    BudgetExhausted {
        /// Whose budget.
        subject: SubjectKind,
        /// Over which time.
        period: Period,
        /// The most that may be spent in the period.
        limit: NanoDollars,
        /// What could still be set aside.
        left: NanoDollars,
        /// How long the period lasts; `None` when it has no end.
        resets_in: Option<Duration>,
    },
    /// There is no such budget.
    #[error("there is no such budget")]
    NoBudget {
        /// Which one, as `<subject> <period>`.
        key: String,
    },
    /// The budget is not the one that was to be changed.
    #[error("the budget was changed by somebody else; read it again")]
    BudgetChanged,
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

impl From<Arc<StoreError>> for Error {
    fn from(error: Arc<StoreError>) -> Self {
        Self::Store(error)
    }
}

impl From<ReplicaError> for Error {
    fn from(error: ReplicaError) -> Self {
        Self::Folder(Arc::new(error))
    }
}

impl From<LedgerFull> for Error {
    fn from(LedgerFull: LedgerFull) -> Self {
        Self::LedgerFull
    }
}

impl From<LedgerBehind> for Error {
    fn from(LedgerBehind: LedgerBehind) -> Self {
        Self::LedgerBehind
    }
}

impl From<BudgetError> for Error {
    fn from(error: BudgetError) -> Self {
        match error {
            BudgetError::Store(error) => Self::Store(error),
            BudgetError::Exhausted { subject, period, limit, left, resets_in } => {
                Self::BudgetExhausted { subject, period, limit, left, resets_in }
            }
        }
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

/// A budget's next period is worth waiting for only when it begins so soon.
const SOON: Duration = Duration::from_secs(3_600);

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Store(source) if source.is_retryable() => {
                ServiceError::unavailable("STORE_UNAVAILABLE", text, RETRY_AFTER).with_source(source)
            }
            Error::LedgerFull => ServiceError::unavailable("LEDGER_FULL", text, RETRY_AFTER),
            Error::LedgerBehind => ServiceError::unavailable("LEDGER_BEHIND", text, RETRY_AFTER),
            Error::BudgetExhausted { subject, period, limit, left, resets_in } => {
                let quota = format!("{} {}", subject.as_str(), period.as_str());
                let error = ServiceError::new(Kind::ResourceExhausted, "BUDGET_EXHAUSTED", text)
                    .with_quota(quota, format!("{left} left of {limit}"));
                match resets_in.filter(|wait| *wait <= SOON) {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                }
            }
            Error::NoBudget { key } => ServiceError::not_found("copydesk.llm_router.v1.Budget", key),
            Error::BudgetChanged => ServiceError::new(Kind::Aborted, "BUDGET_CHANGED", text),
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
            other @ (Error::Config(_) | Error::Provider(_) | Error::Store(_) | Error::Folder(_)) => {
                ServiceError::internal(other)
            }
        }
    }
}
