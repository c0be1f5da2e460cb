//! What can go wrong, by what the caller or the operator can do about it.

use std::time::Duration;

use copydesk_rpc::{Kind, ServiceError, Violations};
use copydesk_store::StoreError;

use crate::domain::snapshot::Fault;
use crate::domain::stages::OverQuota;
use crate::domain::tokens::TokenError;
use crate::domain::upload::Refusal;
use crate::domain::web::{WebError, WebFault};
use crate::ports::{EmbedError, IndexError, ObjectError, SearchError};

/// A thing that a caller names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A knowledge base.
    KnowledgeBase,
    /// A document.
    Document,
    /// A passage.
    Passage,
    /// An ingestion.
    Ingestion,
    /// A change of a knowledge base's embedder.
    Reembedding,
    /// A snapshot.
    Snapshot,
}

impl Resource {
    /// The full name of its message.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::KnowledgeBase => "copydesk.retrieval.v1.KnowledgeBase",
            Self::Document => "copydesk.retrieval.v1.Document",
            Self::Passage => "copydesk.types.v1.Passage",
            Self::Ingestion => "copydesk.retrieval.v1.Ingestion",
            Self::Reembedding => "copydesk.retrieval.v1.Reembedding",
            Self::Snapshot => "copydesk.retrieval.v1.Snapshot",
        }
    }
}

/// What is wrong with stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// They are not there.
    Missing,
    /// They are fewer or more than they were.
    Length,
    /// They do not have their hash.
    Hash,
}

impl Damage {
    /// A stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::Length => "LENGTH",
            Self::Hash => "HASH",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Missing => "its bytes are not there any more",
            Self::Length => "its bytes are fewer or more than they were",
            Self::Hash => "its bytes do not have its hash",
        }
    }
}

