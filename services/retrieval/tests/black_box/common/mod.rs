//! The service behind its stack, over every transport and database, with short ways to talk to it.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up must stop the test")]

pub mod files;
pub mod letters;
pub mod models;
pub mod site;
pub mod sources;
pub mod web;

use std::sync::Arc;

use bytes::Bytes;
use copydesk_proto::retrieval::v1::ingest_request::Part;
use copydesk_proto::retrieval::v1::{
    CreateKnowledgeBaseRequest, DocumentFormat, DocumentStart, GetDocumentRequest, IngestRequest,
    IngestStart, Ingestion, ListDocumentsRequest, SearchHit, SearchRequest, SearchResponse,
    WatchIngestionRequest, WatchIngestionResponse, ingestion_service_client::IngestionServiceClient,
    knowledge_service_client::KnowledgeServiceClient, search_service_client::SearchServiceClient,
};
use copydesk_proto::retrieval::v1::{Document, KnowledgeBase};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::MIGRATOR;
use copydesk_retrieval::embedders::Embedders;
use copydesk_retrieval::ports::{Embedder, Reranker};
use copydesk_retrieval::{Config, assemble_with};
use copydesk_rpc::{Channel, testing};
use copydesk_store::Database;
use copydesk_types::{Scopes, TenantId};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// One running service.
#[derive(Clone)]
pub struct Bench {
    pub name: &'static str,
    pub channel: Channel,
    pub database: Database,
}

/// A tenant that talks to a bench.
#[derive(Clone)]
pub struct Tenant {
    pub bench: Bench,
    pub id: TenantId,
}

/// The service in process and over loopback on SQLite, and in process on PostgreSQL when there is one.
pub async fn benches() -> Vec<Bench> {
    benches_with(Config::default(), None).await
}

pub async fn benches_with(config: Config, embedder: Option<Arc<dyn Embedder>>) -> Vec<Bench> {
    benches_of(config, Embedders::only(embedder), None).await
}

pub async fn benches_with_models(
    config: Config,
    embedder: Option<Arc<dyn Embedder>>,
    reranker: Option<Arc<dyn Reranker>>,
) -> Vec<Bench> {
    benches_of(config, Embedders::only(embedder), reranker).await
}

pub async fn benches_of(
    config: Config,
    embedders: Embedders,
    reranker: Option<Arc<dyn Reranker>>,
) -> Vec<Bench> {
    let make = |database: &Database| {
        let context = testing::context(&std::env::temp_dir());
        assemble_with(config.clone(), database.clone(), context, embedders.clone(), reranker.clone(), None)
    };
    let mut benches = Vec::new();
    for (name, database) in copydesk_store::testing::both(&MIGRATOR).await {
        let channel = testing::local(make(&database));
        benches.push(Bench { name, channel, database });
    }
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let channel = testing::remote(make(&database)).await;
    benches.push(Bench { name: "remote sqlite", channel, database });
    benches
}

impl Bench {
    pub fn tenant(&self, number: u128) -> Tenant {
        Tenant { bench: self.clone(), id: TenantId::from_u128(number) }
    }
}

/// A document to send.
#[derive(Clone)]
pub struct Doc {
    pub start: DocumentStart,
    pub parts: Vec<Bytes>,
}

pub fn doc(key: &str, kind: SourceKind, text: impl Into<Vec<u8>>) -> Doc {
    let start = DocumentStart {
        key: key.into(),
        title: String::new(),
        format: DocumentFormat::Markdown.into(),
        source_kind: kind.into(),
        ..DocumentStart::default()
    };
    let bytes = Bytes::from(text.into());
    let parts = (0..bytes.len()).step_by(1 << 19).map(|at| bytes.slice(at..bytes.len().min(at + (1 << 19))));
    Doc { start, parts: parts.collect() }
}

pub fn part(part: Part) -> IngestRequest {
    IngestRequest { part: Some(part) }
}

