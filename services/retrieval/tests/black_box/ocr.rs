//! Pages that are pictures, read by a vision model behind the router: asked page by page, kept, forgotten.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see helpers as tests")]

use crate::common::files;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use crate::common::{Bench, Doc, Tenant, doc, rows};
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::llm_router::v1::llm_service_server::{LlmService, LlmServiceServer};
use copydesk_proto::retrieval::v1::restore_snapshot_request::Part as RestorePart;
use copydesk_proto::retrieval::v1::snapshot_service_client::SnapshotServiceClient;
use copydesk_proto::retrieval::v1::{
    Complexity, CreateSnapshotRequest, DeleteDocumentRequest, DeleteKnowledgeBaseRequest, Document,
    DocumentFormat, GetDocumentRequest, ParsePath, RestoreSnapshotRequest, RestoreStart,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::{MIGRATOR, RouterOcr};
use copydesk_retrieval::embedders::Embedders;
use copydesk_retrieval::{Config, OcrConfig, Parsing, assemble_with};
use copydesk_rpc::{Service, testing};
use copydesk_store::Database;
use files::Shown;
use tonic::{Request, Response, Status};

/// A router whose one model answers as it is told and keeps what it was asked.
#[derive(Clone, Default)]
struct Model {
    asked: Arc<Mutex<Vec<llm::GenerateRequest>>>,
    answers: Arc<Mutex<Vec<Result<llm::GenerateResponse, Status>>>>,
}

impl Model {
    fn say(&self, text: &str) {
        let completion = Some(llm::Completion { model: "vllm/ocr".into(), ..Default::default() });
        let answer = llm::GenerateResponse { text: text.into(), completion, ..Default::default() };
        self.answers.lock().unwrap().push(Ok(answer));
    }

    fn calls(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

type Never<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl LlmService for Model {
    async fn generate(&self, request: Request<llm::GenerateRequest>) -> Never<llm::GenerateResponse> {
        self.asked.lock().unwrap().push(request.into_inner());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.is_empty() {
            Err(Status::unavailable("no answer is left"))
        } else {
            answers.remove(0)
        };
        answer.map(Response::new)
    }

    type StreamGenerateStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<llm::StreamGenerateResponse, Status>> + Send>>;

    async fn stream_generate(
        &self,
        _: Request<llm::StreamGenerateRequest>,
    ) -> Never<Self::StreamGenerateStream> {
        Err(Status::unimplemented("not asked"))
    }

    async fn embed(&self, _: Request<llm::EmbedRequest>) -> Never<llm::EmbedResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn rerank(&self, _: Request<llm::RerankRequest>) -> Never<llm::RerankResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn count_tokens(&self, _: Request<llm::CountTokensRequest>) -> Never<llm::CountTokensResponse> {
        Err(Status::unimplemented("not asked"))
    }
}

fn settings() -> OcrConfig {
    let text = r#"{"model": "vllm/ocr", "attempts": 1, "extra": {"skip_special_tokens": false,
        "vllm_xargs": {"ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822]}}}"#;
    serde_json::from_str(text).unwrap()
}

/// The service on every database, each with a model of its own; without settings there is no model.
async fn benches(ocr: Option<OcrConfig>) -> Vec<(Bench, Model)> {
    let databases = copydesk_store::testing::both(&MIGRATOR).await.into_iter();
    databases.map(|(name, database)| bench(name, database, ocr.clone())).collect()
}

fn bench(name: &'static str, database: Database, ocr: Option<OcrConfig>) -> (Bench, Model) {
    let program = Some(env!("CARGO_BIN_EXE_copydesk-parse-child").into());
    let config = Config { parsing: Parsing { program, ..Parsing::default() }, ocr, ..Config::default() };
    let model = Model::default();
    let routes = tonic::service::Routes::new(LlmServiceServer::new(model.clone()));
    let router = Service::new(
        "llm-router",
        routes,
        vec!["copydesk.llm_router.v1.LlmService"],
        copydesk_proto::FILE_DESCRIPTOR_SET,
    );
    let router = testing::local(router);
    let ocr = config.ocr.as_ref().map(|ocr| Arc::new(RouterOcr::new(router, ocr)) as _);
    let context = testing::context(&std::env::temp_dir());
    let service = assemble_with(config, database.clone(), context, Embedders::only(None), None, ocr);
    (Bench { name, channel: testing::local(service), database }, model)
}

fn auto(key: &str, bytes: Vec<u8>) -> Doc {
    let mut doc = doc(key, SourceKind::Document, bytes);
    doc.start.format = DocumentFormat::Auto.into();
    doc
}

fn scans() -> Vec<u8> {
    let text = [(50, 700, 12, "This page has a line of text that is long enough to be read as it is.")];
    files::pdf(&[Shown::Lines(&text), Shown::Scan(10), Shown::Scan(20)], false)
}

async fn with_pages(tenant: &Tenant, key: &str, base: &str) -> Document {
    let document = tenant.documents(base).await.into_iter().find(|document| document.key == key).unwrap();
    let request = GetDocumentRequest { document_id: document.document_id, with_text: true, with_pages: true };
    let answer = tenant.run(tenant.knowledge().get_document(request)).await.unwrap();
    answer.into_inner().document.unwrap()
}

fn page(document: &Document, number: usize) -> &str {
    let span = document.pages[number - 1].span.unwrap();
    &document.text[span.start as usize..span.end as usize]
}

#[tokio::test]
async fn scanned_pages_are_read_by_the_model_and_found() {
    // One page after the other, for the answers are given in the order of the calls.
    for (bench, model) in benches(Some(OcrConfig { at_once: 1, ..settings() })).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("scans").await.knowledge_base_id;
        model.say("<|ref|>title<|/ref|><|det|>[[1,2,3,4]]<|/det|>\n# Harpsichord prices\n\n| Van | Price |\n|---|---|\n| Small | 10 |");
        model.say("The second scan tells of a lighthouse.");
        let done = tenant.ingest("first", &base, &[auto("a.pdf", scans())]).await;
        assert_eq!(done.failures, [], "{}", bench.name);
        let document = with_pages(&tenant, "a.pdf", &base).await;
        assert_eq!(document.format(), DocumentFormat::Pdf);
        assert!(page(&document, 1).starts_with("This page") && page(&document, 3).ends_with("lighthouse."));
        assert_eq!(page(&document, 2), "# Harpsichord prices\n\n| Van | Price |\n|---|---|\n| Small | 10 |");
        let judged: Vec<_> = document.pages.iter().map(|page| (page.complexity(), page.path())).collect();
        let scan = (Complexity::Extreme, ParsePath::Ocr);
        assert_eq!(judged, [(Complexity::Low, ParsePath::Text), scan, scan]);
        assert_eq!(tenant.search(&base, "lighthouse", 3).await.len(), 1);
        let asked = model.asked.lock().unwrap()[0].clone();
        assert_eq!((asked.model.as_str(), asked.temperature), ("vllm/ocr", Some(0.0)));
        let [image, text] = asked.messages[0].parts.as_slice() else { panic!("{asked:?}") };
        let llm::part::Part::Image(image) = image.part.as_ref().unwrap() else {
            panic!("the picture is first")
        };
        assert_eq!(image.media_type, "image/png");
        assert!(
            matches!(text.part.as_ref().unwrap(), llm::part::Part::Text(text) if text.contains("markdown"))
        );
        let extra = asked.extra.unwrap();
        assert!(extra.fields.contains_key("vllm_xargs") && extra.fields.len() == 2);
    }
}

#[tokio::test]
async fn a_picture_is_paid_for_once_and_forgotten_with_its_last_document() {
    for (bench, model) in benches(Some(settings())).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("scans").await.knowledge_base_id;
        let scan = |grey| files::pdf(&[Shown::Scan(grey)], false);
        model.say("Words of the first scan.");
        assert_eq!(tenant.ingest("1", &base, &[auto("a.pdf", scan(1))]).await.failures, []);
        // The same picture in another document, and again in another tenant's.
        let two = files::pdf(&[Shown::Scan(1), Shown::Lines(&[(50, 700, 12, "more")])], false);
        assert_eq!(tenant.ingest("2", &base, &[auto("b.pdf", two)]).await.failures, []);
        assert_eq!(model.calls(), 1, "{}", bench.name);
        let stranger = bench.tenant(2);
        let other = stranger.new_base("scans").await.knowledge_base_id;
        model.say("Words for a stranger.");
        assert_eq!(stranger.ingest("1", &other, &[auto("a.pdf", scan(1))]).await.failures, []);
        assert_eq!((model.calls(), rows(&bench.database, "picture_text").await), (2, 2));
        let forget = |id: String| {
            let request = DeleteDocumentRequest { document_id: id };
            let mut client = tenant.knowledge();
            let tenant = tenant.clone();
            async move { tenant.run(client.delete_document(request)).await.unwrap() }
        };
        let ids: Vec<String> = tenant.documents(&base).await.into_iter().map(|d| d.document_id).collect();
        forget(ids[0].clone()).await;
        assert_eq!(rows(&bench.database, "picture_text").await, 2, "the other document shows it too");
        forget(ids[1].clone()).await;
        assert_eq!(rows(&bench.database, "picture_text").await, 1, "the stranger's stays");
        assert_eq!(rows(&bench.database, "document_page").await, 1);
    }
}

#[tokio::test]
async fn a_failed_page_fails_the_document_and_what_was_read_is_kept() {
    for (bench, model) in benches(Some(OcrConfig { at_once: 1, ..settings() })).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("scans").await.knowledge_base_id;
        model.say("The first scan.");
        let failed = tenant.ingest("1", &base, &[auto("a.pdf", scans())]).await;
        assert_eq!((failed.failures.len(), failed.failures[0].reason.as_str()), (1, "OCR_FAILED"));
        assert!(failed.failures[0].message.starts_with("page 3"), "{:?}", failed.failures);
        model.say("The second scan.");
        assert_eq!(tenant.ingest("2", &base, &[auto("a.pdf", scans())]).await.failures, []);
        let document = with_pages(&tenant, "a.pdf", &base).await;
        assert_eq!((page(&document, 2), page(&document, 3)), ("The first scan.", "The second scan."));
        // Another in the model's place has not seen the picture.
        let completion = Some(llm::Completion { degraded: true, ..Default::default() });
        let answer = llm::GenerateResponse { text: "made up".into(), completion, ..Default::default() };
        model.answers.lock().unwrap().push(Ok(answer));
        let failed = tenant.ingest("3", &base, &[auto("b.png", b"\x89PNG\r\n\x1a\n....".to_vec())]).await;
        assert_eq!(failed.failures[0].reason, "OCR_FAILED");
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_is_asked_again_and_no_other() {
    for (bench, model) in benches(Some(OcrConfig { attempts: 2, ..settings() })).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("scans").await.knowledge_base_id;
        model.answers.lock().unwrap().push(Err(Status::unavailable("busy")));
        model.say("The only scan.");
        // The same picture on both of its pages: it is read once.
        let twice = files::pdf(&[Shown::Scan(1), Shown::Scan(1)], false);
        assert_eq!(tenant.ingest("1", &base, &[auto("a.pdf", twice)]).await.failures, [], "{}", bench.name);
        assert_eq!(model.calls(), 2, "one failure and one answer");
        let document = with_pages(&tenant, "a.pdf", &base).await;
        assert_eq!((page(&document, 1), page(&document, 2)), ("The only scan.", "The only scan."));
        model.answers.lock().unwrap().push(Err(Status::invalid_argument("no pictures here")));
        let failed = tenant.ingest("2", &base, &[auto("b.pdf", files::pdf(&[Shown::Scan(2)], false))]).await;
        assert_eq!((failed.failures[0].reason.as_str(), model.calls()), ("OCR_FAILED", 3));
    }
}

#[tokio::test]
async fn what_no_stored_document_shows_goes_with_its_knowledge_base() {
    for (bench, model) in benches(Some(OcrConfig { at_once: 1, ..settings() })).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("scans").await.knowledge_base_id;
        let other = tenant.new_base("others").await.knowledge_base_id;
        // Its second scan is not read, so it is not stored; the text of its first is kept for another attempt.
        model.say("The first scan.");
        let failed = tenant.ingest("1", &base, &[auto("a.pdf", scans())]).await;
        assert_eq!(failed.failures.len(), 1, "{}", bench.name);
        model.say("A third scan.");
        let third = files::pdf(&[Shown::Scan(3)], false);
        assert_eq!(tenant.ingest("2", &base, &[auto("b.pdf", third.clone())]).await.failures, []);
        assert_eq!(tenant.ingest("3", &other, &[auto("b.pdf", third)]).await.failures, []);
        assert_eq!(rows(&bench.database, "picture_text").await, 2);
        for (id, left) in [(base, 1), (other, 0)] {
            let delete = DeleteKnowledgeBaseRequest { knowledge_base_id: id };
            tenant.run(tenant.knowledge().delete_knowledge_base(delete)).await.unwrap();
            assert_eq!(rows(&bench.database, "picture_text").await, left, "{}", bench.name);
        }
    }
}

#[tokio::test]
async fn a_snapshot_brings_back_formats_and_pages() {
    for (bench, model) in benches(Some(settings())).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("scans").await.knowledge_base_id;
        model.say("The first scan.");
        model.say("The second scan.");
        let docs = [auto("a.pdf", scans()), auto("a.csv", b"Van,Price\nzeppelin,1\n".to_vec())];
        assert_eq!(tenant.ingest("1", &base, &docs).await.failures, [], "{}", bench.name);
        let mut client = SnapshotServiceClient::new(bench.channel.clone());
        let made = client.create_snapshot(CreateSnapshotRequest { knowledge_base_id: base.clone() });
        let snapshot_id = tenant.run(made).await.unwrap().into_inner().snapshot.unwrap().snapshot_id;
        let start = RestoreStart { request_id: "2".into(), snapshot_id, ..Default::default() };
        let start = RestoreSnapshotRequest { part: Some(RestorePart::Start(start)) };
        let restored = client.restore_snapshot(tokio_stream::iter([start]));
        let restored = tenant.run(restored).await.unwrap().into_inner().knowledge_base.unwrap();
        for key in ["a.pdf", "a.csv"] {
            let before = with_pages(&tenant, key, &base).await;
            let after = with_pages(&tenant, key, &restored.knowledge_base_id).await;
            assert!(!before.pages.is_empty());
            assert_eq!(
                (&after.pages, after.format(), &after.text),
                (&before.pages, before.format(), &before.text)
            );
        }
        // The pictures are still shown: by the restored documents alone once the others are gone.
        let delete = DeleteKnowledgeBaseRequest { knowledge_base_id: base };
        tenant.run(tenant.knowledge().delete_knowledge_base(delete)).await.unwrap();
        assert_eq!(rows(&bench.database, "picture_text").await, 2);
    }
}

