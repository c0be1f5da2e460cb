//! What can go wrong, one variant per decision that a caller or an operator can take.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::{Kind, ServiceError};
use copydesk_store::StoreError;
use copydesk_types::NanoDollars;

use crate::adapters::ReplicaError;
use crate::app::{BudgetError, LedgerBehind, LedgerFull};
use crate::domain::{Outcome, Period, SubjectKind, VectorFault};
use crate::ports::Gone;
use crate::providers::{BuildError, ProviderError};

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
    #[error("the {} budget of the {} has {left} left of {limit}, and the call may cost {worst}", period.as_str(), subject.as_str())]
    BudgetExhausted {
        /// Whose budget.
        subject: SubjectKind,
        /// Over which time.
        period: Period,
        /// The most that may be spent in the period.
        limit: NanoDollars,
        /// What could still be set aside.
        left: NanoDollars,
        /// What the call may cost at most.
        worst: NanoDollars,
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
    #[error("{} refused the input", .0.model)]
    RefusedInput(Failure),
    /// Only the offline writer could answer, and it does not know the schema.
    #[error("the offline writer cannot fill this response_schema")]
    SchemaUnsupported,
    /// No model answered.
    #[error("no model answered: {}", join(.failures))]
    AllFailed {
        /// Each failure in order.
        failures: Vec<Failure>,
        /// The shortest time after which a provider said to ask again.
        retry_after: Option<Duration>,
    },
    /// The caller's time was over before a model answered.
    #[error("the deadline passed before a model answered: {}", join(.failures))]
    TooLate {
        /// Each failure in order.
        failures: Vec<Failure>,
    },
    /// Every model that could answer is left out for now.
    #[error("no model can be asked now: {}", now(.dark, .limited))]
    NobodyNow {
        /// Those whose circuit breaker is open.
        dark: Vec<String>,
        /// Those whose provider asked us to wait, or whose rate window is full.
        limited: Vec<String>,
        /// The shortest time after which one of them may be asked.
        retry_after: Option<Duration>,
    },
    /// No model that may be asked can do what the call needs.
    #[error("no model that may be asked can do what the call needs ({}){}", .needs.join(", "), also(.lacking))]
    NobodyAble {
        /// What the call needs.
        needs: Vec<&'static str>,
        /// What each of them lacks.
        lacking: Vec<String>,
    },
    /// Prompt and answer fit no model that may be asked.
    #[error("prompt and answer fit no model: the prompt has about {input_tokens} tokens")]
    TooLong {
        /// Estimated tokens of the prompt.
        input_tokens: u64,
    },
    /// The call's own limit does not allow it.
    #[error("the call may cost {} at most, and every model's worst case is more", NanoDollars(*most))]
    OverCost {
        /// The limit in nano-dollars.
        most: i64,
    },
    /// The answer broke off after its first token.
    #[error("the answer of {} broke off", .0.model)]
    StreamBroken(Failure),
    /// Another call with the same id is still under way, and its end was waited for in vain.
    #[error("another call with this request_id is still under way")]
    StillRunning,
    /// A model gives other vectors than it is asked for or configured with.
    #[error("{model} gave vectors that cannot be used: {fault}")]
    BadVectors {
        /// Which model.
        model: String,
        /// What is wrong with them.
        fault: VectorFault,
    },
    /// The task that made the answer ended without one.
    #[error("the call's task ended without an answer")]
    Vanished,
    /// Nobody reads the stream any more.
    #[error("the reader has gone")]
    ReaderGone,
}

/// A model that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `<provider>/<model>`.
    pub model: String,
    /// How.
    pub outcome: Outcome,
    /// The provider's HTTP status.
    pub status: Option<u16>,
    /// The provider's own sentence, for the caller alone.
    pub message: Option<Sentence>,
}

impl Failure {
    /// Of a provider's error.
    pub fn of(model: &str, error: &ProviderError) -> Self {
        let message = error.message.clone().map(Sentence);
        Self { model: model.to_owned(), outcome: error.outcome, status: error.status, message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.model, self.outcome)?;
        self.status.map_or(Ok(()), |status| write!(f, " (HTTP {status})"))
    }
}

/// A provider's sentence. It may quote the prompt, so it shows itself to nobody but the caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Sentence(pub String);

impl fmt::Debug for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
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
            BudgetError::Exhausted { subject, period, limit, left, worst, resets_in } => {
                Self::BudgetExhausted { subject, period, limit, left, worst, resets_in }
            }
        }
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self::Provider(Arc::new(error))
    }
}

impl From<Gone> for Error {
    fn from(_: Gone) -> Self {
        Self::ReaderGone
    }
}

/// Attempts as a person reads them.
pub fn list(attempts: &[(String, Outcome)]) -> String {
    attempts.iter().map(|(model, outcome)| format!("{model}: {outcome}")).collect::<Vec<_>>().join(", ")
}

