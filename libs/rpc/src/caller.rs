//! Who is calling.
use copydesk_types::{RunId, Scopes, TenantId};

use crate::{Kind, ServiceError};

/// The verified identity behind a call. The tenant comes from here and from nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose data it is.
    pub tenant: TenantId,
    /// Who asked: a key's id or a user.
    pub principal: String,
    /// What they may do.
    pub scopes: Scopes,
    /// The service that acts for them, when one does.
    pub actor: Option<String>,
    /// The run it is for, when it is for one.
    pub run: Option<RunId>,
}

impl Caller {
    /// The caller of this request. The server stack has checked identity, scope and deadline before.
    ///
    /// # Errors
    /// UNAUTHENTICATED when the routes are served without the stack.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Caller, ServiceError> {
        request.extensions().get::<Caller>().cloned().ok_or_else(|| {
            ServiceError::new(Kind::Unauthenticated, "NO_IDENTITY", "the call carries no identity")
        })
    }
}
