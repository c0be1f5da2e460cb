//! What can go wrong in the gateway.
use copydesk_rpc::{Kind, ServiceError};
use copydesk_store::StoreError;
use std::sync::Arc;
use std::time::Duration;

const TENANT: &str = "copydesk.gateway.v1.Tenant";
const KEY: &str = "copydesk.gateway.v1.ApiKey";

/// One variant per decision that somebody can take.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Choose another name.
    #[error("the tenant name is taken")]
    TenantNameTaken(String),
    /// No such key in this tenant.
    #[error("no such key")]
    KeyNotFound(String),
    /// No such tenant.
    #[error("no such tenant")]
    TenantNotFound(String),
    /// Ask for less.
    #[error("the scopes exceed the caller's own")]
    ScopesExceeded,
    /// No random numbers: the system is broken.
    #[error("no random numbers")]
    NoRandomness,
    /// The database.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The database, for several callers who asked the same at the same time.
    #[error("the database failed")]
    Shared(#[source] Arc<StoreError>),
}

impl From<Error> for ServiceError {
    fn from(error: Error) -> Self {
        match error {
            Error::TenantNameTaken(name) => ServiceError::already_exists(TENANT, name),
            Error::KeyNotFound(id) => ServiceError::not_found(KEY, id),
            Error::TenantNotFound(id) => ServiceError::not_found(TENANT, id),
            Error::ScopesExceeded => ServiceError::new(
                Kind::PermissionDenied,
                "SCOPES_EXCEEDED",
                "a key may not hold scopes that its maker does not hold",
            ),
            Error::Store(inner) if inner.is_retryable() => busy().with_source(inner),
            Error::Shared(inner) if inner.is_retryable() => busy().with_source(inner),
            other => ServiceError::internal(other),
        }
    }
}

fn busy() -> ServiceError {
    ServiceError::unavailable("DATABASE_UNAVAILABLE", "the database is busy", Duration::from_secs(1))
}