pub fn start(request_id: &str, knowledge_base_id: &str) -> IngestRequest {
    part(Part::Start(IngestStart {
        request_id: request_id.into(),
        knowledge_base_id: knowledge_base_id.into(),
    }))
}

pub fn parts(request_id: &str, knowledge_base_id: &str, docs: &[Doc]) -> Vec<IngestRequest> {
    let mut all = vec![start(request_id, knowledge_base_id)];
    for doc in docs {
        all.push(part(Part::Document(doc.start.clone())));
        all.extend(doc.parts.iter().map(|bytes| part(Part::Content(bytes.clone()))));
    }
    all
}

impl Tenant {
    pub fn knowledge(&self) -> KnowledgeServiceClient<Channel> {
        KnowledgeServiceClient::new(self.bench.channel.clone()).max_decoding_message_size(64 << 20)
    }

    pub fn ingestions(&self) -> IngestionServiceClient<Channel> {
        IngestionServiceClient::new(self.bench.channel.clone())
    }

    pub fn searches(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.bench.channel.clone())
    }

    /// Runs calls as this tenant.
    pub async fn run<F: Future>(&self, work: F) -> F::Output {
        testing::as_caller(self.id, Scopes::all(), work).await
    }

    pub async fn new_base(&self, name: &str) -> KnowledgeBase {
        let request = CreateKnowledgeBaseRequest {
            request_id: format!("make {name}"),
            name: name.into(),
            ..Default::default()
        };
        let made = self.run(self.knowledge().create_knowledge_base(request)).await.unwrap();
        made.into_inner().knowledge_base.unwrap()
    }

    /// A knowledge base with this embedder.
    pub async fn new_base_with(&self, name: &str, embedder: &str) -> Result<KnowledgeBase, Status> {
        let request = CreateKnowledgeBaseRequest {
            request_id: format!("make {name} with {embedder}"),
            name: name.into(),
            embedder: embedder.into(),
            ..Default::default()
        };
        let made = self.run(self.knowledge().create_knowledge_base(request)).await?;
        Ok(made.into_inner().knowledge_base.unwrap())
    }

    pub async fn base(&self, id: &str) -> KnowledgeBase {
        let request = copydesk_proto::retrieval::v1::GetKnowledgeBaseRequest { knowledge_base_id: id.into() };
        self.run(self.knowledge().get_knowledge_base(request))
            .await
            .unwrap()
            .into_inner()
            .knowledge_base
            .unwrap()
    }

    pub async fn send(&self, messages: Vec<IngestRequest>) -> Result<Ingestion, Status> {
        let mut client = self.ingestions();
        let answer = self.run(client.ingest(tokio_stream::iter(messages))).await?;
        Ok(answer.into_inner().ingestion.unwrap())
    }

    /// Uploads and waits for the end of the job.
    pub async fn ingest(&self, request_id: &str, base: &str, docs: &[Doc]) -> Ingestion {
        let ingestion = self.send(parts(request_id, base, docs)).await.unwrap();
        self.watched(&ingestion.ingestion_id).await.pop().unwrap()
    }

    /// Every state of an ingestion up to its last.
    pub async fn watched(&self, id: &str) -> Vec<Ingestion> {
        self.watch(id).await.into_iter().map(|change| change.ingestion.unwrap()).collect()
    }

    /// Everything that a watcher of an ingestion is told.
    pub async fn watch(&self, id: &str) -> Vec<WatchIngestionResponse> {
        self.watch_from(id, || {}).await
    }

    /// The same; `begun` is called when the watcher has been told the first thing.
    pub async fn watch_from(&self, id: &str, begun: impl FnOnce()) -> Vec<WatchIngestionResponse> {
        let request = WatchIngestionRequest { ingestion_id: id.into() };
        let mut client = self.ingestions();
        let mut stream = self.run(client.watch_ingestion(request)).await.unwrap().into_inner();
        let mut changes = Vec::from_iter(stream.message().await.unwrap());
        begun();
        while let Some(change) = stream.message().await.unwrap() {
            changes.push(change);
        }
        changes
    }

    pub async fn search_with(&self, request: SearchRequest) -> Result<SearchResponse, Status> {
        Ok(self.run(self.searches().search(request)).await?.into_inner())
    }

    pub async fn search(&self, base: &str, query: &str, top_k: u32) -> Vec<SearchHit> {
        self.search_with(request(&[base], query, top_k)).await.unwrap().hits
    }

    pub async fn documents(&self, base: &str) -> Vec<Document> {
        let request = ListDocumentsRequest {
            knowledge_base_id: base.into(),
            page_size: 500,
            ..ListDocumentsRequest::default()
        };
        self.run(self.knowledge().list_documents(request)).await.unwrap().into_inner().documents
    }

    pub async fn document(&self, id: &str) -> Result<Document, Status> {
        let request = GetDocumentRequest { document_id: id.into(), with_text: true, ..Default::default() };
        Ok(self.run(self.knowledge().get_document(request)).await?.into_inner().document.unwrap())
    }
}

