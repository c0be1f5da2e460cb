//! Vectors by way of the llm-router: what is asked of it, and what its refusals do.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Bench, doc, request};
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::llm_router::v1::llm_service_server::{LlmService, LlmServiceServer};
use copydesk_proto::retrieval::v1::SearchMode;
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::MIGRATOR;
use copydesk_retrieval::{Chunks, Config, EmbedderConfig, EmbedderKind, Embedding, Peers, build};
use copydesk_rpc::{Kind, Service, ServiceError, testing};
use copydesk_store::{Database, DatabaseConfig};
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// A router that counts letters.
#[derive(Clone, Default)]
struct Router {
    asked: Arc<Mutex<Vec<llm::EmbedRequest>>>,
    /// What it refuses the next calls with, the last one first.
    refusals: Arc<Mutex<Vec<Status>>>,
}

type Events = Pin<Box<dyn Stream<Item = Result<llm::StreamGenerateResponse, Status>> + Send>>;

#[tonic::async_trait]
impl LlmService for Router {
    async fn generate(
        &self,
        _: Request<llm::GenerateRequest>,
    ) -> Result<Response<llm::GenerateResponse>, Status> {
        Err(Status::unimplemented("not asked of this router"))
    }

    type StreamGenerateStream = Events;

    async fn stream_generate(
        &self,
        _: Request<llm::StreamGenerateRequest>,
    ) -> Result<Response<Events>, Status> {
        Err(Status::unimplemented("not asked of this router"))
    }

    async fn embed(
        &self,
        request: Request<llm::EmbedRequest>,
    ) -> Result<Response<llm::EmbedResponse>, Status> {
        let request = request.into_inner();
        self.asked.lock().unwrap().push(request.clone());
        if let Some(refusal) = self.refusals.lock().unwrap().pop() {
            return Err(refusal);
        }
        let dimensions = request.dimensions.unwrap_or(3);
        let vector = |text: &String| {
            let mut values = vec![0.01; dimensions as usize];
            text.bytes().filter(u8::is_ascii_lowercase).for_each(|b| values[usize::from(b - b'a')] += 1.0);
            llm::Vector { values }
        };
        let vectors = request.inputs.iter().map(vector).collect();
        Ok(Response::new(llm::EmbedResponse { vectors, dimensions, ..Default::default() }))
    }

    async fn rerank(&self, _: Request<llm::RerankRequest>) -> Result<Response<llm::RerankResponse>, Status> {
        Err(Status::unimplemented("not asked of this router"))
    }

    async fn count_tokens(
        &self,
        _: Request<llm::CountTokensRequest>,
    ) -> Result<Response<llm::CountTokensResponse>, Status> {
        Err(Status::unimplemented("not asked of this router"))
    }
}

impl Router {
    fn refuse(&self, refusals: Vec<ServiceError>) {
        *self.refusals.lock().unwrap() = refusals.into_iter().map(Status::from).collect();
    }

    fn asked(&self) -> Vec<llm::EmbedRequest> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The library over this router, on a file of its own.
    async fn library(&self, folder: &tempfile::TempDir) -> Bench {
        let routes = Routes::new(LlmServiceServer::new(self.clone()));
        let service = Service::new(
            "llm-router",
            routes,
            vec!["copydesk.llm_router.v1.LlmService"],
            copydesk_proto::FILE_DESCRIPTOR_SET,
        );
        let embedder = EmbedderConfig {
            kind: EmbedderKind::Router,
            model: "openai/small".into(),
            dimensions: 26,
            batch: 2,
            query_prefix: Some("query: ".into()),
            ..EmbedderConfig::default()
        };
        let config = Config {
            embedders: BTreeMap::from([("small".to_owned(), embedder)]),
            embedding: Embedding { attempts: 2, ..Embedding::default() },
            chunks: Chunks { child: 16, parent_blog: 16, parent_social: 16, parent_ad: 16, overlap: 0 },
            ..Config::default()
        };
        let database = DatabaseConfig::file(folder.path().join("library.sqlite3"));
        let peers = Peers { llm_router: testing::local(service) };
        let service = build(config, &database, testing::context(folder.path()), peers).await.unwrap();
        let database = Database::open(&database, "retrieval", &MIGRATOR).await.unwrap();
        Bench { name: "sqlite", channel: testing::local(service), database }
    }
}

