//! Restores a snapshot's file: checked to its end first, then its originals as objects to which nobody refers yet, then all
//! of it in one transaction.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom, Write};

use copydesk_proto::retrieval::v1::SnapshotHeader;
use copydesk_store::StoreError;
use copydesk_types::{KnowledgeBaseId, SnapshotId, TenantId};

use super::Desk;
use super::objects::TODAY;
use super::snapshot_records::whole;
use super::snapshots::unreadable;
use crate::domain::records::KnowledgeBase;
use crate::domain::snapshot::{Fault, Reader};
use crate::domain::source::KnowledgeBaseKind;
use crate::error::{Error, Resource};
use crate::ports::{Created, RequestKey, StoredObject, WholeDocument};

/// A file that is coming in to be restored. Dropped, it is gone.
pub struct Restoring {
    desk: Desk,
    tenant: TenantId,
    file: File,
    size: u64,
}

impl Desk {
    /// Begins a restore: of an uploaded file, unless a stored snapshot is named.
    ///
    /// # Errors
    /// `NotFound` for the snapshot, `Damaged` when its file is not what it was.
    pub async fn begin_restore(
        &self,
        tenant: TenantId,
        snapshot: Option<SnapshotId>,
    ) -> Result<Restoring, Error> {
        let file = match snapshot {
            Some(id) => self.snapshot_file(tenant, id).await?,
            None => tempfile::tempfile_in(&self.folder).map_err(Error::Folder)?,
        };
        Ok(Restoring { desk: self.clone(), tenant, file, size: 0 })
    }
}

impl Restoring {
    /// The next bytes of the file. False, with nothing taken, when it becomes longer than is allowed.
    pub fn content(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        if self.size + bytes.len() as u64 > self.desk.config.limits.max_snapshot_bytes {
            return Ok(false);
        }
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(Error::Folder)?;
        Ok(true)
    }

    /// Checks the file and makes a knowledge base of it.
    ///
    /// # Errors
    /// `Snapshot` when it is no good, `RequestReused`, `OverQuota`.
    #[tracing::instrument(name = "retrieval.restore_snapshot", skip_all)]
    pub async fn finish(self, request_id: String, name: String) -> Result<KnowledgeBase, Error> {
        let Self { desk, tenant, file, .. } = self;
        let largest = desk.config.limits.max_document_bytes;
        let Checked { file, header, hash, originals } =
            tokio::task::spawn_blocking(move || checked(file, largest)).await??;
        let base = KnowledgeBase {
            id: KnowledgeBaseId::generate(),
            name: if name.is_empty() { header.name } else { name },
            documents: 0,
            chunks: 0,
            version: 1,
            create_time: desk.clock.now(),
            embedder: header.embedder,
            dimensions: header.dimensions,
            kind: KnowledgeBaseKind::from_word(&header.kind).unwrap_or(KnowledgeBaseKind::General),
            reembedding: None,
        };
        let fingerprint = blake3::hash(format!("{hash} {}", base.name).as_bytes()).to_hex().to_string();
        let request = RequestKey { id: request_id, fingerprint };
        let (file, objects) = match originals {
            0 => (file, Vec::new()),
            _ => {
                // Before their bytes are written again.
                if let Some((fingerprint, made)) = desk.snapshots.restored_before(tenant, &request.id).await?
                {
                    let same = fingerprint == request.fingerprint;
                    return if same {
                        Ok(made)
                    } else {
                        Err(Error::RequestReused(Resource::KnowledgeBase, request.id))
                    };
                }
                desk.restore_originals(tenant, file).await?
            }
        };
        let mut documents = documents(file, base.id, objects.clone())?;
        let allowance = desk.config.quotas.allowance();
        let restored = desk.snapshots.restore(tenant, &base, &request, &mut documents, &allowance).await;
        if !matches!(restored, Ok(Created::New(_))) {
            desk.discard_all(tenant, &objects).await;
        }
        match restored? {
            Created::New(made) | Created::Before(made) => Ok(made),
            Created::OverQuota(over) => Err(Error::OverQuota(over)),
            Created::Reused | Created::NoKnowledgeBase => {
                Err(Error::RequestReused(Resource::KnowledgeBase, request.id))
            }
        }
    }
}

