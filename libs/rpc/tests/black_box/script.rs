//! One service of scripted handlers: a test says what a method does, the rest is the real thing.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use copydesk_proto::learning::v1 as learning;
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::retrieval::v1 as retrieval;
use copydesk_rpc::Service;
use futures_util::Stream;
use learning::outcome_service_server::{OutcomeService, OutcomeServiceServer};
use llm::llm_service_server::{LlmService, LlmServiceServer};
use retrieval::ingestion_service_server::{IngestionService, IngestionServiceServer};
use retrieval::search_service_server::{SearchService, SearchServiceServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// The service's name, which is the audience of its tokens.
pub const NAME: &str = "scripted";
/// What it serves.
pub const GRPC_SERVICES: [&str; 4] = [
    "copydesk.retrieval.v1.SearchService",
    "copydesk.retrieval.v1.IngestionService",
    "copydesk.llm_router.v1.LlmService",
    "copydesk.learning.v1.OutcomeService",
];

/// A server stream of any making.
pub type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Handler<I, O> = Arc<dyn Fn(Request<I>) -> Answer<O> + Send + Sync>;

/// Handlers by method. A method that the test did not script is UNIMPLEMENTED, except a search, which finds nothing.
#[derive(Clone)]
pub struct Script {
    search: Handler<retrieval::SearchRequest, retrieval::SearchResponse>,
    ingest: Handler<Streaming<retrieval::IngestRequest>, retrieval::IngestResponse>,
    watch: Handler<retrieval::WatchIngestionRequest, Items<retrieval::WatchIngestionResponse>>,
    generate: Handler<llm::StreamGenerateRequest, Items<llm::StreamGenerateResponse>>,
    record: Handler<learning::RecordOutcomeRequest, learning::RecordOutcomeResponse>,
    descriptors: &'static [u8],
}

fn boxed<I, O, F, Fut>(handler: F) -> Handler<I, O>
where
    F: Fn(Request<I>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<O>, Status>> + Send + 'static,
{
    Arc::new(move |request| Box::pin(handler(request)))
}

fn unscripted<I: 'static, O: Send + 'static>() -> Handler<I, O> {
    boxed(|_| std::future::ready(Err(Status::unimplemented("not scripted"))))
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident($field:ident): $request:ty => $answer:ty;)*) => {
        $(
            $(#[$doc])*
            pub fn $name<F, Fut>(mut self, handler: F) -> Self
            where
                F: Fn(Request<$request>) -> Fut + Send + Sync + 'static,
                Fut: Future<Output = Result<Response<$answer>, Status>> + Send + 'static,
            {
                self.$field = boxed(handler);
                self
            }
        )*
    };
}

impl Script {
    pub fn new() -> Self {
        Self {
            search: boxed(|_| std::future::ready(Ok(Response::new(Default::default())))),
            ingest: unscripted(),
            watch: unscripted(),
            generate: unscripted(),
            record: unscripted(),
            descriptors: copydesk_proto::FILE_DESCRIPTOR_SET,
        }
    }

    scripts! {
        /// A unary method of 10 s, at most 60 s.
        on_search(search): retrieval::SearchRequest => retrieval::SearchResponse;
        /// A client stream.
        on_ingest(ingest): Streaming<retrieval::IngestRequest> => retrieval::IngestResponse;
        /// A watch: no total, 300 s idle.
        on_watch(watch): retrieval::WatchIngestionRequest => Items<retrieval::WatchIngestionResponse>;
        /// A server stream with a total.
        on_generate(generate): llm::StreamGenerateRequest => Items<llm::StreamGenerateResponse>;
        /// A method for the mesh only.
        on_record(record): learning::RecordOutcomeRequest => learning::RecordOutcomeResponse;
    }

    /// Other access rules than the contracts' own.
    pub fn with_descriptors(mut self, descriptors: Vec<u8>) -> Self {
        self.descriptors = descriptors.leak();
        self
    }

    /// The handlers alone.
    pub fn routes(&self) -> Routes {
        Routes::new(SearchServiceServer::new(self.clone()))
            .add_service(IngestionServiceServer::new(self.clone()))
            .add_service(LlmServiceServer::new(self.clone()))
            .add_service(OutcomeServiceServer::new(self.clone()))
    }

    /// The rules that the service is served with.
    pub fn descriptors(&self) -> &'static [u8] {
        self.descriptors
    }

    /// What a service crate would hand over.
    pub fn service(&self) -> Service {
        Service::new(NAME, self.routes(), GRPC_SERVICES.to_vec(), self.descriptors)
    }
}