/// A failed use case, or a service that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are wrong: the operator mends them.
    #[error("retrieval settings: {}", .0.join("; "))]
    Config(Vec<String>),
    /// Fields of the request are wrong: the caller mends them.
    #[error("the request is refused for {} reasons", .0.0.len())]
    Refused(Refusal),
    /// There is no such thing for this tenant.
    #[error("there is no such {0:?}: {1}")]
    NotFound(Resource, String),
    /// The request id was used with another body.
    #[error("the request id belongs to another {0:?}")]
    RequestReused(Resource, String),
    /// The tenant, or all of them, have as many uploads under way as they may: the caller repeats later.
    #[error("too many uploads are under way")]
    TooManyUploads,
    /// The tenant may not store more: the caller deletes something, or the operator raises the limit.
    #[error("the quota of {} is exceeded", .0.measure.word())]
    OverQuota(OverQuota),
    /// A file is no snapshot that can be restored: the caller sends another.
    #[error("the file is no good snapshot")]
    Snapshot(#[source] Fault),
    /// What is stored is not what it was: the operator looks at the disk, or at the bucket.
    #[error("{0:?} {1} is damaged: {fault}", fault = .2.sentence())]
    Damaged(Resource, String, Damage),
    /// The place of originals and snapshots did not do what it was asked for.
    #[error("the store of originals and snapshots failed")]
    Objects(#[source] ObjectError),
    /// An object stands in a place of this name, which this process does not have: the operator configures it.
    #[error("an object stands in {0}, which is not configured")]
    NoPlace(String),
    /// A file of the service's own folder cannot be written: the operator makes room.
    #[error("a file in the data folder cannot be written")]
    Folder(#[source] std::io::Error),
    /// A model cannot be loaded, which the operator mends, or gave no vectors.
    #[error("the embedder cannot be used")]
    Embedder(#[source] EmbedError),
    /// A knowledge base's embedder is not there, for this reason: a stable word and a sentence.
    #[error("{1}")]
    NoEmbedder(&'static str, String),
    /// Its embedder is changed already: the caller waits or cancels.
    #[error("the embedder of {0} is being changed")]
    ReembeddingUnderWay(copydesk_types::KnowledgeBaseId),
    /// The operator lets nobody ask the web.
    #[error("the web is not asked here")]
    WebDisabled,
    /// No search provider is configured: the operator configures one.
    #[error("no search provider is configured")]
    NoWebSearch,
    /// The tenant has asked the web as often as it may: the caller waits so long.
    #[error("the web was asked too often")]
    WebLimited(Duration),
    /// The web gave nothing.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The search provider gave nothing.
    #[error(transparent)]
    WebSearch(SearchError),
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A document cannot be cut.
    #[error("a document cannot be cut")]
    Tokens(#[from] TokenError),
    /// The server that holds the search index failed.
    #[error("the search index failed")]
    Index(#[source] IndexError),
    /// Work beside the runtime was lost: the process is ending, or the code has a fault.
    #[error("work beside the runtime was lost")]
    Lost(#[from] tokio::task::JoinError),
    /// A stored value cannot be read back.
    #[error("a stored value cannot be read")]
    Stored(#[from] serde_json::Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Store(source) => Self::Store(source),
            IndexError::Lost(source) => Self::Lost(source),
            elsewhere => Self::Index(elsewhere),
        }
    }
}

impl From<ObjectError> for Error {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Store(source) => Self::Store(source),
            elsewhere => Self::Objects(elsewhere),
        }
    }
}

/// How long a caller should wait for a busy database.
const BUSY: Duration = Duration::from_secs(1);
/// How long a caller should wait for an upload to end.
const CROWDED: Duration = Duration::from_secs(2);

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(Refusal(faults)) => {
                let mut violations = Violations::new();
                for fault in faults {
                    violations.push(fault.field, fault.description);
                }
                match violations.finish() {
                    Err(refused) => refused,
                    Ok(()) => {
                        ServiceError::new(Kind::InvalidArgument, "INVALID_FIELDS", "the request is refused")
                    }
                }
            }
            Error::NotFound(resource, name) => ServiceError::not_found(resource.type_name(), name),
            Error::RequestReused(resource, id) => ServiceError::already_exists(resource.type_name(), id),
            Error::TooManyUploads => {
                let message = "too many uploads are under way; repeat when one has ended";
                ServiceError::new(Kind::ResourceExhausted, "TOO_MANY_UPLOADS", message)
                    .with_retry_after(CROWDED)
            }
            Error::ReembeddingUnderWay(id) => {
                let message = format!("the embedder of {id} is being changed; wait, or cancel that first");
                ServiceError::new(Kind::FailedPrecondition, "REEMBEDDING_UNDER_WAY", message)
            }
            Error::Snapshot(fault) if !matches!(fault, Fault::Io(_)) => {
                let mut violations = Violations::new();
                violations.push("content", fault.to_string());
                violations.finish().err().unwrap_or_else(|| ServiceError::internal(Error::Snapshot(fault)))
            }
            Error::Damaged(resource, name, damage) => {
                let message = format!("{} {name} is damaged: {}", resource.type_name(), damage.sentence());
                ServiceError::new(Kind::DataLoss, "DAMAGED", message)
                    .with_metadata("damage", damage.word())
                    .with_source(Error::Damaged(resource, name, damage))
            }
            Error::Objects(source @ ObjectError::Unavailable(_)) => {
                let message = "the store of originals and snapshots is not there, busy or late";
                ServiceError::unavailable("OBJECTS_UNAVAILABLE", message, BUSY).with_source(source)
            }
            Error::Objects(source) => {
                let message = "the store of originals and snapshots refuses what it is asked; the operator's log says why";
                ServiceError::new(Kind::FailedPrecondition, "OBJECTS_REFUSED", message).with_source(source)
            }
            Error::NoPlace(place) => {
                let message =
                    "the bytes stand in a folder or bucket that is not configured here (retrieval.objects)";
                ServiceError::new(Kind::FailedPrecondition, "OBJECTS_ELSEWHERE", message)
                    .with_source(Error::NoPlace(place))
            }
            Error::OverQuota(OverQuota { measure, limit }) => {
                let message = format!("the limit of {limit} {} would be exceeded", measure.word());
                let subject = format!("retrieval.quotas.{}", measure.word());
                ServiceError::new(Kind::ResourceExhausted, "QUOTA_EXCEEDED", message.clone())
                    .with_quota(subject, message)
            }
            Error::Store(source) if source.is_retryable() => {
                ServiceError::unavailable("STORE_UNAVAILABLE", "the database is unavailable or busy", BUSY)
                    .with_source(source)
            }
            Error::Index(source @ IndexError::Unavailable(..)) => {
                let message = "the server of the search index is not there, busy or late";
                ServiceError::unavailable("INDEX_UNAVAILABLE", message, BUSY).with_source(source)
            }
            Error::Index(source @ IndexError::Unfit(..)) => {
                let message =
                    "the server of the search index refuses what it is asked; the operator's log says why";
                ServiceError::new(Kind::FailedPrecondition, "INDEX_UNFIT", message).with_source(source)
            }
            Error::WebDisabled => {
                let message = "the web is not asked here (retrieval.web.enabled)";
                ServiceError::new(Kind::FailedPrecondition, "WEB_DISABLED", message)
            }
            Error::NoWebSearch => {
                let message = "no search provider is configured (retrieval.web.search)";
                ServiceError::new(Kind::FailedPrecondition, "WEB_SEARCH_NOT_CONFIGURED", message)
            }
            Error::WebLimited(wait) => {
                let message = "the web was asked too often; wait";
                ServiceError::new(Kind::ResourceExhausted, "WEB_RATE_LIMITED", message).with_retry_after(wait)
            }
            Error::Web(error) => web(error),
            Error::WebSearch(error) => web_search(&error),
            other => ServiceError::internal(other),
        }
    }
}

/// How long a caller should wait for a site that is down.
const SITE: Duration = Duration::from_secs(30);

fn web(error: WebError) -> ServiceError {
    let WebError { fault, message, status } = error;
    let told = match fault {
        WebFault::Url => {
            let mut violations = Violations::new();
            violations.push("url", message.clone());
            let refused = ServiceError::new(Kind::InvalidArgument, fault.word(), message);
            return violations.finish().err().unwrap_or(refused);
        }
        fault if fault.may_pass() => ServiceError::unavailable(fault.word(), message, SITE),
        WebFault::Forbidden | WebFault::Robots => {
            ServiceError::new(Kind::PermissionDenied, fault.word(), message)
        }
        _ => ServiceError::new(Kind::FailedPrecondition, fault.word(), message),
    };
    match status {
        Some(status) => told.with_metadata("status", status.to_string()),
        None => told,
    }
}

fn web_search(error: &SearchError) -> ServiceError {
    match error {
        SearchError::Refused(_) => {
            ServiceError::new(Kind::FailedPrecondition, "WEB_SEARCH_REFUSED", error.to_string())
        }
        SearchError::Limited(seconds) => {
            let wait = Duration::from_secs(seconds.unwrap_or(60));
            ServiceError::new(Kind::ResourceExhausted, "WEB_SEARCH_LIMITED", error.to_string())
                .with_retry_after(wait)
        }
        SearchError::Unavailable(_) => {
            ServiceError::unavailable("WEB_SEARCH_UNAVAILABLE", error.to_string(), SITE)
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        ServiceError::from(error).into()
    }
}
