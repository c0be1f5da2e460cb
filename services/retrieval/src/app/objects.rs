//! Writes objects before a transaction refers to them, and reads them back checked.

use bytes::Bytes;
use copydesk_store::StoreError;
use copydesk_types::{ObjectId, TenantId};
use futures_util::StreamExt;

use super::Desk;
use crate::error::{Damage, Error};
use crate::ports::{ObjectError, ObjectKey, ObjectPlace, Source, StoredObject};

/// How long the transaction that refers to a document's original may be away from its writing, in milliseconds. Afterwards
/// the object counts as left behind.
pub(super) const SOON: i64 = 60 * 60_000;
/// The same for snapshots, and for all originals of a restore.
pub(super) const TODAY: i64 = 24 * SOON;

/// Why an object could not be read.
pub(super) enum Unread {
    /// Its bytes are not what they should be, or not there at all.
    Damaged(Damage),
    /// For another reason.
    Failed(Error),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Desk {
    /// Writes a new object. Nobody refers to it yet: whoever does not come to do that discards it.
    pub(super) async fn put_object(
        &self,
        tenant: TenantId,
        size: u64,
        hash: String,
        parts: Source<'_, Bytes>,
        pending: i64,
    ) -> Result<StoredObject, Error> {
        let place = self.places.here.as_ref();
        let object = StoredObject { id: ObjectId::generate(), place: place.name().to_owned(), size, hash };
        self.objects.list_object(tenant, &object, self.clock.now() + pending).await?;
        let written = self.write_object(place, ObjectKey { tenant, id: object.id }, size, parts).await;
        if written.is_err() {
            self.discard_object(tenant, &object).await;
        }
        written.map(|()| object)
    }

    async fn write_object(
        &self,
        place: &dyn ObjectPlace,
        key: ObjectKey,
        size: u64,
        parts: Source<'_, Bytes>,
    ) -> Result<(), Error> {
        let begun = place.begin(key, size).await?;
        if !begun.is_empty() {
            // Before the first part: what is not noted here nobody could clear away.
            self.objects.note_begun(key, &begun).await?;
        }
        Ok(place.write(key, &begun, size, parts).await?)
    }

    /// Writes bytes that are in memory.
    pub(super) async fn put_bytes(
        &self,
        tenant: TenantId,
        content: Bytes,
        hash: String,
        pending: i64,
    ) -> Result<StoredObject, Error> {
        let size = content.len() as u64;
        let mut parts = std::iter::once(Ok::<_, StoreError>(content));
        self.put_object(tenant, size, hash, &mut parts, pending).await
    }

    /// An object to which nobody will refer is cleared away soon. One that is stored meanwhile stays.
    pub(super) async fn discard_object(&self, tenant: TenantId, object: &StoredObject) {
        let discarded = self.objects.discard_object(ObjectKey { tenant, id: object.id }).await;
        if let Err(error) = discarded {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an object is cleared away when it has expired"
            );
        }
        self.progress.objects_left();
    }

    /// Hands an object's bytes out in pieces and says at the end whether they were the right ones: until then nothing may
    /// be made visible of them.
    pub(super) async fn read_object(
        &self,
        tenant: TenantId,
        object: &StoredObject,
        mut take: impl FnMut(Bytes) -> Result<(), Error> + Send,
    ) -> Result<(), Unread> {
        let place = self.places.named(&object.place);
        let place = place.ok_or_else(|| Error::NoPlace(object.place.clone()))?;
        let (mut size, mut hash) = (0, blake3::Hasher::new());
        let mut pieces = place.read(ObjectKey { tenant, id: object.id }, object.size);
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(ObjectError::Absent) => return Err(Unread::Damaged(Damage::Missing)),
                Err(error) => return Err(Unread::Failed(error.into())),
            };
            size += piece.len() as u64;
            hash.update(&piece);
            if size > object.size {
                break;
            }
            take(piece)?;
        }
        if size != object.size {
            return Err(Unread::Damaged(Damage::Length));
        }
        let right = object.hash.is_empty() || hash.finalize().to_hex().as_str() == object.hash;
        if right { Ok(()) } else { Err(Unread::Damaged(Damage::Hash)) }
    }

    /// An object in memory.
    pub(super) async fn object_bytes(
        &self,
        tenant: TenantId,
        object: &StoredObject,
    ) -> Result<Bytes, Unread> {
        // What the row says is not believed before as much has come.
        let mut content = Vec::new();
        let take = |piece: Bytes| {
            content.extend_from_slice(&piece);
            Ok(())
        };
        self.read_object(tenant, object, take).await?;
        Ok(content.into())
    }
}
