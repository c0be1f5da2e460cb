//! `SnapshotService`.

use std::pin::Pin;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::restore_snapshot_request::Part;
use copydesk_proto::retrieval::v1::snapshot_service_server::SnapshotService;
use copydesk_rpc::{Caller, ServiceError, Violations, paging, produce};
use copydesk_types::SnapshotId;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Door, convert};
use crate::app::send_file;
use crate::ports::Snapshot;

/// Pieces that may wait to be read.
const UNREAD: usize = 2;
/// Longest part of an uploaded file.
const PART: usize = 1024 * 1024;

#[tonic::async_trait]
impl SnapshotService for Door {
    async fn create_snapshot(
        &self,
        request: Request<pb::CreateSnapshotRequest>,
    ) -> Result<Response<pb::CreateSnapshotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = super::one("knowledge_base_id", &request.into_inner().knowledge_base_id)?;
        let snapshot = Some(message(self.desk.create_snapshot(caller.tenant, id).await?));
        Ok(Response::new(pb::CreateSnapshotResponse { snapshot }))
    }

    async fn list_snapshots(
        &self,
        request: Request<pb::ListSnapshotsRequest>,
    ) -> Result<Response<pb::ListSnapshotsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let list = "ListSnapshots";
        let (size, before) = super::page(caller.tenant, list, request.page_size, &request.page_token)?;
        let (found, more) = self.desk.snapshots(caller.tenant, before, size).await?;
        let last = found.last().filter(|_| more).map(|snapshot| snapshot.id.to_string());
        Ok(Response::new(pb::ListSnapshotsResponse {
            snapshots: found.into_iter().map(message).collect(),
            next_page_token: last.map(|id| paging::encode(caller.tenant, list, &id)).unwrap_or_default(),
        }))
    }

    type DownloadSnapshotStream =
        Pin<Box<dyn Stream<Item = Result<pb::DownloadSnapshotResponse, Status>> + Send + 'static>>;

    async fn download_snapshot(
        &self,
        request: Request<pb::DownloadSnapshotRequest>,
    ) -> Result<Response<Self::DownloadSnapshotStream>, Status> {
        let caller = Caller::of(&request)?;
        let id = super::one("snapshot_id", &request.into_inner().snapshot_id)?;
        let file = self.desk.snapshot_file(caller.tenant, id).await?;
        let pieces = produce(UNREAD, move |sink| send_file(file, sink));
        let messages = pieces
            .map(|piece| piece.map(|content| pb::DownloadSnapshotResponse { content: content.to_vec() }));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn restore_snapshot(
        &self,
        request: Request<Streaming<pb::RestoreSnapshotRequest>>,
    ) -> Result<Response<pb::RestoreSnapshotResponse>, Status> {
        let caller = Caller::of(&request)?;
        // Held to the end of the call, and taken before anything is read.
        let _permit = self.desk.uploads.begin(caller.tenant)?;
        let mut parts = request.into_inner();
        let (request_id, name, stored) = start(parts.message().await?)?;
        let mut restoring = self.desk.begin_restore(caller.tenant, stored).await?;
        while let Some(request) = parts.message().await? {
            let mut violations = Violations::new();
            match request.part {
                Some(Part::Content(bytes)) if stored.is_none() && bytes.len() <= PART => {
                    let taken = restoring.content(&bytes)?;
                    violations.check(taken, "content", "is longer than a snapshot may be");
                }
                Some(Part::Content(bytes)) if bytes.len() > PART => {
                    violations
                        .push("content", format!("a part of {} bytes; the limit is {PART}", bytes.len()));
                }
                Some(Part::Content(_)) => violations.push("content", "comes although a snapshot is named"),
                Some(Part::Start(_)) => violations.push("start", "must come once"),
                None => violations.push("part", "must be set"),
            }
            violations.finish()?;
        }
        let made = restoring.finish(request_id, name).await?;
        let knowledge_base = Some(convert::knowledge_base(made));
        Ok(Response::new(pb::RestoreSnapshotResponse { knowledge_base }))
    }

    async fn delete_snapshot(
        &self,
        request: Request<pb::DeleteSnapshotRequest>,
    ) -> Result<Response<pb::DeleteSnapshotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = super::one("snapshot_id", &request.into_inner().snapshot_id)?;
        self.desk.delete_snapshot(caller.tenant, id).await?;
        Ok(Response::new(pb::DeleteSnapshotResponse {}))
    }
}

/// The first message of a restore: request id, name, stored snapshot.
fn start(
    first: Option<pb::RestoreSnapshotRequest>,
) -> Result<(String, String, Option<SnapshotId>), ServiceError> {
    let mut violations = Violations::new();
    let Some(Part::Start(start)) = first.and_then(|request| request.part) else {
        violations.push("start", "must be the first part of a restore");
        violations.finish()?;
        return Ok(Default::default());
    };
    convert::request_id(&start.request_id, &mut violations);
    violations.length("name", &start.name, 0, 200);
    violations.check(!start.name.contains(char::is_control), "name", "must not contain control characters");
    let stored = match start.snapshot_id.as_str() {
        "" => None,
        id => violations.parse("snapshot_id", id),
    };
    violations.finish()?;
    Ok((start.request_id, start.name, stored))
}

fn message(snapshot: Snapshot) -> pb::Snapshot {
    pb::Snapshot {
        snapshot_id: snapshot.id.to_string(),
        knowledge_base_id: snapshot.knowledge_base.to_string(),
        name: snapshot.name,
        document_count: snapshot.documents,
        chunk_count: snapshot.chunks,
        size_bytes: snapshot.size,
        content_hash: snapshot.content_hash,
        create_time: Some(convert::timestamp(snapshot.create_time)),
    }
}
