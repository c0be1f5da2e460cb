//! `KnowledgeService`.

use std::pin::Pin;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::knowledge_service_server::KnowledgeService;
use copydesk_rpc::{Caller, ServiceError, Violations, paging, produce};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::{Door, convert, filter, one, page, stages};
use crate::app::send;
use crate::domain::filter::Filter;
use crate::ports::DocumentFilter;

/// Pieces of an original that may wait to be read.
const UNREAD: usize = 2;

#[tonic::async_trait]
impl KnowledgeService for Door {
    async fn create_knowledge_base(
        &self,
        request: Request<pb::CreateKnowledgeBaseRequest>,
    ) -> Result<Response<pb::CreateKnowledgeBaseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        convert::request_id(&request.request_id, &mut violations);
        violations.length("name", &request.name, 1, 200);
        violations.check(
            !request.name.contains(char::is_control),
            "name",
            "must not contain control characters",
        );
        let kind = convert::knowledge_base_kind(request.kind);
        violations.check(kind.is_some(), "kind", "is not one of the listed values");
        violations.length("embedder", &request.embedder, 0, 400);
        let kind = super::read(kind, violations)?;
        let made = self.desk.create_knowledge_base(
            caller.tenant,
            request.request_id,
            request.name,
            kind,
            &request.embedder,
        );
        let made = made.await?;
        let knowledge_base = Some(convert::knowledge_base(made));
        Ok(Response::new(pb::CreateKnowledgeBaseResponse { knowledge_base }))
    }

    async fn get_knowledge_base(
        &self,
        request: Request<pb::GetKnowledgeBaseRequest>,
    ) -> Result<Response<pb::GetKnowledgeBaseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = one("knowledge_base_id", &request.into_inner().knowledge_base_id)?;
        let found = self.desk.knowledge_base(caller.tenant, id).await?;
        let knowledge_base = Some(convert::knowledge_base(found));
        Ok(Response::new(pb::GetKnowledgeBaseResponse { knowledge_base }))
    }

    async fn list_knowledge_bases(
        &self,
        request: Request<pb::ListKnowledgeBasesRequest>,
    ) -> Result<Response<pb::ListKnowledgeBasesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let filter = "ListKnowledgeBases";
        let (size, before) = page(caller.tenant, filter, request.page_size, &request.page_token)?;
        let (found, more) = self.desk.knowledge_bases(caller.tenant, before, size).await?;
        let last = found.last().filter(|_| more).map(|base| base.id.to_string());
        Ok(Response::new(pb::ListKnowledgeBasesResponse {
            knowledge_bases: found.into_iter().map(convert::knowledge_base).collect(),
            next_page_token: last.map(|id| paging::encode(caller.tenant, filter, &id)).unwrap_or_default(),
        }))
    }

    async fn delete_knowledge_base(
        &self,
        request: Request<pb::DeleteKnowledgeBaseRequest>,
    ) -> Result<Response<pb::DeleteKnowledgeBaseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = one("knowledge_base_id", &request.into_inner().knowledge_base_id)?;
        self.desk.delete_knowledge_base(caller.tenant, id).await?;
        Ok(Response::new(pb::DeleteKnowledgeBaseResponse {}))
    }

    async fn reembed_knowledge_base(
        &self,
        request: Request<pb::ReembedKnowledgeBaseRequest>,
    ) -> Result<Response<pb::ReembedKnowledgeBaseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        convert::request_id(&request.request_id, &mut violations);
        violations.length("embedder", &request.embedder, 0, 400);
        let id = violations.parse("knowledge_base_id", &request.knowledge_base_id);
        let id = super::read(id, violations)?;
        let base = self.desk.reembed(&caller, request.request_id, id, &request.embedder).await?;
        let reembedding = convert::knowledge_base(base).reembedding;
        Ok(Response::new(pb::ReembedKnowledgeBaseResponse { reembedding }))
    }

    async fn cancel_reembedding(
        &self,
        request: Request<pb::CancelReembeddingRequest>,
    ) -> Result<Response<pb::CancelReembeddingResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = one("knowledge_base_id", &request.into_inner().knowledge_base_id)?;
        self.desk.cancel_reembedding(caller.tenant, id).await?;
        Ok(Response::new(pb::CancelReembeddingResponse {}))
    }

    async fn list_embedders(
        &self,
        request: Request<pb::ListEmbeddersRequest>,
    ) -> Result<Response<pb::ListEmbeddersResponse>, Status> {
        Caller::of(&request)?;
        let default = self.desk.embedders.default().map(|entry| entry.name.as_str());
        let embedder = |entry: &crate::embedders::Entry| pb::Embedder {
            name: entry.name.clone(),
            embedder_id: entry.embedder.id().to_owned(),
            kind: entry.kind.to_owned(),
            dimensions: entry.embedder.dimensions() as u32,
            max_tokens: entry.embedder.max_tokens().unwrap_or_default() as u32,
            is_default: default == Some(entry.name.as_str()),
            weighs_tokens: entry.embedder.weighs_tokens(),
        };
        let embedders = self.desk.embedders.all().iter().map(embedder).collect();
        Ok(Response::new(pb::ListEmbeddersResponse { embedders }))
    }

    async fn get_document(
        &self,
        request: Request<pb::GetDocumentRequest>,
    ) -> Result<Response<pb::GetDocumentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = one("document_id", &request.document_id)?;
        let (found, text, pages) = match request.with_pages {
            true => self.desk.document_with_pages(caller.tenant, id, request.with_text).await?,
            false => {
                let (found, text) = self.desk.document(caller.tenant, id, request.with_text).await?;
                (found, text, Vec::new())
            }
        };
        let mut document = convert::document(found, text);
        document.pages = pages.into_iter().map(convert::page).collect();
        Ok(Response::new(pb::GetDocumentResponse { document: Some(document) }))
    }

    async fn list_documents(
        &self,
        request: Request<pb::ListDocumentsRequest>,
    ) -> Result<Response<pb::ListDocumentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let (only, filter, list) = document_filter(&request)?;
        let (size, before) = page(caller.tenant, &list, request.page_size, &request.page_token)?;
        let (found, more) = self.desk.documents(caller.tenant, only, filter.as_ref(), before, size).await?;
        let last = found.last().filter(|_| more).map(|document| document.id.to_string());
        Ok(Response::new(pb::ListDocumentsResponse {
            documents: found.into_iter().map(|document| convert::document(document, None)).collect(),
            next_page_token: last.map(|id| paging::encode(caller.tenant, &list, &id)).unwrap_or_default(),
        }))
    }

    async fn delete_document(
        &self,
        request: Request<pb::DeleteDocumentRequest>,
    ) -> Result<Response<pb::DeleteDocumentResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = one("document_id", &request.into_inner().document_id)?;
        self.desk.delete_document(caller.tenant, id).await?;
        Ok(Response::new(pb::DeleteDocumentResponse {}))
    }

    type DownloadOriginalStream =
        Pin<Box<dyn Stream<Item = Result<pb::DownloadOriginalResponse, Status>> + Send + 'static>>;

    async fn download_original(
        &self,
        request: Request<pb::DownloadOriginalRequest>,
    ) -> Result<Response<Self::DownloadOriginalStream>, Status> {
        let caller = Caller::of(&request)?;
        let id = one("document_id", &request.into_inner().document_id)?;
        let content = self.desk.original(caller.tenant, id).await?;
        let pieces = produce(UNREAD, move |sink| async move {
            // An error means that nobody listens any more.
            let _ = send(content, &sink).await;
            Ok(())
        });
        let messages = pieces
            .map(|piece| piece.map(|content| pb::DownloadOriginalResponse { content: content.to_vec() }));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn get_quota(
        &self,
        request: Request<pb::GetQuotaRequest>,
    ) -> Result<Response<pb::GetQuotaResponse>, Status> {
        let caller = Caller::of(&request)?;
        let usage = self.desk.usage(caller.tenant).await?;
        let quota = Some(stages::quota(usage, self.desk.config.quotas.allowance()));
        Ok(Response::new(pb::GetQuotaResponse { quota }))
    }
}

/// The filters of a list of documents, and the list's name with them, to which page tokens are bound.
fn document_filter(
    request: &pb::ListDocumentsRequest,
) -> Result<(DocumentFilter, Option<Filter>, String), ServiceError> {
    let mut violations = Violations::new();
    let id = violations.parse("knowledge_base_id", &request.knowledge_base_id);
    let (kind, content_type) = (request.source_kind, request.content_type);
    let source_kind = convert::filter("source_kind", kind, convert::source_kind, &mut violations);
    let content_type = convert::filter("content_type", content_type, convert::content_type, &mut violations);
    let filter = filter::filter("filter", request.filter.clone(), &mut violations);
    let knowledge_base = super::read(id, violations)?;
    let (kind, content) = (request.source_kind, request.content_type);
    let mut list = format!("ListDocuments {knowledge_base} {kind} {content}");
    if let Some(filter) = &filter {
        let says = blake3::hash(format!("{filter:?}").as_bytes());
        list.push_str(&format!(" {says}"));
    }
    Ok((DocumentFilter { knowledge_base, source_kind, content_type }, filter, list))
}