#[tokio::test]
async fn without_a_model_pictures_say_what_to_configure() {
    for (bench, model) in benches(None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("scans").await.knowledge_base_id;
        let only = files::pdf(&[Shown::Scan(3)], false);
        let docs =
            [auto("a.pdf", only), auto("b.pdf", scans()), auto("c.jpg", b"\xff\xd8\xff\xe0....".to_vec())];
        let done = tenant.ingest("1", &base, &docs).await;
        let failed: Vec<(&str, &str)> =
            done.failures.iter().map(|failure| (failure.key.as_str(), failure.reason.as_str())).collect();
        assert_eq!(failed, [("a.pdf", "NEEDS_OCR"), ("c.jpg", "NEEDS_OCR")], "{}", bench.name);
        assert!(done.failures[0].message.contains("retrieval.ocr.model"), "{:?}", done.failures);
        let document = with_pages(&tenant, "b.pdf", &base).await;
        assert_eq!((page(&document, 2), model.calls()), ("", 0));
        assert!(document.pages[1].reasons.iter().any(|reason| reason.contains("not read")));
    }
}

#[tokio::test]
async fn the_same_bytes_are_read_again_once_there_is_a_model_and_only_once() {
    for (before, _) in benches(None).await {
        let tenant = before.tenant(1);
        let base = tenant.new_base("scans").await.knowledge_base_id;
        let docs = [auto("a.pdf", scans())];
        assert_eq!(tenant.ingest("1", &base, &docs).await.failures, [], "{}", before.name);
        assert_eq!(
            tenant.ingest("2", &base, &docs).await.documents_unchanged,
            1,
            "nothing could read it better"
        );
        let (after, model) = bench(before.name, before.database.clone(), Some(settings()));
        let tenant = after.tenant(1);
        model.say("A harpsichord.");
        model.say("A lighthouse.");
        assert_eq!(tenant.ingest("3", &base, &docs).await.failures, [], "{}", before.name);
        assert_eq!(tenant.search(&base, "lighthouse", 3).await.len(), 1, "{}", before.name);
        let document = with_pages(&tenant, "a.pdf", &base).await;
        assert_eq!((document.version, model.calls()), (2, 2));
        assert_eq!(tenant.ingest("4", &base, &docs).await.documents_unchanged, 1);
        assert_eq!(model.calls(), 2, "what was read is not read again");
    }
}

