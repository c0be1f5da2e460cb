//! A peer of scripted handlers: a test says what a method does, the rest is the real thing.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::retrieval::v1 as retrieval;
use futures_util::Stream;
use llm::llm_service_server::{LlmService, LlmServiceServer};
use retrieval::ingestion_service_server::{IngestionService, IngestionServiceServer};
use retrieval::search_service_server::{SearchService, SearchServiceServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// A server stream of any making.
pub type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Handler<I, O> = Arc<dyn Fn(Request<I>) -> Answer<O> + Send + Sync>;

/// Handlers by method. A search finds nothing unless it is scripted; the others are UNIMPLEMENTED then.
#[derive(Clone)]
pub struct Script {
    search: Handler<retrieval::SearchRequest, retrieval::SearchResponse>,
    ingest: Handler<Streaming<retrieval::IngestRequest>, retrieval::IngestResponse>,
    watch: Handler<retrieval::WatchIngestionRequest, Items<retrieval::WatchIngestionResponse>>,
    generate: Handler<llm::GenerateRequest, llm::GenerateResponse>,
    stream: Handler<llm::StreamGenerateRequest, Items<llm::StreamGenerateResponse>>,
}

fn boxed<I, O, F, Fut>(handler: F) -> Handler<I, O>
where
    F: Fn(Request<I>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<O>, Status>> + Send + 'static,
{
    Arc::new(move |request| Box::pin(handler(request)))
}

fn unscripted<I: 'static, O: Send + 'static>() -> Handler<I, O> {
    boxed(|_| std::future::ready(Err(not_scripted())))
}

fn not_scripted() -> Status {
    Status::unimplemented("not scripted")
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident($field:ident): $request:ty => $answer:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name<F, Fut>(mut self, handler: F) -> Self
        where
            F: Fn(Request<$request>) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<Response<$answer>, Status>> + Send + 'static,
        {
            self.$field = boxed(handler);
            self
        }
    )*};
}

impl Script {
    pub fn new() -> Self {
        Self {
            search: boxed(|_| std::future::ready(Ok(Response::new(Default::default())))),
            ingest: unscripted(),
            watch: unscripted(),
            generate: unscripted(),
            stream: unscripted(),
        }
    }

    scripts! {
        /// Unary, class read, 10 s, at most 60 s.
        on_search(search): retrieval::SearchRequest => retrieval::SearchResponse;
        /// A client stream, class ingest.
        on_ingest(ingest): Streaming<retrieval::IngestRequest> => retrieval::IngestResponse;
        /// A watch, class read: no total.
        on_watch(watch): retrieval::WatchIngestionRequest => Items<retrieval::WatchIngestionResponse>;
        /// Unary, class generate.
        on_generate(generate): llm::GenerateRequest => llm::GenerateResponse;
        /// A server stream, class generate.
        on_stream(stream): llm::StreamGenerateRequest => Items<llm::StreamGenerateResponse>;
    }

    /// The handlers alone.
    pub fn routes(&self) -> Routes {
        Routes::new(SearchServiceServer::new(self.clone()))
            .add_service(IngestionServiceServer::new(self.clone()))
            .add_service(LlmServiceServer::new(self.clone()))
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
        Err(not_scripted())
    }

    async fn batch_search(
        &self,
        _: Request<retrieval::BatchSearchRequest>,
    ) -> Result<Response<retrieval::BatchSearchResponse>, Status> {
        Err(not_scripted())
    }

    async fn explain_search(
        &self,
        _: Request<retrieval::ExplainSearchRequest>,
    ) -> Result<Response<retrieval::ExplainSearchResponse>, Status> {
        Err(not_scripted())
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
        Err(not_scripted())
    }

    async fn get_ingestion(
        &self,
        _: Request<retrieval::GetIngestionRequest>,
    ) -> Result<Response<retrieval::GetIngestionResponse>, Status> {
        Err(not_scripted())
    }

    async fn cancel_ingestion(
        &self,
        _: Request<retrieval::CancelIngestionRequest>,
    ) -> Result<Response<retrieval::CancelIngestionResponse>, Status> {
        Err(not_scripted())
    }

    async fn retry_ingestion(
        &self,
        _: Request<retrieval::RetryIngestionRequest>,
    ) -> Result<Response<retrieval::RetryIngestionResponse>, Status> {
        Err(not_scripted())
    }

    async fn list_ingestions(
        &self,
        _: Request<retrieval::ListIngestionsRequest>,
    ) -> Result<Response<retrieval::ListIngestionsResponse>, Status> {
        Err(not_scripted())
    }

    async fn list_ingestion_documents(
        &self,
        _: Request<retrieval::ListIngestionDocumentsRequest>,
    ) -> Result<Response<retrieval::ListIngestionDocumentsResponse>, Status> {
        Err(not_scripted())
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
        request: Request<llm::GenerateRequest>,
    ) -> Result<Response<llm::GenerateResponse>, Status> {
        (self.generate)(request).await
    }

    async fn stream_generate(
        &self,
        request: Request<llm::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        (self.stream)(request).await
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
