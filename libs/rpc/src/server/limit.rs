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
    /// Watches of one tenant.
    pub watches_per_tenant: usize,
    /// Calls that need no identity: health and reflection, streams included.
    pub open: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls: 1_024, calls_per_tenant: 256, watches: 20_000, watches_per_tenant: 10_000, open: 4_096 }
    }
}

#[derive(Clone)]
pub(super) struct Limit(Arc<State>);

struct State {
    limits: Limits,
    calls: InFlight,
    watches: InFlight,
    open: AtomicUsize,
}

/// One kind of calls: how many are in flight, in all and by tenant.
#[derive(Default)]
struct InFlight {
    all: AtomicUsize,
    tenants: Mutex<HashMap<TenantId, usize>>,
}

impl InFlight {
    fn take(&self, tenant: TenantId, most: usize, most_per_tenant: usize) -> Result<(), ServiceError> {
        if self.all.fetch_add(1, Ordering::Relaxed) >= most {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(overloaded("the service is overloaded"));
        }
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let held = tenants.entry(tenant).or_default();
        *held += 1;
        let over = *held > most_per_tenant;
        drop(tenants);
        if over {
            self.give_back(tenant);
            return Err(overloaded("too many calls of this tenant are in flight"));
        }
        Ok(())
    }

    fn give_back(&self, tenant: TenantId) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = tenants.get_mut(&tenant) {
            *held -= 1;
            if *held == 0 {
                tenants.remove(&tenant);
            }
        }
    }
}

/// What a call holds while it is in flight; given back when dropped.
struct Permit {
    state: Arc<State>,
    holder: Holder,
}

enum Holder {
    Call(TenantId),
    Watch(TenantId),
    Open,
}

impl Limit {
    pub(super) fn new(limits: Limits) -> Self {
        let (calls, watches, open) = (InFlight::default(), InFlight::default(), AtomicUsize::new(0));
        Self(Arc::new(State { limits, calls, watches, open }))
    }

    fn take(&self, tenant: Option<TenantId>, watch: bool) -> Result<Permit, ServiceError> {
        let (state, limits) = (self.0.clone(), self.0.limits);
        let holder = match (tenant, watch) {
            (None, _) => {
                if state.open.fetch_add(1, Ordering::Relaxed) >= limits.open {
                    state.open.fetch_sub(1, Ordering::Relaxed);
                    return Err(overloaded("too many calls without identity are in flight"));
                }
                Holder::Open
            }
            (Some(tenant), true) => {
                state.watches.take(tenant, limits.watches, limits.watches_per_tenant)?;
                Holder::Watch(tenant)
            }
            (Some(tenant), false) => {
                state.calls.take(tenant, limits.calls, limits.calls_per_tenant)?;
                Holder::Call(tenant)
            }
        };
        Ok(Permit { state, holder })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.holder {
            Holder::Call(tenant) => self.state.calls.give_back(tenant),
            Holder::Watch(tenant) => self.state.watches.give_back(tenant),
            Holder::Open => drop(self.state.open.fetch_sub(1, Ordering::Relaxed)),
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
        match self.take(caller, watch) {
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
        let limits = Limits { calls: 3, calls_per_tenant: 2, watches: 2, watches_per_tenant: 1, open: 1 };
        let limit = Limit::new(limits);
        let (a, b) = (Some(TenantId::from_u128(1)), Some(TenantId::from_u128(2)));
        let held: Vec<_> = (0..2).map(|_| limit.take(a, false).expect("free")).collect();
        assert!(limit.take(a, false).is_err(), "a has two of two");
        let other = limit.take(b, false).expect("b still gets in");
        assert!(limit.take(b, false).is_err(), "three of three");
        drop(held);
        assert!(limit.take(a, false).is_ok());
        let watch = limit.take(a, true).expect("watches are apart");
        assert!(limit.take(a, true).is_err(), "a has one of one");
        let second = limit.take(b, true).expect("b watches too");
        let open = limit.take(None, true).expect("health has its own");
        assert!(limit.take(None, false).is_err());
        drop((watch, second, other, open));
        for kind in [&limit.0.calls, &limit.0.watches] {
            assert_eq!(kind.all.load(Ordering::Relaxed), 0);
            assert!(kind.tenants.lock().expect("not poisoned").is_empty());
        }
        assert_eq!(limit.0.open.load(Ordering::Relaxed), 0);
    }
}
