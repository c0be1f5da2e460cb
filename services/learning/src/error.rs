//! What can go wrong, one variant per decision, and its one translation for callers.

use std::time::Duration;

use copydesk_rpc::{Kind, ServiceError};
use copydesk_store::StoreError;
use copydesk_types::{BrandId, RunId};

/// What can go wrong in the archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be used; the operator must mend them.
    #[error("settings of the learning service: {}", .0.join("; "))]
    Config(Vec<String>),
    /// There is no such brand for this tenant.
    #[error("there is no brand {0}")]
    BrandNotFound(BrandId),
    /// There is no outcome of such a run for this tenant.
    #[error("there is no outcome of {0}")]
    OutcomeNotFound(RunId),
    /// A verdict on a run whose end is not known, or is another tenant's.
    #[error("the outcome of {0} is not known")]
    OutcomeUnknown(RunId),
    /// A verdict on a run that ended without a text.
    #[error("{0} made no text")]
    NothingToJudge(RunId),
    /// The request id came with another body before.
    #[error("the request id was used for another {0}")]
    RequestIdReused(&'static str),
    /// Somebody else changed the brand first.
    #[error("brand {0} was changed in the meantime")]
    Stale(BrandId),
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// A peer failed; the caller's part of the answer is in it.
    #[error("a peer failed")]
    Peer(#[from] ServiceError),
    /// A computation panicked or was cut off.
    #[error("a computation broke off")]
    Computation(#[from] tokio::task::JoinError),
}

const BRAND: &str = "copydesk.learning.v1.Brand";
const OUTCOME: &str = "copydesk.learning.v1.Outcome";

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        match error {
            Error::BrandNotFound(id) => ServiceError::not_found(BRAND, id.to_string()),
            Error::OutcomeNotFound(run) => ServiceError::not_found(OUTCOME, run.to_string()),
            Error::OutcomeUnknown(run) => ServiceError::new(
                Kind::FailedPrecondition,
                "OUTCOME_UNKNOWN",
                format!("{run} has not ended yet, or there is no such run"),
            ),
            Error::NothingToJudge(run) => ServiceError::new(
                Kind::FailedPrecondition,
                "NOTHING_TO_JUDGE",
                format!("{run} ended without a text: there is nothing to judge"),
            ),
            Error::RequestIdReused(_) => ServiceError::new(
                Kind::AlreadyExists,
                "REQUEST_ID_REUSED",
                "request_id was used before with another request",
            ),
            Error::Stale(id) => ServiceError::new(
                Kind::Aborted,
                "ETAG_MISMATCH",
                format!("{id} was changed in the meantime: read it again"),
            ),
            Error::Store(error) if error.is_retryable() => ServiceError::unavailable(
                "STORE_UNAVAILABLE",
                "the store is not available",
                Duration::from_secs(1),
            )
            .with_source(error),
            Error::Peer(error) => error,
            error @ (Error::Config(_) | Error::Store(_) | Error::Computation(_)) => {
                ServiceError::internal(error)
            }
        }
    }
}
