//! Makes, lists, hands out, restores and deletes snapshots, and hands out originals.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use copydesk_proto::retrieval::v1::{
    SnapshotChunk, SnapshotDocument, SnapshotHeader, SnapshotPage, SnapshotPassage,
};
use copydesk_rpc::{ServiceError, StreamSink};
use copydesk_store::StoreError;
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, SnapshotId, TenantId};

use super::Desk;
use super::knowledge_bases::page;
use crate::domain::attributes::Attributes;
use crate::domain::reading::{Complexity, Page, Path};
use crate::domain::records::{Document, KnowledgeBase};
use crate::domain::snapshot::{Fault, Reader, Writer};
use crate::domain::source::{ContentType, Format, KnowledgeBaseKind, SourceKind};
use crate::error::{Error, Resource};
use crate::ports::{Created, NewChunk, NewPassage, RequestKey, Snapshot, StoredPage, WholeDocument};

/// Bytes of a stored part of a file.
const PART: usize = 1024 * 1024;
/// Bytes that are sent at once.
const PIECE: usize = 512 * 1024;

/// A file that is coming in to be restored. Dropped, it is gone.
pub struct Restoring {
    desk: Desk,
    tenant: TenantId,
    file: File,
    size: u64,
}

impl Desk {
    /// A document's bytes as they were uploaded.
    ///
    /// # Errors
    /// `NotFound`, `Damaged` when they do not have their hash any more.
    pub async fn original(&self, tenant: TenantId, id: DocumentId) -> Result<Bytes, Error> {
        let found = self.snapshots.original(tenant, id).await?;
        let (hash, content) = found.ok_or_else(|| Error::NotFound(Resource::Document, id.to_string()))?;
        let (content, same) = tokio::task::spawn_blocking(move || {
            let same = blake3::hash(&content).to_hex().as_str() == hash;
            (content, same)
        })
        .await?;
        if same { Ok(content) } else { Err(Error::Damaged(Resource::Document, id.to_string())) }
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
            let Some(whole) = self.snapshots.whole_document(tenant, document).await? else { continue };
            documents += 1;
            chunks += u64::from(whole.document.chunks);
            // Compressing a large document takes a while: beside the runtime's own threads.
            writer =
                tokio::task::spawn_blocking(move || writer.record(&record(whole)).map(|()| writer)).await??;
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
        self.snapshots.add_snapshot(tenant, &snapshot, &mut parts(file)?).await?;
        tracing::Span::current().record("copydesk.documents", documents);
        Ok(snapshot)
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
        if deleted { Ok(()) } else { Err(Error::NotFound(Resource::Snapshot, id.to_string())) }
    }

    /// A snapshot whose file has its hash: looked at before any of it is sent.
    ///
    /// # Errors
    /// `NotFound`, `Damaged`.
    pub async fn whole_snapshot(&self, tenant: TenantId, id: SnapshotId) -> Result<Snapshot, Error> {
        let found = self.snapshots.snapshot(tenant, id).await?;
        let snapshot = found.ok_or_else(|| Error::NotFound(Resource::Snapshot, id.to_string()))?;
        let (mut hash, mut left, mut ordinal) = (blake3::Hasher::new(), snapshot.size.saturating_sub(32), 0);
        while let Some(part) = self.snapshots.snapshot_part(tenant, id, ordinal).await? {
            let hashed = part.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            hash.update(&part[..hashed]);
            left -= hashed as u64;
            ordinal += 1;
        }
        if left == 0 && hash.finalize().to_hex().as_str() == snapshot.content_hash {
            return Ok(snapshot);
        }
        Err(Error::Damaged(Resource::Snapshot, id.to_string()))
    }

