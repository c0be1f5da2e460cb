//! What the desk needs for bytes that stand outside of the rows that name them: places for them, and the list of them.
//!
//! Rows are the truth. An object is listed as pending before its first byte is written; the transaction that refers to it
//! makes it stored; the transaction that drops the last reference makes it gone; and what is gone, or was left pending,
//! leaves the list when its bytes are removed. So a crash anywhere leaves nothing half stored and nothing forgotten.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_store::StoreError;
use copydesk_types::{ObjectId, TenantId};
use futures_util::stream::BoxStream;

use super::Source;

/// Under what an object stands: a key is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: ObjectId,
}

/// An object as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its id.
    pub id: ObjectId,
    /// The name of the place where its bytes stand.
    pub place: String,
    /// Their number.
    pub size: u64,
    /// BLAKE3 of them in hexadecimal digits; empty for snapshots that an earlier build made.
    pub hash: String,
}

/// Why a place did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is nothing under this key.
    #[error("there is no such object")]
    Absent,
    /// It will not be done, however often it is asked for: the operator mends it.
    #[error("{0}")]
    Refused(String),
    /// It may be done later.
    #[error("{0}")]
    Unavailable(String),
    /// The bytes to be written cannot be read, or the place is a database that failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A place where objects stand: a folder, a bucket, a table.
#[async_trait]
pub trait ObjectPlace: Send + Sync {
    /// The name under which objects remember it: two places of one name hold the same objects.
    fn name(&self) -> &str;

    /// Whether it can be written, read and cleared.
    async fn check(&self) -> Result<(), ObjectError>;

    /// Begins to write an object of so many bytes and gives what has to be noted to undo that, for [`write`](Self::write)
    /// and [`remove`](Self::remove); empty where the key is enough.
    async fn begin(&self, key: ObjectKey, size: u64) -> Result<String, ObjectError>;

    /// Writes it: visible as a whole when this has succeeded, and not at all before. What is held in memory is bounded,
    /// beyond the largest of the parts that are given.
    async fn write(
        &self,
        key: ObjectKey,
        begun: &str,
        size: u64,
        parts: Source<'_, Bytes>,
    ) -> Result<(), ObjectError>;

    /// Its bytes in pieces, in order. What comes is not checked here.
    fn read(&self, key: ObjectKey, size: u64) -> BoxStream<'_, Result<Bytes, ObjectError>>;

    /// Removes it, and what a broken writing left of it. Nothing there is as good.
    async fn remove(&self, key: ObjectKey, begun: &str) -> Result<(), ObjectError>;
}

/// The places of this process: one that is written to, and those that are read as well.
#[derive(Clone)]
pub struct Places {
    /// Where new objects go.
    pub here: Arc<dyn ObjectPlace>,
    /// Where older ones may stand.
    pub others: Vec<Arc<dyn ObjectPlace>>,
}

impl Places {
    /// All of them, the one that is written to first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn ObjectPlace>> {
        std::iter::once(&self.here).chain(&self.others)
    }

    /// The place of this name; `None` when this process has no such place.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn ObjectPlace>> {
        self.all().find(|place| place.name() == name)
    }
}

/// An object whose bytes are to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Its key.
    pub key: ObjectKey,
    /// Its place.
    pub place: String,
    /// What its writing noted.
    pub begun: String,
    /// How often its removal was tried, this time included.
    pub attempts: u32,
}

/// The list of objects. Methods without a tenant are the sweeper's: it works for all of them.
#[async_trait]
pub trait ObjectLedger: Send + Sync {
    /// Lists an object before it is written; it counts as left behind from `due` on.
    async fn list_object(&self, tenant: TenantId, object: &StoredObject, due: i64) -> Result<(), StoreError>;

    /// Notes what its writing has to be undone with.
    async fn note_begun(&self, key: ObjectKey, begun: &str) -> Result<(), StoreError>;

    /// A pending object will not be needed. One that is stored meanwhile stays.
    async fn discard_object(&self, key: ObjectKey) -> Result<(), StoreError>;

    /// The stored object of a document or a snapshot, by that one's id.
    async fn object_of(&self, tenant: TenantId, owner: &str) -> Result<Option<StoredObject>, StoreError>;

    /// Takes objects of these places that are gone or left behind, `limit` at most; nobody else gets them before `until`.
    async fn take_removals(
        &self,
        places: &[&str],
        now: i64,
        until: i64,
        limit: u32,
    ) -> Result<Vec<Removal>, StoreError>;

    /// Strikes an object whose bytes are removed off the list.
    async fn removed(&self, key: ObjectKey) -> Result<(), StoreError>;

    /// Puts a removal off.
    async fn put_off(&self, key: ObjectKey, due: i64) -> Result<(), StoreError>;

    /// Takes a stored object that stands in one of these places; nobody else gets it before `until`.
    async fn take_misplaced(
        &self,
        places: &[&str],
        now: i64,
        until: i64,
    ) -> Result<Option<(TenantId, StoredObject)>, StoreError>;

    /// Puts a copy in the place of an object that is still stored. False when it is not.
    async fn replace_object(
        &self,
        tenant: TenantId,
        old: ObjectId,
        copy: &StoredObject,
    ) -> Result<bool, StoreError>;

    /// Makes what an ended process of a database that no other process uses left pending or leased due at once.
    async fn recover_objects(&self) -> Result<(), StoreError>;
}