#[tonic::async_trait]
impl SearchService for Script {
    async fn search(
        &self,
        request: Request<retrieval::SearchRequest>,
    ) -> Result<Response<retrieval::SearchResponse>, Status> {
        (self.search)(request).await
    }

    async fn get_passage(
        &self,
        _: Request<retrieval::GetPassageRequest>,
    ) -> Result<Response<retrieval::GetPassageResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn batch_search(
        &self,
        _: Request<retrieval::BatchSearchRequest>,
    ) -> Result<Response<retrieval::BatchSearchResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn explain_search(
        &self,
        _: Request<retrieval::ExplainSearchRequest>,
    ) -> Result<Response<retrieval::ExplainSearchResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}

#[tonic::async_trait]
impl IngestionService for Script {
    type WatchIngestionStream = Items<retrieval::WatchIngestionResponse>;

    async fn ingest(
        &self,
        request: Request<Streaming<retrieval::IngestRequest>>,
    ) -> Result<Response<retrieval::IngestResponse>, Status> {
        (self.ingest)(request).await
    }

    async fn ingest_source(
        &self,
        _: Request<Streaming<retrieval::IngestSourceRequest>>,
    ) -> Result<Response<retrieval::IngestSourceResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn get_ingestion(
        &self,
        _: Request<retrieval::GetIngestionRequest>,
    ) -> Result<Response<retrieval::GetIngestionResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn cancel_ingestion(
        &self,
        _: Request<retrieval::CancelIngestionRequest>,
    ) -> Result<Response<retrieval::CancelIngestionResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn retry_ingestion(
        &self,
        _: Request<retrieval::RetryIngestionRequest>,
    ) -> Result<Response<retrieval::RetryIngestionResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn list_ingestions(
        &self,
        _: Request<retrieval::ListIngestionsRequest>,
    ) -> Result<Response<retrieval::ListIngestionsResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn list_ingestion_documents(
        &self,
        _: Request<retrieval::ListIngestionDocumentsRequest>,
    ) -> Result<Response<retrieval::ListIngestionDocumentsResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn watch_ingestion(
        &self,
        request: Request<retrieval::WatchIngestionRequest>,
    ) -> Result<Response<Self::WatchIngestionStream>, Status> {
        (self.watch)(request).await
    }
}

#[tonic::async_trait]
impl LlmService for Script {
    type StreamGenerateStream = Items<llm::StreamGenerateResponse>;

    async fn generate(
        &self,
        _: Request<llm::GenerateRequest>,
    ) -> Result<Response<llm::GenerateResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn stream_generate(
        &self,
        request: Request<llm::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        (self.generate)(request).await
    }

    async fn embed(&self, _: Request<llm::EmbedRequest>) -> Result<Response<llm::EmbedResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn rerank(&self, _: Request<llm::RerankRequest>) -> Result<Response<llm::RerankResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn count_tokens(
        &self,
        _: Request<llm::CountTokensRequest>,
    ) -> Result<Response<llm::CountTokensResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}

#[tonic::async_trait]
impl OutcomeService for Script {
    async fn record_outcome(
        &self,
        request: Request<learning::RecordOutcomeRequest>,
    ) -> Result<Response<learning::RecordOutcomeResponse>, Status> {
        (self.record)(request).await
    }

    async fn get_outcome(
        &self,
        _: Request<learning::GetOutcomeRequest>,
    ) -> Result<Response<learning::GetOutcomeResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}