    /// Sends a snapshot's file.
    ///
    /// # Errors
    /// `NotFound` when it is deleted meanwhile.
    pub async fn send_snapshot(
        &self,
        tenant: TenantId,
        snapshot: Snapshot,
        sink: StreamSink<Bytes>,
    ) -> Result<(), ServiceError> {
        let (mut sent, mut ordinal) = (0, 0);
        while sent < snapshot.size {
            let part =
                self.snapshots.snapshot_part(tenant, snapshot.id, ordinal).await.map_err(Error::from)?;
            let gone = || Error::NotFound(Resource::Snapshot, snapshot.id.to_string());
            let part = Bytes::from(part.ok_or_else(gone)?);
            (sent, ordinal) = (sent + part.len() as u64, ordinal + 1);
            if send(part, &sink).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Begins a restore: of an uploaded file, unless a stored snapshot is named.
    ///
    /// # Errors
    /// `NotFound` for the snapshot, `Damaged` when its file is not what it was.
    pub async fn begin_restore(
        &self,
        tenant: TenantId,
        snapshot: Option<SnapshotId>,
    ) -> Result<Restoring, Error> {
        let file = tempfile::tempfile_in(&self.folder).map_err(Error::Folder)?;
        let mut restoring = Restoring { desk: self.clone(), tenant, file, size: 0 };
        if let Some(id) = snapshot {
            self.whole_snapshot(tenant, id).await?;
            let mut ordinal = 0;
            while let Some(part) = self.snapshots.snapshot_part(tenant, id, ordinal).await? {
                restoring.put(&part)?;
                ordinal += 1;
            }
        }
        Ok(restoring)
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

impl Restoring {
    /// The next bytes of the file. False, with nothing taken, when it becomes longer than is allowed.
    pub fn content(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        if self.size + bytes.len() as u64 > self.desk.config.limits.max_snapshot_bytes {
            return Ok(false);
        }
        self.put(bytes)?;
        Ok(true)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(Error::Folder)
    }

    /// Checks the file and makes a knowledge base of it.
    ///
    /// # Errors
    /// `Snapshot` when it is no good, `RequestReused`, `OverQuota`.
    #[tracing::instrument(name = "retrieval.restore_snapshot", skip_all)]
    pub async fn finish(self, request_id: String, name: String) -> Result<KnowledgeBase, Error> {
        let Self { desk, tenant, file, .. } = self;
        let (file, header, hash) = tokio::task::spawn_blocking(move || checked(file)).await??;
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
        let mut documents = documents(file, base.id)?;
        let allowance = desk.config.quotas.allowance();
        match desk.snapshots.restore(tenant, &base, &request, &mut documents, &allowance).await? {
            Created::New(made) | Created::Before(made) => Ok(made),
            Created::OverQuota(over) => Err(Error::OverQuota(over)),
            Created::Reused | Created::NoKnowledgeBase => {
                Err(Error::RequestReused(Resource::KnowledgeBase, request.id))
            }
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Snapshot(fault)
    }
}

/// The parts of a file, from its beginning.
fn parts(mut file: File) -> Result<impl Iterator<Item = Result<Vec<u8>, StoreError>> + Send, Error> {
    file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
    Ok(std::iter::from_fn(move || {
        let mut part = Vec::new();
        match Read::by_ref(&mut file).take(PART as u64).read_to_end(&mut part) {
            Ok(0) => None,
            Ok(_) => Some(Ok(part)),
            Err(error) => Some(Err(unreadable(&error))),
        }
    }))
}

fn unreadable(error: &dyn std::error::Error) -> StoreError {
    StoreError::Invalid { reason: format!("a file cannot be read: {error}"), source: None }
}

/// Reads a file to its end, so that nothing is stored of one that is no good. Its header and its hash.
fn checked(mut file: File) -> Result<(File, SnapshotHeader, String), Error> {
    let again = file.try_clone().map_err(Error::Folder)?;
    file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
    let (mut reader, header) = Reader::new(BufReader::new(&file))?;
    if header.name.chars().count() > 200 || header.name.contains(char::is_control) {
        return Err(Fault::Record(1, "its name is no name").into());
    }
    if header.embedder.is_empty() != (header.dimensions == 0) {
        return Err(Fault::Record(1, "its dimensions are not those of its embedder").into());
    }
    let (mut keys, mut at, mut hash) = (HashSet::new(), 1, blake3::Hasher::new());
    while let Some(document) = reader.document()? {
        at += 1;
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
    Ok((again, header, hash.finalize().to_hex().to_string()))
}

/// The documents of a checked file, with new ids.
fn documents(
    mut file: File,
    base: KnowledgeBaseId,
) -> Result<impl Iterator<Item = Result<WholeDocument, StoreError>> + Send, Error> {
    file.seek(SeekFrom::Start(0)).map_err(Error::Folder)?;
    let (mut reader, _) = Reader::new(BufReader::new(file))?;
    Ok(std::iter::from_fn(move || match reader.document() {
        Ok(found) => found.map(|found| whole(found, base).ok_or_else(|| unreadable(&Fault::Hash))),
        Err(fault) => Some(Err(unreadable(&fault))),
    }))
}

fn record(whole: WholeDocument) -> SnapshotDocument {
    let document = whole.document;
    SnapshotDocument {
        key: document.key,
        title: document.title,
        source_kind: document.source_kind.word().to_owned(),
        content_type: document.content_type.word().to_owned(),
        version: document.version,
        content_hash: document.content_hash,
        create_time_ms: document.create_time,
        update_time_ms: document.update_time,
        upload_time_ms: whole.upload_time,
        text: whole.text.into_bytes(),
        original: whole.original,
        attributes: document.attributes.json(),
        source_uri: document.source_uri,
        passages: whole.passages.into_iter().map(passage_record).collect(),
        format: document.format.map(|format| format.word().to_owned()).unwrap_or_default(),
        pages: whole.pages.into_iter().map(page_record).collect(),
    }
}

fn page_record(StoredPage { page, picture_hash }: StoredPage) -> SnapshotPage {
    SnapshotPage {
        number: page.number,
        start: page.span.start as u64,
        end: page.span.end as u64,
        complexity: page.complexity.word().to_owned(),
        path: page.path.word().to_owned(),
        reasons: page.reasons,
        picture_hash: picture_hash.unwrap_or_default(),
    }
}

fn passage_record(passage: NewPassage) -> SnapshotPassage {
    let chunk = |chunk: NewChunk| SnapshotChunk {
        start: chunk.span.start,
        end: chunk.span.end,
        tokens: chunk.tokens,
        vector: chunk.vector.unwrap_or_default(),
        text_hash: chunk.text_hash.map(|hash| hash.to_vec()).unwrap_or_default(),
    };
    SnapshotPassage {
        start: passage.span.start,
        end: passage.span.end,
        tokens: passage.tokens,
        chunks: passage.chunks.into_iter().map(chunk).collect(),
    }
}

/// A checked record as a document; `None` would mean that it was not checked.
fn whole(record: SnapshotDocument, base: KnowledgeBaseId) -> Option<WholeDocument> {
    let text = String::from_utf8(record.text).ok()?;
    let chunks: usize = record.passages.iter().map(|passage| passage.chunks.len()).sum();
    let document = Document {
        id: DocumentId::generate(),
        knowledge_base: base,
        key: record.key,
        title: record.title,
        source_kind: SourceKind::from_word(&record.source_kind)?,
        content_type: ContentType::from_word(&record.content_type)?,
        version: record.version,
        size: text.len() as u64,
        content_hash: record.content_hash,
        chunks: u32::try_from(chunks).ok()?,
        create_time: record.create_time_ms,
        update_time: record.update_time_ms,
        attributes: Attributes::from_json(&record.attributes).ok()?,
        source_uri: record.source_uri,
        format: Format::from_word(&record.format),
    };
    let (upload_time, original) = (record.upload_time_ms, record.original);
    let passages = record.passages.into_iter().map(passage).collect();
    let pages = record.pages.into_iter().map(stored_page).collect::<Option<_>>()?;
    Some(WholeDocument { document, upload_time, text, original, passages, pages })
}

fn stored_page(record: SnapshotPage) -> Option<StoredPage> {
    let page = Page {
        number: record.number,
        span: usize::try_from(record.start).ok()?..usize::try_from(record.end).ok()?,
        complexity: Complexity::from_word(&record.complexity)?,
        path: Path::from_word(&record.path)?,
        reasons: record.reasons,
    };
    let picture_hash = (!record.picture_hash.is_empty()).then_some(record.picture_hash);
    Some(StoredPage { page, picture_hash })
}

fn passage(record: SnapshotPassage) -> NewPassage {
    let chunk = |chunk: SnapshotChunk| NewChunk {
        span: chunk.start..chunk.end,
        tokens: chunk.tokens,
        vector: (!chunk.vector.is_empty()).then_some(chunk.vector),
        text_hash: chunk.text_hash.try_into().ok(),
    };
    NewPassage {
        id: PassageId::generate(),
        span: record.start..record.end,
        tokens: record.tokens,
        chunks: record.chunks.into_iter().map(chunk).collect(),
    }
}