impl Desk {
    /// Writes the originals of a checked file as objects, in the order of its documents; all or none.
    async fn restore_originals(
        &self,
        tenant: TenantId,
        file: File,
    ) -> Result<(File, Vec<StoredObject>), Error> {
        let again = file.try_clone().map_err(Error::Folder)?;
        let mut objects = Vec::new();
        match self.write_originals(tenant, file, &mut objects).await {
            Ok(()) => Ok((again, objects)),
            Err(error) => {
                self.discard_all(tenant, &objects).await;
                Err(error)
            }
        }
    }

    async fn write_originals(
        &self,
        tenant: TenantId,
        mut file: File,
        objects: &mut Vec<StoredObject>,
    ) -> Result<(), Error> {
        file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
        let (mut reader, _) = Reader::new(BufReader::new(file))?;
        loop {
            let read = tokio::task::spawn_blocking(move || reader.document().map(|found| (reader, found)));
            let (next, found) = read.await??;
            reader = next;
            let Some(document) = found else { return Ok(()) };
            if let Some(original) = document.original {
                objects.push(self.put_bytes(tenant, original.into(), document.content_hash, TODAY).await?);
            }
        }
    }

    async fn discard_all(&self, tenant: TenantId, objects: &[StoredObject]) {
        for object in objects {
            self.discard_object(tenant, object).await;
        }
    }
}

/// Values of a vector, at most.
const MOST_DIMENSIONS: u32 = 16_384;

/// A file that is good to its end.
struct Checked {
    file: File,
    header: SnapshotHeader,
    /// Of its documents' hashes.
    hash: String,
    /// Documents whose bytes are not their text.
    originals: u64,
}

/// Reads a file to its end, so that nothing is stored of one that is no good.
fn checked(mut file: File, largest: u64) -> Result<Checked, Error> {
    let again = file.try_clone().map_err(Error::Folder)?;
    file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
    let (mut reader, header) = Reader::new(BufReader::new(&file))?;
    if header.name.chars().count() > 200 || header.name.contains(char::is_control) {
        return Err(Fault::Record(1, "its name is no name").into());
    }
    if header.embedder.is_empty() != (header.dimensions == 0) {
        return Err(Fault::Record(1, "its dimensions are not those of its embedder").into());
    }
    if header.dimensions > MOST_DIMENSIONS {
        return Err(Fault::Record(1, "its dimensions are those of no embedder").into());
    }
    reader.bound(largest, header.dimensions);
    let (mut keys, mut at, mut originals, mut hash) = (HashSet::new(), 1, 0, blake3::Hasher::new());
    while let Some(document) = reader.document()? {
        at += 1;
        originals += u64::from(document.original.is_some());
        hash.update(document.content_hash.as_bytes());
        let chunks = document.passages.iter().flat_map(|passage| &passage.chunks);
        let widths = chunks.map(|chunk| chunk.vector.len()).filter(|width| *width > 0);
        if widths.into_iter().any(|width| width != header.dimensions as usize) {
            return Err(Fault::Record(at, "its vectors are not those of the embedder").into());
        }
        if !keys.insert(document.key) {
            return Err(Fault::Record(at, "its key comes twice").into());
        }
    }
    Ok(Checked { file: again, header, hash: hash.finalize().to_hex().to_string(), originals })
}

/// The documents of a checked file, with new ids and the objects of their originals.
fn documents(
    mut file: File,
    base: KnowledgeBaseId,
    objects: Vec<StoredObject>,
) -> Result<impl Iterator<Item = Result<WholeDocument, StoreError>> + Send, Error> {
    file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
    let (mut reader, _) = Reader::new(BufReader::new(file))?;
    let mut objects = objects.into_iter();
    Ok(std::iter::from_fn(move || match reader.document() {
        Ok(found) => found.map(|found| {
            let original = if found.original.is_some() { objects.next() } else { None };
            whole(found, original, base).ok_or_else(|| unreadable(&Fault::Hash))
        }),
        Err(fault) => Some(Err(unreadable(&fault))),
    }))
}