fn error(kind: Kind, reason: &str) -> ServiceError {
    ServiceError::new(kind, reason, "said by the router")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passages_and_queries_go_through_the_router() {
    let (router, folder) = (Router::default(), tempfile::tempdir().unwrap());
    let tenant = router.library(&folder).await.tenant(1);
    let base = tenant.new_base("company").await;
    assert!(base.embedder.starts_with("router/openai/small-") && base.dimensions == 26, "{}", base.embedder);
    let base = base.knowledge_base_id;
    let text = ["badger", "zebra", "okapi"]
        .map(|word| format!("{word} is what this one line of a dozen plain words tells of\n\n"))
        .concat();
    tenant.ingest("1", &base, &[doc("a", SourceKind::Post, text)]).await;
    let asked = router.asked();
    let sizes: Vec<usize> = asked.iter().map(|request| request.inputs.len()).collect();
    assert_eq!(sizes, [2, 1], "in batches");
    assert!(asked.iter().all(|request| request.model == "openai/small" && request.dimensions == Some(26)));
    assert!(asked.iter().all(|request| request.purpose() == llm::EmbedPurpose::Document));
    let answer = tenant.search_with(request(&[&base], "zebra", 5)).await.unwrap();
    assert_eq!((answer.mode(), answer.degraded), (SearchMode::Hybrid, false), "{}", answer.degraded_reason);
    tenant.search_with(request(&[&base], "zebra", 2)).await.unwrap();
    let asked = router.asked();
    assert_eq!(asked.len(), 1, "the query's vector is kept");
    assert_eq!((asked[0].purpose(), asked[0].inputs[0].as_str()), (llm::EmbedPurpose::Query, "query: zebra"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_router_refuses_costs_a_search_its_leg_and_an_upload_its_document() {
    let (router, folder) = (Router::default(), tempfile::tempdir().unwrap());
    let tenant = router.library(&folder).await.tenant(1);
    let base = tenant.new_base("company").await.knowledge_base_id;
    let wait = Duration::from_millis(100);
    let busy = || error(Kind::ResourceExhausted, "RATE_LIMITED").with_retry_after(wait);
    router.refuse(vec![busy()]);
    let ended = tenant.ingest("1", &base, &[doc("a", SourceKind::Post, "the badger")]).await;
    assert_eq!((ended.documents_done, router.asked().len()), (1, 2), "asked again after what passes");

    let gone = || error(Kind::Unavailable, "NO_PROVIDER");
    let cases = [
        (vec![gone(), gone()], "EMBEDDER_UNAVAILABLE", "NO_PROVIDER", 2),
        (vec![error(Kind::ResourceExhausted, "BUDGET_EXHAUSTED")], "EMBEDDER_BUDGET", "BUDGET_EXHAUSTED", 1),
        (vec![error(Kind::FailedPrecondition, "NO_CAPABLE_MODEL")], "EMBEDDER_FAILED", "NO_CAPABLE_MODEL", 1),
    ];
    for (refusals, word, theirs, calls) in cases {
        router.refuse(refusals);
        let ended = tenant.ingest(word, &base, &[doc("b", SourceKind::Post, format!("text {word}"))]).await;
        let failure = &ended.failures[0];
        assert_eq!((failure.reason.as_str(), router.asked().len()), (word, calls));
        assert!(failure.message.contains(theirs), "{}", failure.message);
        router.refuse(vec![error(Kind::Unavailable, theirs)]);
        let answer = tenant.search_with(request(&[&base], &format!("badger {word}"), 5)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded, answer.hits.len()), (SearchMode::Lexical, true, 1));
        assert!(answer.degraded_reason.contains(theirs), "{}", answer.degraded_reason);
        router.asked();
    }
}