#[tokio::test]
async fn documents_of_any_format_come_through_an_upload() {
    for (bench, _) in benches(None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("all").await.knowledge_base_id;
        let html = b"<html><title>Page</title><nav>menu</nav><h1>Pomegranate</h1><p>Words.".to_vec();
        let docs = [
            auto("page", html),
            auto("a.docx", files::docx(&files::paragraph("Heading1", "Trampoline"))),
            auto("a.csv", b"Van,Price\nzeppelin,1\n".to_vec()),
            auto("a.md", b"# Xylophone".to_vec()),
            auto("bomb.zip", files::zip(&[("a.txt", b"hi")])),
            auto("locked.pdf", files::pdf(&[Shown::Lines(&[])], true)),
        ];
        let done = tenant.ingest("1", &base, &docs).await;
        let failed: Vec<(&str, &str)> =
            done.failures.iter().map(|failure| (failure.key.as_str(), failure.reason.as_str())).collect();
        assert_eq!(failed, [("bomb.zip", "UNSUPPORTED"), ("locked.pdf", "ENCRYPTED")]);
        for (word, key, format) in [
            ("pomegranate", "page", DocumentFormat::Html),
            ("trampoline", "a.docx", DocumentFormat::Docx),
            ("zeppelin", "a.csv", DocumentFormat::Csv),
            ("xylophone", "a.md", DocumentFormat::Markdown),
        ] {
            assert_eq!(tenant.search(&base, word, 3).await.len(), 1, "{word}");
            assert_eq!(with_pages(&tenant, key, &base).await.format(), format);
        }
        assert_eq!(with_pages(&tenant, "page", &base).await.title, "Page");
    }
}
