//! Makes, lists, hands out and deletes snapshots, and hands out originals.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use copydesk_proto::retrieval::v1::SnapshotHeader;
use copydesk_rpc::{ServiceError, StreamSink};
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, SnapshotId, TenantId};
use tokio::io::AsyncReadExt;

use super::Desk;
use super::knowledge_bases::page;
use super::objects::{TODAY, Unread};
use super::snapshot_records::record;
use crate::domain::snapshot::{Fault, Writer};
use crate::error::{Damage, Error, Resource};
use crate::ports::{Original, Snapshot, StoredObject, WholeDocument};

/// Bytes of a stored part of a file.
const PART: usize = 1024 * 1024;
/// Bytes that are sent at once.
const PIECE: usize = 512 * 1024;

impl Desk {
    /// A document's bytes as they were uploaded.
    ///
    /// # Errors
    /// `NotFound`, `Damaged` when they are not what they were.
    pub async fn original(&self, tenant: TenantId, id: DocumentId) -> Result<Bytes, Error> {
        let damaged = |damage| Error::Damaged(Resource::Document, id.to_string(), damage);
        let mut before = None;
        loop {
            let found = self.snapshots.original(tenant, id).await?;
            match found.ok_or_else(|| Error::NotFound(Resource::Document, id.to_string()))? {
                Original::Text(hash, content) => {
                    let (content, same) = tokio::task::spawn_blocking(move || {
                        let same = blake3::hash(&content).to_hex().as_str() == hash;
                        (content, same)
                    })
                    .await?;
                    return if same { Ok(content) } else { Err(damaged(Damage::Hash)) };
                }
                Original::Object(object) => match self.object_bytes(tenant, &object).await {
                    Ok(content) => return Ok(content),
                    Err(Unread::Failed(error)) => return Err(error),
                    // Replaced or moved between the two reads, it stands elsewhere now.
                    Err(Unread::Damaged(damage)) if before == Some(object.id) => return Err(damaged(damage)),
                    Err(Unread::Damaged(_)) => before = Some(object.id),
                },
            }
        }
    }

    /// An object in a temporary file, and its hash.
    pub(super) async fn object_file(
        &self,
        tenant: TenantId,
        object: &StoredObject,
    ) -> Result<(File, String), Unread> {
        let mut file = tempfile::tempfile_in(&self.folder).map_err(Error::Folder)?;
        let mut hash = blake3::Hasher::new();
        let take = |piece: Bytes| {
            hash.update(&piece);
            file.write_all(&piece).map_err(Error::Folder)
        };
        self.read_object(tenant, object, take).await?;
        Ok((file, hash.finalize().to_hex().to_string()))
    }

    /// Makes a snapshot of a knowledge base.
    ///
    /// # Errors
    /// `NotFound`.
    #[tracing::instrument(name = "retrieval.create_snapshot", skip_all, fields(copydesk.documents))]
    pub async fn create_snapshot(&self, tenant: TenantId, id: KnowledgeBaseId) -> Result<Snapshot, Error> {
        let base = self.knowledge_base(tenant, id).await?;
        let file = tempfile::tempfile_in(&self.folder).map_err(Error::Folder)?;
        let mut writer = Writer::new(BufWriter::new(file.try_clone().map_err(Error::Folder)?))?;
        let (name, embedder) = (base.name.clone(), base.embedder.clone());
        let kind = base.kind.word().to_owned();
        writer.record(&SnapshotHeader { name, embedder, dimensions: base.dimensions, kind })?;
        let (mut documents, mut chunks) = (0, 0);
        for document in self.snapshots.document_ids(tenant, id).await? {
            let Some((whole, original)) = self.whole(tenant, document).await? else { continue };
            documents += 1;
            chunks += u64::from(whole.document.chunks);
            // Compressing a large document takes a while: beside the runtime's own threads.
            writer =
                tokio::task::spawn_blocking(move || writer.record(&record(whole, original)).map(|()| writer))
                    .await??;
        }
        // The vectors read so far would be of two embedders.
        if self.knowledge_base(tenant, id).await?.embedder != base.embedder {
            return Err(Error::ReembeddingUnderWay(id));
        }
        let written = writer.finish()?;
        let snapshot = Snapshot {
            id: SnapshotId::generate(),
            knowledge_base: id,
            name: base.name,
            documents,
            chunks,
            size: written.size,
            content_hash: written.hash,
            create_time: self.clock.now(),
        };
        let file =
            self.put_object(tenant, written.size, written.whole_hash, &mut parts(file)?, TODAY).await?;
        if let Err(error) = self.snapshots.add_snapshot(tenant, &snapshot, &file).await {
            self.discard_object(tenant, &file).await;
            return Err(error.into());
        }
        tracing::Span::current().record("copydesk.documents", documents);
        Ok(snapshot)
    }

