//! `IngestionService`.

use std::pin::Pin;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::ingest_request::Part;
use copydesk_proto::retrieval::v1::ingestion_service_server::IngestionService;
use copydesk_rpc::{Caller, ServiceError, Violations, produce};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Door, convert};
use crate::app::{IngestStart, Ingesting};
use crate::error::Error;

/// Ingestions that may wait to be read: a slow watcher gets fewer, newer ones.
const UNREAD: usize = 1;

#[tonic::async_trait]
impl IngestionService for Door {
    async fn ingest(
        &self,
        request: Request<Streaming<pb::IngestRequest>>,
    ) -> Result<Response<pb::IngestResponse>, Status> {
        let caller = Caller::of(&request)?;
        // Held to the end of the call, and taken before anything is read.
        let _permit = self.desk.uploads.begin(caller.tenant)?;
        let mut parts = request.into_inner();
        let start = start(parts.message().await?)?;
        let mut ingesting = self.desk.begin_ingest(&caller, start).await?;
        while let Some(request) = parts.message().await? {
            take(&mut ingesting, request.part).await?;
        }
        let ingestion = Some(convert::ingestion(ingesting.finish().await?));
        Ok(Response::new(pb::IngestResponse { ingestion }))
    }

    async fn get_ingestion(
        &self,
        request: Request<pb::GetIngestionRequest>,
    ) -> Result<Response<pb::GetIngestionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let id = violations.parse("ingestion_id", &request.into_inner().ingestion_id);
        let id = super::read(id, violations)?;
        let ingestion = Some(convert::ingestion(self.desk.ingestion(caller.tenant, id).await?));
        Ok(Response::new(pb::GetIngestionResponse { ingestion }))
    }

    type WatchIngestionStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchIngestionResponse, Status>> + Send + 'static>>;

    async fn watch_ingestion(
        &self,
        request: Request<pb::WatchIngestionRequest>,
    ) -> Result<Response<Self::WatchIngestionStream>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let id = violations.parse("ingestion_id", &request.into_inner().ingestion_id);
        let id = super::read(id, violations)?;
        // What is absent is a fault of the call, not of its stream.
        self.desk.ingestion(caller.tenant, id).await?;
        let desk = self.desk.clone();
        let changes = produce(UNREAD, move |sink| async move { desk.watch(caller.tenant, id, sink).await });
        let messages = changes.map(|change| {
            change.map(|ingestion| pb::WatchIngestionResponse {
                ingestion: Some(convert::ingestion(ingestion)),
            })
        });
        Ok(Response::new(Box::pin(messages)))
    }
}

/// The first message of an upload.
fn start(first: Option<pb::IngestRequest>) -> Result<IngestStart, ServiceError> {
    let mut violations = Violations::new();
    let mut knowledge_base = None;
    let mut request_id = String::new();
    if let Some(Part::Start(start)) = first.and_then(|request| request.part) {
        convert::request_id(&start.request_id, &mut violations);
        knowledge_base = violations.parse("knowledge_base_id", &start.knowledge_base_id);
        request_id = start.request_id;
    } else {
        violations.push("start", "must be the first part of an upload");
    }
    let knowledge_base = super::read(knowledge_base, violations)?;
    Ok(IngestStart { request_id, knowledge_base })
}

async fn take(ingesting: &mut Ingesting, part: Option<Part>) -> Result<(), Error> {
    match part {
        Some(Part::Document(start)) => ingesting.document(convert::header(start)).await,
        Some(Part::Content(bytes)) => ingesting.content(&bytes),
        Some(Part::Start(_)) => Err(ingesting.refuse("start", "must come once").into()),
        None => Err(ingesting.refuse("part", "must be set").into()),
    }
}
