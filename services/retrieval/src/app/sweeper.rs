//! The worker of objects: removes the bytes of those to which nobody refers any more, and moves those that stand elsewhere
//! to the place that is configured. Any number of processes may run it: what one takes, the others leave alone for a while.

use std::time::Duration;

use copydesk_store::StoreError;
use copydesk_types::TenantId;
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::objects::{SOON, TODAY, Unread};
use super::snapshots::parts;
use crate::error::Error;
use crate::ports::{Removal, StoredObject};

/// How long others leave alone what this process has taken, in milliseconds.
const LEASE: i64 = 10 * 60_000;
/// Removals that are taken at once.
const BATCH: u32 = 50;
/// The wait before a removal that failed is tried again, in milliseconds; it doubles up to the lease.
const AGAIN: i64 = 5_000;
/// How often to look for what other processes left.
const IDLE: Duration = Duration::from_secs(5);
/// How long to wait after a failure of the database.
const BACKOFF: Duration = Duration::from_secs(1);
/// The largest object that is moved by way of memory; an original always is, so that it stays one part in rows.
const ONE_PART: u64 = 8 << 20;

/// The background worker.
pub struct Sweeper {
    desk: Desk,
}

impl Sweeper {
    /// A worker at a desk.
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    /// Works until it is told to stop. What it stops in the middle of is done again later.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(&self) {
        loop {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => {
                    // The time-out is the wake-up for what other processes left, and for what has expired.
                    let _ = tokio::time::timeout(IDLE, self.desk.progress.objects()).await;
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "objects are swept later");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    }

    /// Removes some objects, or moves one. False when there was nothing to do.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn turn(&self) -> Result<bool, Error> {
        let places: Vec<&str> = self.desk.places.all().map(|place| place.name()).collect();
        let now = self.desk.clock.now();
        let removals = self.desk.objects.take_removals(&places, now, now + LEASE, BATCH).await?;
        for removal in &removals {
            self.remove(removal).await?;
        }
        if !removals.is_empty() {
            return Ok(true);
        }
        let others: Vec<&str> = self.desk.places.others.iter().map(|place| place.name()).collect();
        // A large snapshot takes a while to move.
        let until = now + SOON;
        let Some((tenant, object)) = self.desk.objects.take_misplaced(&others, now, until).await? else {
            return Ok(false);
        };
        match self.relocate(tenant, &object).await {
            Ok(()) => {}
            Err(Unread::Failed(Error::Store(error))) => return Err(error.into()),
            Err(Unread::Failed(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an object is moved later");
            }
            Err(Unread::Damaged(damage)) => {
                // It stays where it is, for whoever can mend it.
                tracing::error!(object = %object.id, damage = damage.word(), "an object is damaged and is not moved");
            }
        }
        Ok(true)
    }

    async fn remove(&self, removal: &Removal) -> Result<(), StoreError> {
        let Some(place) = self.desk.places.named(&removal.place) else { return Ok(()) };
        match place.remove(removal.key, &removal.begun).await {
            Ok(()) => self.desk.objects.removed(removal.key).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an object is removed later");
                let wait = (AGAIN << removal.attempts.min(8)).min(LEASE);
                self.desk.objects.put_off(removal.key, self.desk.clock.now() + wait).await
            }
        }
    }

    async fn relocate(&self, tenant: TenantId, object: &StoredObject) -> Result<(), Unread> {
        let copy = self.copy(tenant, object).await?;
        let replaced = self.desk.objects.replace_object(tenant, object.id, &copy).await;
        if !matches!(replaced, Ok(true)) {
            // Deleted meanwhile, or moved by another process.
            self.desk.discard_object(tenant, &copy).await;
        }
        replaced.map_err(Error::from)?;
        Ok(())
    }

    async fn copy(&self, tenant: TenantId, object: &StoredObject) -> Result<StoredObject, Unread> {
        if object.size <= ONE_PART {
            let content = self.desk.object_bytes(tenant, object).await?;
            let hash = blake3::hash(&content).to_hex().to_string();
            return Ok(self.desk.put_bytes(tenant, content, hash, TODAY).await?);
        }
        let (file, hash) = self.desk.object_file(tenant, object).await?;
        Ok(self.desk.put_object(tenant, object.size, hash, &mut parts(file)?, TODAY).await?)
    }
}
