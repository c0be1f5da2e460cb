//! One error for every service, and its one translation to a gRPC status.
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

mod wire;

pub(crate) use wire::{MAX_MESSAGE, clip};

/// The domain of every `google.rpc.ErrorInfo` we send.
pub const DOMAIN: &str = "copydesk";
/// What a caller can do about an error. One kind is one gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong whatever the state: mend it.
    InvalidArgument,
    /// There is no such thing, or it is another tenant's.
    NotFound,
    /// The id is taken, or a request id came with another body.
    AlreadyExists,
    /// The state forbids it: change the state first.
    FailedPrecondition,
    /// A cursor beyond the end.
    OutOfRange,
    /// No credential, or a bad one.
    Unauthenticated,
    /// A known caller who may not.
    PermissionDenied,
    /// A quota, a rate, a budget or a size.
    ResourceExhausted,
    /// Somebody else was faster: read again and repeat.
    Aborted,
    /// Passing: repeat with backoff.
    Unavailable,
    /// The time was used up.
    DeadlineExceeded,
    /// The caller went away, or the work was cancelled.
    Cancelled,
    /// Not offered.
    Unimplemented,
    /// Stored data is broken or pruned.
    DataLoss,
    /// Our fault.
    Internal,
}

impl Kind {
    /// The gRPC code.
    pub fn code(self) -> Code {
        match self {
            Kind::InvalidArgument => Code::InvalidArgument,
            Kind::NotFound => Code::NotFound,
            Kind::AlreadyExists => Code::AlreadyExists,
            Kind::FailedPrecondition => Code::FailedPrecondition,
            Kind::OutOfRange => Code::OutOfRange,
            Kind::Unauthenticated => Code::Unauthenticated,
            Kind::PermissionDenied => Code::PermissionDenied,
            Kind::ResourceExhausted => Code::ResourceExhausted,
            Kind::Aborted => Code::Aborted,
            Kind::Unavailable => Code::Unavailable,
            Kind::DeadlineExceeded => Code::DeadlineExceeded,
            Kind::Cancelled => Code::Cancelled,
            Kind::Unimplemented => Code::Unimplemented,
            Kind::DataLoss => Code::DataLoss,
            Kind::Internal => Code::Internal,
        }
    }

    fn of_peer(code: Code) -> Self {
        match code {
            Code::NotFound => Kind::NotFound,
            Code::FailedPrecondition => Kind::FailedPrecondition,
            Code::PermissionDenied => Kind::PermissionDenied,
            Code::ResourceExhausted => Kind::ResourceExhausted,
            Code::Aborted => Kind::Aborted,
            Code::Unavailable => Kind::Unavailable,
            // A CANCELLED that we receive was not asked for by us: a deadline or a drain ended the call.
            Code::DeadlineExceeded | Code::Cancelled => Kind::DeadlineExceeded,
            _ => Kind::Internal,
        }
    }
}

/// An error with two readers: the caller gets kind, reason, public message and details; the log gets the sources.
pub struct ServiceError(Box<Inner>);