fn join(failures: &[Failure]) -> String {
    failures.iter().map(Failure::to_string).collect::<Vec<_>>().join(", ")
}

fn also(lacking: &[String]) -> String {
    if lacking.is_empty() { String::new() } else { format!(": {}", lacking.join(", ")) }
}

fn now(dark: &[String], limited: &[String]) -> String {
    let dark = dark.iter().map(|model| format!("{model}: {}", Outcome::BreakerOpen));
    let limited = limited.iter().map(|model| format!("{model}: {}", Outcome::RateLimited));
    dark.chain(limited).collect::<Vec<_>>().join(", ")
}

/// When to ask again where nobody said so.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A budget's next period is worth waiting for only when it begins so soon.
const SOON: Duration = Duration::from_secs(3_600);

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let refused =
            |reason: &'static str| ServiceError::new(Kind::FailedPrecondition, reason, text.clone());
        match error {
            Error::Store(source) if source.is_retryable() => {
                ServiceError::unavailable("STORE_UNAVAILABLE", text, RETRY_AFTER).with_source(source)
            }
            Error::LedgerFull => ServiceError::unavailable("LEDGER_FULL", text, RETRY_AFTER),
            Error::LedgerBehind => ServiceError::unavailable("LEDGER_BEHIND", text, RETRY_AFTER),
            Error::BudgetExhausted { subject, period, limit, left, worst, resets_in } => {
                let quota = format!("{} {}", subject.as_str(), period.as_str());
                let error = ServiceError::new(Kind::ResourceExhausted, "BUDGET_EXHAUSTED", text)
                    .with_quota(quota, format!("{left} left of {limit}, the call may cost {worst}"));
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
            Error::RefusedInput(failure) => with_failure(refused("REFUSED_INPUT"), failure),
            Error::SchemaUnsupported => refused("OFFLINE_SCHEMA_UNSUPPORTED"),
            Error::NobodyAble { .. } => refused("NO_CAPABLE_MODEL"),
            Error::TooLong { .. } => refused("PROMPT_TOO_LONG"),
            Error::AllFailed { failures, retry_after } => all_failed(text, &failures, retry_after),
            Error::TooLate { failures } => {
                ServiceError::new(Kind::DeadlineExceeded, "DEADLINE_EXCEEDED", text)
                    .with_metadata("attempts", join(&failures))
            }
            Error::NobodyNow { dark, limited, retry_after } => {
                ServiceError::unavailable("ALL_MODELS_FAILED", text, retry_after.unwrap_or(RETRY_AFTER))
                    .with_metadata("attempts", now(&dark, &limited))
            }
            Error::OverCost { .. } => {
                ServiceError::new(Kind::ResourceExhausted, "MAX_COST_EXCEEDED", text.clone())
                    .with_quota("request", text)
            }
            Error::StreamBroken(failure) => {
                with_failure(ServiceError::unavailable("STREAM_BROKEN", text, RETRY_AFTER), failure)
            }
            Error::StillRunning => ServiceError::unavailable("STILL_RUNNING", text, RETRY_AFTER),
            Error::BadVectors { .. } => refused("BAD_VECTORS"),
            Error::Vanished => ServiceError::unavailable("CALL_LOST", text, RETRY_AFTER),
            Error::ReaderGone => ServiceError::new(Kind::Cancelled, "READER_GONE", text),
            other @ (Error::Config(_) | Error::Provider(_) | Error::Store(_) | Error::Folder(_)) => {
                ServiceError::internal(other)
            }
        }
    }
}

/// When no failure is of the kind that passes, asking again is no use: somebody must mend the configuration.
fn all_failed(text: String, failures: &[Failure], retry_after: Option<Duration>) -> ServiceError {
    let passing = failures.is_empty() || failures.iter().any(|failure| failure.outcome.is_transient());
    let error = if passing {
        ServiceError::unavailable("ALL_MODELS_FAILED", text, retry_after.unwrap_or(RETRY_AFTER))
    } else {
        ServiceError::new(Kind::FailedPrecondition, "ALL_MODELS_FAILED", text)
    };
    let said = failures.iter().filter_map(|f| f.message.as_ref().map(|s| format!("{}: {}", f.model, s.0)));
    let said = said.collect::<Vec<_>>().join("; ");
    let error = error.with_metadata("attempts", join(failures));
    let error = if said.is_empty() { error } else { error.with_metadata("provider_messages", said) };
    match failures {
        [only] => with_failure(error, only.clone()),
        _ => error,
    }
}

fn with_failure(error: ServiceError, failure: Failure) -> ServiceError {
    let mut error = error.with_metadata("model", failure.model);
    if let Some(status) = failure.status {
        error = error.with_metadata("upstream_status", status.to_string());
    }
    match failure.message {
        Some(sentence) => error.with_metadata("provider_message", sentence.0),
        None => error,
    }
}
