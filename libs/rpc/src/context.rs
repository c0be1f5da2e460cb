//! What a call carries along: its deadline and whose authority it has.
//!
//! The context is task-local so that a [`crate::Channel`] used anywhere inside a call takes the deadline left and the
//! right identity without the handler passing them on. Work that outlives its call stores a [`Delegation`] with its row
//! and runs under [`Minter::act`].
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use copydesk_types::{RunId, Scopes, TenantId};
use http::HeaderValue;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::Instrument;

use crate::token::TokenError;
use crate::{Caller, Claims, ServiceError, SigningKey, trace};

/// A delegated token lives this long; design §4 allows a minute at most.
const DELEGATED_LIFETIME: Duration = Duration::from_secs(60);
/// Minted tokens are used again for this long, so that signing is paid per caller and not per call.
const REUSE: Duration = Duration::from_secs(30);

tokio::task_local! {
    static CURRENT: CallContext;
}

/// Deadline and identity of the call that the current task works for.
#[derive(Clone, Default)]
pub struct CallContext {
    deadline: Option<Instant>,
    identity: Identity,
}

#[derive(Clone, Default)]
enum Identity {
    #[default]
    None,
    Bearer(HeaderValue),
    Delegated(Minter, Arc<Delegation>),
}

impl CallContext {
    /// The context of the current task; empty outside a call.
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// A context whose calls carry this `authorization` value as it is.
    pub fn bearer(value: HeaderValue) -> Self {
        Self { identity: Identity::Bearer(value), ..Self::default() }
    }

    /// A context whose calls carry tokens that `minter` makes for this delegation.
    pub fn delegated(minter: Minter, delegation: Delegation) -> Self {
        Self { identity: Identity::Delegated(minter, Arc::new(delegation)), ..Self::default() }
    }

    /// The same with a deadline.
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// When the call must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Runs `work` in this context. A spawned task does not inherit it: capture `current()` and `scope` it there.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, ServiceError> {
        match &self.identity {
            Identity::None => Ok(None),
            Identity::Bearer(value) => Ok(Some(value.clone())),
            Identity::Delegated(minter, delegation) => minter.delegate(delegation).map(Some),
        }
    }
}

/// Whose authority a piece of background work has. Stored with its row as JSON; a token is never stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Delegation {
    /// Whose data it is.
    pub tenant: TenantId,
    /// Who asked.
    pub principal: String,
    /// What they might do when they asked, separated by blanks.
    #[serde(with = "scope_list")]
    pub scopes: Vec<String>,
    /// The run it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The span that asked for the work, as a W3C `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

mod scope_list {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(scopes: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&scopes.join(" "))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

impl Delegation {
    /// The authority of a caller, with the current span as its origin.
    pub fn of(caller: &Caller) -> Self {
        Self { traceparent: trace::current_traceparent(), ..Self::within(caller) }
    }

    /// The same for what is done within the call: its span is the current one, and need not be remembered.
    pub(crate) fn within(caller: &Caller) -> Self {
        Self {
            tenant: caller.tenant,
            principal: caller.principal.clone(),
            scopes: caller.scopes.iter().map(str::to_owned).collect(),
            run: caller.run,
            traceparent: None,
        }
    }

    /// The same for a run.
    pub fn for_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }
}

/// Mints a service's identity tokens.
#[derive(Clone)]
pub struct Minter(Arc<MinterInner>);

struct MinterInner {
    key: SigningKey,
    audience: Vec<String>,
    grants: Scopes,
    minted: Cache<Delegation, HeaderValue>,
}

impl Minter {
    /// Mints with `key` for these services. `grants` are the scopes that the service's own work needs: they are added
    /// to those of the user it works for, so that a key that may start runs need not also hold what runs do inside.
    pub fn new(
        key: SigningKey,
        audience: impl IntoIterator<Item = impl Into<String>>,
        grants: Scopes,
    ) -> Self {
        let minted = Cache::builder().max_capacity(10_000).time_to_live(REUSE).build();
        let audience = audience.into_iter().map(Into::into).collect();
        Self(Arc::new(MinterInner { key, audience, grants, minted }))
    }

    /// Runs `work` on behalf of a stored delegation: its calls carry fresh tokens in which this service acts for the
    /// user, end by `deadline`, and are spans of the stored trace, under one span named `name`.
    pub async fn act<F: Future>(
        &self,
        delegation: &Delegation,
        deadline: Option<Instant>,
        name: &'static str,
        work: F,
    ) -> F::Output {
        let span = tracing::info_span!(parent: None, "work", otel.name = name);
        if let Some(traceparent) = &delegation.traceparent {
            trace::resume(&span, traceparent);
        }
        let context = CallContext::delegated(self.clone(), delegation.clone()).with_deadline(deadline);
        context.scope(work.instrument(span)).await
    }

    /// A token that speaks for a user without acting; believed from the gateway only.
    pub fn user_token(&self, caller: &Caller, lifetime: Duration) -> Result<String, TokenError> {
        let claims = self.claims(caller.tenant, &caller.principal, caller.scopes.clone(), None, caller.run);
        self.0.key.sign(claims, lifetime)
    }

    fn delegate(&self, delegation: &Delegation) -> Result<HeaderValue, ServiceError> {
        // Where the work came from makes no other token.
        let key = Delegation { traceparent: None, ..delegation.clone() };
        if let Some(value) = self.0.minted.get(&key) {
            return Ok(value);
        }
        let scopes = delegation.scopes.iter().map(String::as_str).chain(self.0.grants.iter()).collect();
        let actor = Some(self.0.key.issuer().to_owned());
        let claims = self.claims(delegation.tenant, &delegation.principal, scopes, actor, delegation.run);
        let token = self.0.key.sign(claims, DELEGATED_LIFETIME).map_err(ServiceError::internal)?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(ServiceError::internal)?;
        value.set_sensitive(true);
        self.0.minted.insert(key, value.clone());
        Ok(value)
    }

    fn claims(
        &self,
        tenant: TenantId,
        sub: &str,
        scopes: Scopes,
        act: Option<String>,
        run: Option<RunId>,
    ) -> Claims {
        let (iss, aud) = (String::new(), self.0.audience.clone());
        Claims { iss, aud, sub: sub.to_owned(), tenant, scopes, act, run, iat: 0, exp: 0 }
    }
}