struct Inner {
    kind: Kind,
    reason: String,
    message: String,
    retry_after: Option<Duration>,
    violations: Vec<(String, String)>,
    quota: Option<(String, String)>,
    resource: Option<(&'static str, String)>,
    metadata: HashMap<String, String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ServiceError {
    /// An error of this kind. `reason` is a stable UPPER_SNAKE word that clients switch on; `message` is for the caller
    /// to read and must hold no secret and no content.
    pub fn new(kind: Kind, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            reason: reason.into(),
            message: message.into(),
            retry_after: None,
            violations: Vec::new(),
            quota: None,
            resource: None,
            metadata: HashMap::new(),
            source: None,
        }))
    }

    /// Our fault: the caller reads "internal error", the log reads `source`.
    pub fn internal(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::new(Kind::Internal, "INTERNAL", "internal error").with_source(source)
    }

    /// No such resource for this tenant. `resource_type` is the message's full name.
    pub fn not_found(resource_type: &'static str, name: impl Into<String>) -> Self {
        Self::resource(Kind::NotFound, "NOT_FOUND", "there is no such", resource_type, name.into())
    }

    /// The name or request id is taken by something else.
    pub fn already_exists(resource_type: &'static str, name: impl Into<String>) -> Self {
        Self::resource(
            Kind::AlreadyExists,
            "ALREADY_EXISTS",
            "already exists with other content:",
            resource_type,
            name.into(),
        )
    }

    fn resource(kind: Kind, reason: &str, words: &str, resource_type: &'static str, name: String) -> Self {
        let noun = resource_type.rsplit('.').next().unwrap_or(resource_type);
        let mut error = Self::new(kind, reason, format!("{words} {noun} {name}"));
        error.0.resource = Some((resource_type, name));
        error
    }

    /// Passing trouble: the caller may repeat after `retry_after`.
    pub fn unavailable(reason: &'static str, message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(Kind::Unavailable, reason, message).with_retry_after(retry_after)
    }

    /// INVALID_ARGUMENT with every violated field. See [`crate::Violations`].
    pub(crate) fn invalid(violations: Vec<(String, String)>) -> Self {
        let fields: Vec<_> = violations.iter().take(4).map(|(field, _)| clip(field, 64)).collect();
        let more = violations.len().saturating_sub(fields.len());
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("invalid fields: {}{tail}", fields.join(", "));
        let mut error = Self::new(Kind::InvalidArgument, "INVALID_FIELDS", message);
        error.0.violations = violations;
        error
    }

    /// Adds RetryInfo.
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds the cause, for the log.
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Adds a pair to ErrorInfo's metadata.
    pub fn with_metadata(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Adds QuotaFailure: whose quota, and what was exceeded.
    pub fn with_quota(mut self, subject: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.quota = Some((subject.into(), description.into()));
        self
    }

    /// Reads a peer's answer. Its INVALID_ARGUMENT is our bug, because we built the request: it becomes Internal.
    /// What a caller can act on keeps kind, reason and retry delay.
    pub fn from_peer(status: Status, peer: &'static str) -> Self {
        let details = status.get_error_details();
        let kind = Kind::of_peer(status.code());
        if kind == Kind::Internal {
            return Self::internal(PeerError { peer, status });
        }
        let reason = details.error_info().map_or_else(|| "PEER_ERROR".to_owned(), |info| info.reason.clone());
        let mut error = Self::new(kind, reason, status.message()).with_metadata("peer", peer);
        error.0.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        error.0.quota = details
            .quota_failure()
            .and_then(|q| q.violations.first())
            .map(|v| (v.subject.clone(), v.description.clone()));
        error.0.source = Some(Box::new(PeerError { peer, status }));
        error
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The stable word.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The text for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// When to repeat, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// True when the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            Kind::Unavailable | Kind::DeadlineExceeded | Kind::Aborted => true,
            Kind::ResourceExhausted => self.0.retry_after.is_some(),
            _ => false,
        }
    }
}

/// Every cause, outermost first, on one line. For logs only.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl From<ServiceError> for Status {
    /// The one place where an internal fault is logged: it is handled here, and nobody above sees its sources.
    fn from(error: ServiceError) -> Status {
        if let (Kind::Internal | Kind::DataLoss, Some(source)) = (error.0.kind, &error.0.source) {
            tracing::error!(reason = error.reason(), error = %chain(source.as_ref()), "call failed inside");
        }
        error.to_status()
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.0.kind, self.0.reason, self.0.message)?;
        if let Some(source) = &self.0.source {
            write!(f, " ({})", chain(source.as_ref()))?;
        }
        Ok(())
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for ServiceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{peer} answered {:?}: {}", status.code(), status.message())]
struct PeerError {
    peer: &'static str,
    status: Status,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_the_standard_details() {
        let status: Status = ServiceError::new(Kind::ResourceExhausted, "RATE_LIMITED", "too fast")
            .with_retry_after(Duration::from_secs(6))
            .with_quota("key_1", "10 calls a minute")
            .into();
        let details = status.get_error_details();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            details.error_info().map(|i| (i.reason.as_str(), i.domain.as_str())),
            Some(("RATE_LIMITED", DOMAIN))
        );
        assert_eq!(details.retry_info().and_then(|r| r.retry_delay), Some(Duration::from_secs(6)));
        assert_eq!(details.quota_failure().map(|q| q.violations.len()), Some(1));
    }

    #[test]
    fn hides_what_is_inside() {
        let status: Status = ServiceError::internal(std::io::Error::other("password=hunter2")).into();
        assert_eq!(status.message(), "internal error");
        assert!(!format!("{status:?}").contains("hunter2"));
    }

    #[test]
    fn a_peers_invalid_argument_is_our_fault() {
        let error = ServiceError::from_peer(Status::invalid_argument("bad field"), "retrieval");
        assert_eq!((error.kind(), error.message()), (Kind::Internal, "internal error"));
    }

    #[test]
    fn a_peers_retry_delay_survives() {
        let peer: Status = ServiceError::unavailable("DRAINING", "going down", Duration::from_secs(2)).into();
        let error = ServiceError::from_peer(peer, "retrieval");
        assert_eq!((error.reason(), error.retry_after()), ("DRAINING", Some(Duration::from_secs(2))));
        assert!(error.is_retryable());
    }
}
