//! The use cases: tenants and keys made, listed, revoked; a secret recognised.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use copydesk_store::StoreError;
use copydesk_types::{KeyId, Scopes, TenantId};
use moka::future::Cache;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;

use crate::Error;
use crate::ports::{KeyRecord, Store, TenantRecord};

/// What every secret begins with, so that scanners find a leaked one.
const PREFIX: &str = "cdk_";
/// Another replica's revocation is seen after this long; our own at once.
const REMEMBER: Duration = Duration::from_secs(5);
/// Unknown keys looked up at the same time.
const LOOKUPS: usize = 16;
const DEFAULT_TENANT: &str = "default";

type Hash = [u8; 32];

/// The gateway's desk.
pub(crate) struct Desk {
    store: Arc<dyn Store>,
    lookups: Semaphore,
    /// What a secret's hash was found to be; `None` remembers that it is nobody's. Found between two revocations: a
    /// lookup that began before one must not be believed after it, however late it ends.
    known: Cache<(u64, Hash), Option<Arc<KeyRecord>>>,
    revocations: AtomicU64,
}

/// Counts a revocation when it ends in whatever way: the caller may go while the database still commits.
struct Revoking<'a>(&'a AtomicU64);

impl Drop for Revoking<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Desk {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let known = Cache::builder().max_capacity(100_000).time_to_live(REMEMBER).build();
        Self { store, lookups: Semaphore::new(LOOKUPS), known, revocations: AtomicU64::new(0) }
    }

    /// The key that this secret belongs to. `None`: nobody's, or revoked.
    pub(crate) async fn recognise(&self, secret: &str) -> Result<Option<Arc<KeyRecord>>, Error> {
        if !secret.starts_with(PREFIX) || secret.len() > 128 {
            return Ok(None);
        }
        let (revocations, hash) = (self.revocations.load(Ordering::SeqCst), hash(secret));
        let lookup = async {
            // Guessed keys are nobody's quota: only so many may ask the database at a time, the others wait.
            let _turn = self.lookups.acquire().await;
            let found = self.store.key_by_secret(&hash).await?;
            Ok::<_, StoreError>(found.filter(|key| key.revoked_ms.is_none()).map(Arc::new))
        };
        // Concurrent first calls of one key ask the database once.
        self.known.try_get_with((revocations, hash), lookup).await.map_err(|error| {
            match Arc::try_unwrap(error) {
                Ok(error) => Error::Store(error),
                // Others wait for the same answer and share its error.
                Err(shared) => Error::Shared(shared),
            }
        })
    }

    #[tracing::instrument(name = "gateway.create_tenant", skip_all)]
    pub(crate) async fn create_tenant(&self, name: &str) -> Result<(TenantRecord, KeyRecord, String), Error> {
        self.add_tenant(name, Scopes::all()).await
    }

    async fn add_tenant(
        &self,
        name: &str,
        scopes: Scopes,
    ) -> Result<(TenantRecord, KeyRecord, String), Error> {
        let created_ms = now_ms();
        let tenant = TenantRecord { id: TenantId::generate(), name: name.to_owned(), created_ms };
        let (key, secret) = new_key(tenant.id, "first key", scopes)?;
        match self.store.add_tenant(&tenant, &key, &hash(&secret)).await {
            Ok(()) => Ok((tenant, key, secret)),
            Err(StoreError::Conflict { .. }) => Err(Error::TenantNameTaken(tenant.name)),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn tenant(&self, id: TenantId) -> Result<TenantRecord, Error> {
        self.store.tenant(id).await?.ok_or_else(|| Error::TenantNotFound(id.to_string()))
    }

    pub(crate) async fn tenants(&self, before: Option<&str>, limit: u32) -> Result<Vec<TenantRecord>, Error> {
        Ok(self.store.tenants(before, limit).await?)
    }

    #[tracing::instrument(name = "gateway.create_key", skip_all)]
    pub(crate) async fn create_key(
        &self,
        tenant: TenantId,
        holder: &Scopes,
        name: &str,
        scopes: Scopes,
    ) -> Result<(KeyRecord, String), Error> {
        if !holder.cover(&scopes) {
            return Err(Error::ScopesExceeded);
        }
        let (key, secret) = new_key(tenant, name, scopes)?;
        self.store.add_key(&key, &hash(&secret)).await?;
        Ok((key, secret))
    }

    pub(crate) async fn keys(
        &self,
        tenant: TenantId,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<KeyRecord>, Error> {
        Ok(self.store.keys(tenant, before, limit).await?)
    }

    #[tracing::instrument(name = "gateway.revoke_key", skip_all)]
    pub(crate) async fn revoke_key(&self, tenant: TenantId, id: KeyId) -> Result<KeyRecord, Error> {
        // The cache is keyed by secrets' hashes, which the id does not tell; revoking is rare, so all are asked anew.
        let revoking = Revoking(&self.revocations);
        let key = self.store.revoke_key(tenant, id, now_ms()).await?;
        drop(revoking);
        key.ok_or_else(|| Error::KeyNotFound(id.to_string()))
    }

    /// See [`crate::Gateway::bootstrap`].
    pub(crate) async fn bootstrap(
        &self,
        current: Option<&str>,
        replace_lost: bool,
    ) -> Result<Option<String>, Error> {
        // A key that is known stays what it is: one that was revoked is not undone by a restart.
        if let Some(secret) = current
            && self.store.key_by_secret(&hash(secret)).await?.is_some()
        {
            return Ok(None);
        }
        let scopes: Scopes = ["*", "platform:*"].into_iter().collect();
        if let Some(tenant) = self.store.tenant_by_name(DEFAULT_TENANT).await? {
            if !replace_lost {
                return Ok(None);
            }
            let (key, secret) = new_key(tenant.id, "development key", scopes)?;
            self.store.add_key(&key, &hash(&secret)).await?;
            return Ok(Some(secret));
        }
        match self.add_tenant(DEFAULT_TENANT, scopes).await {
            Ok((_, _, secret)) => Ok(Some(secret)),
            // Another replica made it in between; its key is not ours to read.
            Err(Error::TenantNameTaken(_)) => Box::pin(self.bootstrap(None, replace_lost)).await,
            Err(error) => Err(error),
        }
    }
}

fn new_key(tenant: TenantId, name: &str, scopes: Scopes) -> Result<(KeyRecord, String), Error> {
    let mut bytes = [0u8; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let (id, name) = (KeyId::generate(), name.to_owned());
    Ok((KeyRecord { id, tenant, name, scopes, created_ms: now_ms(), revoked_ms: None }, secret))
}

/// A secret has 256 random bits: a plain hash cannot be searched, and a slow one would only slow every call.
fn hash(secret: &str) -> Hash {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    let mut hash = [0u8; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