    /// A document with its original's bytes, unless they are its text; `None` when it is deleted.
    async fn whole(
        &self,
        tenant: TenantId,
        id: DocumentId,
    ) -> Result<Option<(WholeDocument, Option<Vec<u8>>)>, Error> {
        let mut before = None;
        loop {
            let Some(whole) = self.snapshots.whole_document(tenant, id).await? else { return Ok(None) };
            let Some(object) = &whole.original else { return Ok(Some((whole, None))) };
            match self.object_bytes(tenant, object).await {
                Ok(content) => return Ok(Some((whole, Some(content.into())))),
                Err(Unread::Failed(error)) => return Err(error),
                // As above.
                Err(Unread::Damaged(damage)) if before == Some(object.id) => {
                    return Err(Error::Damaged(Resource::Document, id.to_string(), damage));
                }
                Err(Unread::Damaged(_)) => before = Some(object.id),
            }
        }
    }

    /// A page of snapshots, newest first, and whether more follow.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn snapshots(
        &self,
        tenant: TenantId,
        before: Option<SnapshotId>,
        size: u32,
    ) -> Result<(Vec<Snapshot>, bool), Error> {
        Ok(page(self.snapshots.snapshots(tenant, before, size + 1).await?, size))
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_snapshot(&self, tenant: TenantId, id: SnapshotId) -> Result<(), Error> {
        let deleted = self.snapshots.delete_snapshot(tenant, id).await?;
        self.progress.objects_left();
        if deleted { Ok(()) } else { Err(Error::NotFound(Resource::Snapshot, id.to_string())) }
    }

    /// A snapshot's file, with its hash: looked at before any of it is sent or restored.
    ///
    /// # Errors
    /// `NotFound`, `Damaged`.
    pub async fn snapshot_file(&self, tenant: TenantId, id: SnapshotId) -> Result<File, Error> {
        let damaged = |damage| Error::Damaged(Resource::Snapshot, id.to_string(), damage);
        let mut before = None;
        loop {
            let found = self.snapshots.snapshot(tenant, id).await?;
            let snapshot = found.ok_or_else(|| Error::NotFound(Resource::Snapshot, id.to_string()))?;
            let object = self.objects.object_of(tenant, &id.to_string()).await?;
            let object = object.ok_or_else(|| damaged(Damage::Missing))?;
            match self.object_file(tenant, &object).await {
                // An earlier build kept no hash of the whole file, but its own hash ends it.
                Ok((file, _)) if object.hash.is_empty() => {
                    let (file, same) =
                        tokio::task::spawn_blocking(move || ends_in_its_hash(file, &snapshot)).await??;
                    return if same { Ok(file) } else { Err(damaged(Damage::Hash)) };
                }
                Ok((file, _)) => return Ok(file),
                Err(Unread::Failed(error)) => return Err(error),
                // Moved between the two reads, it stands elsewhere now.
                Err(Unread::Damaged(damage)) if before == Some(object.id) => return Err(damaged(damage)),
                Err(Unread::Damaged(_)) => before = Some(object.id),
            }
        }
    }
}

/// Sends a file from its beginning.
///
/// # Errors
/// When it cannot be read.
pub async fn send_file(mut file: File, sink: StreamSink<Bytes>) -> Result<(), ServiceError> {
    file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
    let mut file = tokio::fs::File::from_std(file);
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let mut next = (&mut file).take(PIECE as u64);
        next.read_to_end(&mut piece).await.map_err(Error::Folder)?;
        if piece.is_empty() || send(piece.into(), &sink).await.is_err() {
            return Ok(());
        }
    }
}

/// Sends bytes in pieces; none is one empty piece.
pub(crate) async fn send(mut bytes: Bytes, sink: &StreamSink<Bytes>) -> Result<(), copydesk_rpc::Closed> {
    loop {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        sink.send(piece).await?;
        if bytes.is_empty() {
            return Ok(());
        }
    }
}

/// Whether a file is that of its snapshot: its last bytes are the hash of the others.
fn ends_in_its_hash(mut file: File, snapshot: &Snapshot) -> Result<(File, bool), Error> {
    file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
    let mut hash = blake3::Hasher::new();
    hash.update_reader(Read::by_ref(&mut file).take(snapshot.size.saturating_sub(32)))
        .map_err(Error::Folder)?;
    let (hash, mut last) = (hash.finalize(), Vec::new());
    file.read_to_end(&mut last).map_err(Error::Folder)?;
    let same = hash.as_bytes()[..] == last[..] && hash.to_hex().as_str() == snapshot.content_hash;
    Ok((file, same))
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Snapshot(fault)
    }
}

/// The parts of a file, from its beginning.
pub(super) fn parts(mut file: File) -> Result<impl Iterator<Item = Result<Bytes, StoreError>> + Send, Error> {
    file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
    Ok(std::iter::from_fn(move || {
        let mut part = Vec::new();
        match Read::by_ref(&mut file).take(PART as u64).read_to_end(&mut part) {
            Ok(0) => None,
            Ok(_) => Some(Ok(part.into())),
            Err(error) => Some(Err(unreadable(&error))),
        }
    }))
}

pub(super) fn unreadable(error: &dyn std::error::Error) -> StoreError {
    StoreError::Invalid { reason: format!("a file cannot be read: {error}"), source: None }
}