pub fn request(bases: &[&str], query: &str, top_k: u32) -> SearchRequest {
    SearchRequest {
        knowledge_base_ids: bases.iter().map(|base| (*base).to_owned()).collect(),
        query: query.into(),
        top_k,
        ..SearchRequest::default()
    }
}

/// The code and the fields of a refusal.
pub fn refusal(status: &Status) -> (Code, Vec<String>) {
    let details = status.get_error_details();
    let fields =
        details.bad_request().map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect());
    (status.code(), fields.unwrap_or_default())
}

/// The titles of hits, in their order.
pub fn titles(hits: &[SearchHit]) -> Vec<String> {
    hits.iter().map(|hit| hit.passage.as_ref().unwrap().title.clone()).collect()
}

/// The passages of all tenants, in order of id.
pub async fn passage_ids(database: &Database) -> Vec<String> {
    let sql = "SELECT passage_id FROM passage ORDER BY passage_id";
    let found = database.query(sql, &[]).await.unwrap();
    found.iter().map(|row| row.get("passage_id").unwrap()).collect()
}

/// Rows of a table.
pub async fn rows(database: &Database, table: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {table}");
    database.query_opt(sql, &[]).await.unwrap().unwrap().get("n").unwrap()
}

/// Thirty documents of an invented company, each with a word of its own.
pub fn thirty() -> Vec<Doc> {
    let words = [
        "altimeter",
        "beehive",
        "cinnamon",
        "drawbridge",
        "eclipse",
        "falcon",
        "glacier",
        "harpsichord",
        "igloo",
        "jasmine",
        "kaleidoscope",
        "lighthouse",
        "mandolin",
        "nutmeg",
        "obelisk",
        "pomegranate",
        "quarry",
        "rhubarb",
        "sundial",
        "trampoline",
        "umbrella",
        "volcano",
        "walnut",
        "xylophone",
        "yacht",
        "zeppelin",
        "anvil",
        "bassoon",
        "chandelier",
        "dolphin",
    ];
    let kinds = [SourceKind::Document, SourceKind::Product, SourceKind::Issue, SourceKind::Post];
    let text = |word: &str, at: usize| {
        format!(
            "---\nauthor: nobody\n---\n# About the {word}\n\nThe cold van carries one {word} — number {at} — on \
             every tour.\n\n## Care\n\n- Keep the {word} below 4 °C.\n- Tell the driver when it warms up.\n\n\
             ## Prices\n\nA {word} costs {at} euros a month. The first month is free of charge.\n"
        )
    };
    let doc = |(at, word): (usize, &&str)| doc(&format!("docs/{word}.md"), kinds[at % 4], text(word, at));
    words.iter().enumerate().map(doc).collect()
}
