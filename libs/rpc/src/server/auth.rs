//! Who is calling, may they, and have they quota left.
use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::deadline::EndsAt;
use super::middleware::{Middleware, Next};
use crate::{
    CallContext, Caller, Delegation, Kind, MethodAccess, Minter, ServiceError, Verifier, Visibility,
};

/// How a server recognises callers, and with what authority it goes on for them.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// The identity behind the headers.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ServiceError>;

    /// Has the caller quota left for this call? Asked after the scope was checked.
    fn admit(&self, _caller: &Caller, _access: &MethodAccess) -> Result<(), ServiceError> {
        Ok(())
    }

    /// The context that calls made for this caller run in.
    fn context(&self, caller: &Caller) -> Result<CallContext, ServiceError>;
}

/// The authenticator of a service inside the mesh: identity tokens in, delegated tokens out.
pub struct TokenAuthenticator {
    verifier: Verifier,
    minter: Minter,
}

impl TokenAuthenticator {
    /// Believes what `verifier` believes; goes on with tokens of `minter`.
    pub fn new(verifier: Verifier, minter: Minter) -> Self {
        Self { verifier, minter }
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ServiceError> {
        let token = bearer(headers)?;
        self.verifier.verify(token).map_err(|error| bad_credential().with_source(error))
    }

    fn context(&self, caller: &Caller) -> Result<CallContext, ServiceError> {
        Ok(CallContext::delegated(self.minter.clone(), Delegation::within(caller)))
    }
}

/// The text after `Bearer ` in the `authorization` metadata.
///
/// # Errors
/// UNAUTHENTICATED when there is none.
pub fn bearer(headers: &HeaderMap) -> Result<&str, ServiceError> {
    let value = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let token = value
        .and_then(|v| v.split_at_checked(7))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer "));
    token.map(|(_, token)| token.trim()).ok_or_else(|| {
        let message =
            "the call carries no credential; send the metadata `authorization: Bearer <key or token>`";
        ServiceError::new(Kind::Unauthenticated, "NO_CREDENTIAL", message)
    })
}

pub(crate) fn bad_credential() -> ServiceError {
    ServiceError::new(Kind::Unauthenticated, "BAD_CREDENTIAL", "the credential is not valid")
}

#[derive(Clone)]
pub(super) struct Identify {
    pub(super) authenticator: Arc<dyn Authenticator>,
}

impl Middleware for Identify {
    async fn handle(self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        if super::is_open(request.uri().path()) {
            return next.run(request).await;
        }
        match self.identify(&mut request).await {
            Ok(context) => context.scope(next.run(request)).await,
            Err(error) => Status::from(error).into_http(),
        }
    }
}

impl Identify {
    async fn identify(&self, request: &mut Request<Body>) -> Result<CallContext, ServiceError> {
        let caller = self.authenticator.authenticate(request.headers()).await?;
        let access = request.extensions().get::<Arc<MethodAccess>>().cloned();
        let access = access
            .ok_or_else(|| ServiceError::new(Kind::Unimplemented, "NO_RULE", "there is no such method"))?;
        check(&caller, &access)?;
        self.authenticator.admit(&caller, &access)?;
        let deadline = request.extensions().get::<EndsAt>().and_then(|ends| ends.0);
        let context = self.authenticator.context(&caller)?.with_deadline(deadline);
        // What the client sent as identity ends here; nothing behind this line can read it.
        request.headers_mut().remove(AUTHORIZATION);
        request.extensions_mut().insert(caller);
        Ok(context)
    }
}

fn check(caller: &Caller, access: &MethodAccess) -> Result<(), ServiceError> {
    let denied = |reason: &'static str, message: String| {
        Err(ServiceError::new(Kind::PermissionDenied, reason, message)
            .with_metadata("scope", access.scope.clone()))
    };
    if access.visibility == Visibility::Mesh && caller.actor.is_none() {
        return denied("MESH_ONLY", "the method is for services of the mesh".to_owned());
    }
    if !caller.scopes.allow(&access.scope) {
        return denied("SCOPE_MISSING", format!("the credential does not hold the scope {}", access.scope));
    }
    Ok(())
}
