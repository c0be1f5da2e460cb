//! Turns at work that keeps a processor busy: each tenant has so many at once, and its other calls wait for them.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use copydesk_types::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who is at work, by tenant. However much one asks for at once, the others' work finds a processor.
#[derive(Debug)]
pub struct Turns {
    each: usize,
    tenants: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

impl Default for Turns {
    /// As many for each tenant as there are processors.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, NonZero::get))
    }
}

impl Turns {
    /// So many for each tenant, at least one.
    pub fn new(each: usize) -> Self {
        Self { each: each.max(1), tenants: Mutex::default() }
    }

    /// Waits for a turn, first come, first served. It lasts until what is given is dropped: give it to the work, which
    /// may go on when its caller has left. Whoever leaves while it waits takes no turn.
    pub async fn take(&self, tenant: TenantId) -> Turn {
        let own = self.of(tenant);
        // It is never closed.
        Turn { _permit: Arc::clone(&own).acquire_owned().await.ok() }
    }

    fn of(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = tenants.get(&tenant).and_then(Weak::upgrade) {
            return own;
        }
        tenants.retain(|_, semaphore| semaphore.strong_count() > 0);
        let own = Arc::new(Semaphore::new(self.each));
        tenants.insert(tenant, Arc::downgrade(&own));
        own
    }
}

/// A tenant's turn.
#[derive(Debug)]
#[must_use = "a turn that is dropped is over"]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_tenant_waits_for_its_own_turns_only() {
        let (turns, one, other) = (Turns::new(2), TenantId::from_u128(1), TenantId::from_u128(2));
        let (first, second) = (turns.take(one).await, turns.take(one).await);
        assert!(turns.take(one).now_or_never().is_none(), "a third turn at once");
        assert!(turns.take(other).now_or_never().is_some());
        drop(first);
        let third = turns.take(one).now_or_never();
        assert!(third.is_some());
        drop((second, third));
        drop(turns.take(other).await);
        assert_eq!(turns.tenants.lock().unwrap().len(), 1, "who is not at work is not remembered");
    }
}
