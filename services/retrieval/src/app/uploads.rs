//! How many uploads are under way: each may hold a whole document in memory, so they are counted before one is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use copydesk_types::TenantId;

use crate::config::Limits;
use crate::error::Error;

/// The uploads under way in this process. Clones count together.
#[derive(Debug, Clone)]
pub struct Uploads {
    per_tenant: u32,
    all: u32,
    under_way: Arc<Mutex<HashMap<TenantId, u32>>>,
}

/// Leave for one upload; it ends when this is dropped.
#[derive(Debug)]
pub struct UploadPermit {
    uploads: Uploads,
    tenant: TenantId,
}

impl Uploads {
    /// None under way, with the limits of validated settings.
    pub fn new(limits: &Limits) -> Self {
        Self { per_tenant: limits.max_uploads_per_tenant, all: limits.max_uploads, under_way: Arc::default() }
    }

    /// Lets another upload of a tenant begin.
    ///
    /// # Errors
    /// `TooManyUploads` when the tenant, or all tenants together, have as many as they may.
    pub fn begin(&self, tenant: TenantId) -> Result<UploadPermit, Error> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let own = under_way.get(&tenant).copied().unwrap_or_default();
        if own >= self.per_tenant || under_way.values().sum::<u32>() >= self.all {
            return Err(Error::TooManyUploads);
        }
        under_way.insert(tenant, own + 1);
        Ok(UploadPermit { uploads: self.clone(), tenant })
    }
}

impl Drop for UploadPermit {
    fn drop(&mut self) {
        let mut under_way = self.uploads.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = under_way.get_mut(&self.tenant) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                under_way.remove(&self.tenant);
            }
        }
    }
}
