//! A library that holds what a test puts into it. It asks for identity like the real one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use copydesk_proto::retrieval::v1::knowledge_service_server::{KnowledgeService, KnowledgeServiceServer};
use copydesk_proto::retrieval::v1::*;
use copydesk_proto::types::v1::{ContentType, SourceKind};
use copydesk_rpc::{Caller, Service};
use copydesk_types::{DocumentId, KnowledgeBaseId};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::TENANT;

/// Smaller than what is asked for, as a library may choose, so that its tokens are used.
const PAGE: usize = 2;

#[derive(Clone, Default)]
pub(crate) struct Library {
    documents: Arc<Mutex<Vec<Document>>>,
    texts_read: Arc<AtomicUsize>,
    broken: Arc<Mutex<Option<Status>>>,
}

impl Library {
    pub(crate) fn into_service(self) -> Service {
        let routes = Routes::new(KnowledgeServiceServer::new(self));
        let services = vec!["copydesk.retrieval.v1.KnowledgeService"];
        Service::new("retrieval", routes, services, copydesk_proto::FILE_DESCRIPTOR_SET)
    }

    pub(crate) fn base(n: u128) -> String {
        KnowledgeBaseId::from_u128(n).to_string()
    }

    /// Adds a document, newer than those before.
    pub(crate) fn add(&self, base: u128, kind: SourceKind, content_type: ContentType, text: &str) {
        let mut documents = self.documents.lock().expect("no test panicked with it");
        let n = documents.len() as u128 + 1;
        documents.push(Document {
            document_id: DocumentId::from_u128(n).to_string(),
            knowledge_base_id: Self::base(base),
            source_kind: kind.into(),
            content_type: content_type.into(),
            create_time: Some(prost_types::Timestamp { seconds: n as i64, nanos: 0 }),
            text: text.into(),
            ..Document::default()
        });
    }

    /// Every later call fails so.
    pub(crate) fn break_with(&self, status: Status) {
        *self.broken.lock().expect("no test panicked with it") = Some(status);
    }

    pub(crate) fn texts_read(&self) -> usize {
        self.texts_read.load(Ordering::SeqCst)
    }

    /// The documents of a knowledge base, newest first; a failure for strangers and when it is broken.
    fn of<T>(&self, request: &Request<T>, base: &str) -> Result<Vec<Document>, Status> {
        if let Some(status) = self.broken.lock().expect("no test panicked with it").clone() {
            return Err(status);
        }
        if Caller::of(request)?.tenant != TENANT {
            return Err(Status::not_found("no such knowledge base"));
        }
        let documents = self.documents.lock().expect("no test panicked with it");
        let own = documents.iter().rev().filter(|d| base.is_empty() || d.knowledge_base_id == base);
        Ok(own.cloned().collect())
    }
}

#[tonic::async_trait]
impl KnowledgeService for Library {
    async fn get_knowledge_base(
        &self,
        request: Request<GetKnowledgeBaseRequest>,
    ) -> Result<Response<GetKnowledgeBaseResponse>, Status> {
        let id = request.get_ref().knowledge_base_id.clone();
        let documents = self.of(&request, &id)?;
        if documents.is_empty() {
            return Err(Status::not_found("no such knowledge base"));
        }
        let version = documents.len() as u64;
        let base = KnowledgeBase { knowledge_base_id: id, version, ..KnowledgeBase::default() };
        Ok(Response::new(GetKnowledgeBaseResponse { knowledge_base: Some(base) }))
    }

    async fn list_documents(
        &self,
        request: Request<ListDocumentsRequest>,
    ) -> Result<Response<ListDocumentsResponse>, Status> {
        let asked = request.get_ref().clone();
        assert!((1..=500).contains(&asked.page_size));
        let begin: usize = asked.page_token.parse().unwrap_or(0);
        let fits = |d: &Document| d.source_kind == asked.source_kind && d.content_type == asked.content_type;
        let all: Vec<Document> =
            self.of(&request, &asked.knowledge_base_id)?.into_iter().filter(|d| fits(d)).collect();
        let end = (begin + PAGE).min(all.len());
        let page = all[begin..end].iter().map(|d| Document { text: String::new(), ..d.clone() });
        let next_page_token = if end < all.len() { end.to_string() } else { String::new() };
        Ok(Response::new(ListDocumentsResponse { documents: page.collect(), next_page_token }))
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let asked = request.get_ref().clone();
        assert!(asked.with_text);
        self.texts_read.fetch_add(1, Ordering::SeqCst);
        let found = self.of(&request, "")?.into_iter().find(|d| d.document_id == asked.document_id);
        let document = found.ok_or_else(|| Status::not_found("no such document"))?;
        if document.text == "vanished" {
            return Err(Status::not_found("no such document"));
        }
        Ok(Response::new(GetDocumentResponse { document: Some(document) }))
    }

    async fn create_knowledge_base(
        &self,
        _: Request<CreateKnowledgeBaseRequest>,
    ) -> Result<Response<CreateKnowledgeBaseResponse>, Status> {
        Err(Status::unimplemented("the archive never writes to the library"))
    }

    async fn list_knowledge_bases(
        &self,
        _: Request<ListKnowledgeBasesRequest>,
    ) -> Result<Response<ListKnowledgeBasesResponse>, Status> {
        Err(Status::unimplemented("the archive knows the ids"))
    }

    async fn delete_knowledge_base(
        &self,
        _: Request<DeleteKnowledgeBaseRequest>,
    ) -> Result<Response<DeleteKnowledgeBaseResponse>, Status> {
        Err(Status::unimplemented("the archive never writes to the library"))
    }

    async fn reembed_knowledge_base(
        &self,
        _: Request<ReembedKnowledgeBaseRequest>,
    ) -> Result<Response<ReembedKnowledgeBaseResponse>, Status> {
        Err(Status::unimplemented("the archive never writes to the library"))
    }

    async fn cancel_reembedding(
        &self,
        _: Request<CancelReembeddingRequest>,
    ) -> Result<Response<CancelReembeddingResponse>, Status> {
        Err(Status::unimplemented("the archive never writes to the library"))
    }

    async fn list_embedders(
        &self,
        _: Request<ListEmbeddersRequest>,
    ) -> Result<Response<ListEmbeddersResponse>, Status> {
        Err(Status::unimplemented("the archive compares no meanings"))
    }

    async fn get_quota(&self, _: Request<GetQuotaRequest>) -> Result<Response<GetQuotaResponse>, Status> {
        Err(Status::unimplemented("the archive stores nothing here"))
    }

    type DownloadOriginalStream = futures_util::stream::Empty<Result<DownloadOriginalResponse, Status>>;

    async fn download_original(
        &self,
        _: Request<DownloadOriginalRequest>,
    ) -> Result<Response<Self::DownloadOriginalStream>, Status> {
        Err(Status::unimplemented("the archive reads texts"))
    }

    async fn delete_document(
        &self,
        _: Request<DeleteDocumentRequest>,
    ) -> Result<Response<DeleteDocumentResponse>, Status> {
        Err(Status::unimplemented("the archive never writes to the library"))
    }
}
