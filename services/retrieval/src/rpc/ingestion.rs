//! `IngestionService`.

use std::pin::Pin;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::ingest_request::Part;
use copydesk_proto::retrieval::v1::ingestion_service_server::IngestionService;
use copydesk_rpc::{Caller, ServiceError, Violations, paging, produce};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Door, convert, source, stages};
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

    async fn ingest_source(
        &self,
        request: Request<Streaming<pb::IngestSourceRequest>>,
    ) -> Result<Response<pb::IngestSourceResponse>, Status> {
        let caller = Caller::of(&request)?;
        let _permit = self.desk.uploads.begin(caller.tenant)?;
        let mut parts = request.into_inner();
        let (start, export) = source::start(parts.message().await?, &self.desk.config)?;
        let content = source::content(&mut parts, export.is_some(), &self.desk.config).await?;
        let mut ingesting = self.desk.begin_ingest(&caller, start).await?;
        if let Some((spec, content_type)) = export {
            for document in source::documents(&content, &spec)? {
                ingesting.whole(&document, content_type).await?;
            }
        }
        let ingestion = Some(convert::ingestion(ingesting.finish().await?));
        Ok(Response::new(pb::IngestSourceResponse { ingestion }))
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
        let messages = changes.map(|change| change.map(stages::change));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn cancel_ingestion(
        &self,
        request: Request<pb::CancelIngestionRequest>,
    ) -> Result<Response<pb::CancelIngestionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = super::one("ingestion_id", &request.into_inner().ingestion_id)?;
        let ingestion = Some(convert::ingestion(self.desk.cancel_ingestion(caller.tenant, id).await?));
        Ok(Response::new(pb::CancelIngestionResponse { ingestion }))
    }

    async fn retry_ingestion(
        &self,
        request: Request<pb::RetryIngestionRequest>,
    ) -> Result<Response<pb::RetryIngestionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        convert::request_id(&request.request_id, &mut violations);
        let id = violations.parse("ingestion_id", &request.ingestion_id);
        let id = super::read(id, violations)?;
        let ingestion = self.desk.retry_ingestion(&caller, request.request_id, id).await?;
        Ok(Response::new(pb::RetryIngestionResponse { ingestion: Some(convert::ingestion(ingestion)) }))
    }

    async fn list_ingestions(
        &self,
        request: Request<pb::ListIngestionsRequest>,
    ) -> Result<Response<pb::ListIngestionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let (filter, list) = stages::ingestion_filter(&request)?;
        let (size, before) = super::page(caller.tenant, &list, request.page_size, &request.page_token)?;
        let (found, more) = self.desk.ingestions(caller.tenant, filter, before, size).await?;
        let last = found.last().filter(|_| more).map(|ingestion| ingestion.id.to_string());
        Ok(Response::new(pb::ListIngestionsResponse {
            ingestions: found.into_iter().map(convert::ingestion).collect(),
            next_page_token: last.map(|id| paging::encode(caller.tenant, &list, &id)).unwrap_or_default(),
        }))
    }

    async fn list_ingestion_documents(
        &self,
        request: Request<pb::ListIngestionDocumentsRequest>,
    ) -> Result<Response<pb::ListIngestionDocumentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let (id, stage, list) = stages::document_filter(&request)?;
        let (size, after) = super::page(caller.tenant, &list, request.page_size, &request.page_token)?;
        let from = after.map_or(0, |after: u32| after.saturating_add(1));
        let (found, more) = self.desk.ingestion_documents(caller.tenant, id, stage, from, size).await?;
        let last = found.last().filter(|_| more).map(|document| document.ordinal.to_string());
        Ok(Response::new(pb::ListIngestionDocumentsResponse {
            documents: found.into_iter().map(stages::document).collect(),
            next_page_token: last.map(|at| paging::encode(caller.tenant, &list, &at)).unwrap_or_default(),
        }))
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
    Ok(IngestStart { request_id, knowledge_base, source: None })
}

async fn take(ingesting: &mut Ingesting, part: Option<Part>) -> Result<(), Error> {
    match part {
        Some(Part::Document(start)) => ingesting.document(convert::header(start)).await,
        Some(Part::Content(bytes)) => ingesting.content(&bytes),
        Some(Part::Start(_)) => Err(ingesting.refuse("start", "must come once").into()),
        None => Err(ingesting.refuse("part", "must be set").into()),
    }
}
