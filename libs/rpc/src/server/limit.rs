//! How much may be in flight, in all and for one tenant. What is over is refused at once, with a time to come back:
//! a queue here would only hide the overload until every deadline has passed.
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use copydesk_types::TenantId;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::middleware::{Middleware, Next};
use crate::body::{Guards, guard};
use crate::{Caller, Kind, MethodAccess, ServiceError};

const COME_BACK: Duration = Duration::from_millis(250);

/// The most calls in flight.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls of all tenants, watches apart.
    pub calls: usize,
    /// Calls of one tenant, watches apart.
    pub calls_per_tenant: usize,
    /// Watches of all tenants: they wait more than they work.
    pub watches: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls: 1_024, calls_per_tenant: 256, watches: 20_000 }
    }
}

#[derive(Clone)]
pub(super) struct Limit(Arc<State>);

struct State {
    limits: Limits,
    calls: AtomicUsize,
    watches: AtomicUsize,
    tenants: Mutex<HashMap<TenantId, usize>>,
}

/// Gives back what it took when dropped.
struct Permit {
    state: Arc<State>,
    tenant: Option<TenantId>,
}

impl Limit {
    pub(super) fn new(limits: Limits) -> Self {
        let (calls, watches) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(State { limits, calls, watches, tenants: Mutex::default() }))
    }

    fn take(&self, tenant: TenantId, watch: bool) -> Result<Permit, ServiceError> {
        let state = self.0.clone();
        let (counter, limit) = match watch {
            true => (&state.watches, state.limits.watches),
            false => (&state.calls, state.limits.calls),
        };
        if counter.fetch_add(1, Ordering::Relaxed) >= limit {
            counter.fetch_sub(1, Ordering::Relaxed);
            return Err(overloaded("the service is overloaded"));
        }
        let mut permit = Permit { state: state.clone(), tenant: None };
        if watch {
            return Ok(permit);
        }
        let mut tenants = state.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let held = tenants.entry(tenant).or_default();
        *held += 1;
        let over = *held > state.limits.calls_per_tenant;
        drop(tenants);
        permit.tenant = Some(tenant);
        if over { Err(overloaded("too many calls of this tenant are in flight")) } else { Ok(permit) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(tenant) = self.tenant else {
            self.state.watches.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        self.state.calls.fetch_sub(1, Ordering::Relaxed);
        let mut tenants = self.state.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = tenants.get_mut(&tenant) {
            *held -= 1;
            if *held == 0 {
                tenants.remove(&tenant);
            }
        }
    }
}

fn overloaded(message: &'static str) -> ServiceError {
    ServiceError::new(Kind::ResourceExhausted, "OVERLOADED", message).with_retry_after(COME_BACK)
}

impl Middleware for Limit {
    async fn handle(self, request: Request<Body>, next: impl Next) -> Response<Body> {
        let caller = request.extensions().get::<Caller>().map(|c| c.tenant);
        let watch = request.extensions().get::<Arc<MethodAccess>>().is_some_and(|a| a.is_watch());
        let Some(tenant) = caller else { return next.run(request).await };
        match self.take(tenant, watch) {
            Ok(permit) => {
                let response = next.run(request).await;
                guard(response, Guards { permit: Some(Box::new(permit)), ..Guards::default() })
            }
            Err(error) => Status::from(error).into_http(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_cannot_take_it_all_and_permits_come_back() {
        let limit = Limit::new(Limits { calls: 3, calls_per_tenant: 2, watches: 1 });
        let (a, b) = (TenantId::from_u128(1), TenantId::from_u128(2));
        let held: Vec<_> = (0..2).map(|_| limit.take(a, false).expect("free")).collect();
        assert!(limit.take(a, false).is_err(), "a has two of two");
        let other = limit.take(b, false).expect("b still gets in");
        assert!(limit.take(b, false).is_err(), "three of three");
        drop(held);
        assert!(limit.take(a, false).is_ok());
        let watch = limit.take(a, true).expect("watches are apart");
        assert!(limit.take(a, true).is_err());
        drop((watch, other));
        assert_eq!(limit.0.calls.load(Ordering::Relaxed), 0);
        assert_eq!(limit.0.watches.load(Ordering::Relaxed), 0);
        assert!(limit.0.tenants.lock().expect("not poisoned").is_empty());
    }
}
