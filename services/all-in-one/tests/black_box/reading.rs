//! Documents of every kind through the real program: pictures are read by a model behind the router, by a server that
//! speaks OpenAI's wire format over a real socket; hostile files cost a reader that the program starts of itself, and
//! are told by their reason.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test says what it expects")]
#[path = "../../../retrieval/tests/black_box/common/files.rs"]
mod files;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::support::*;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use copydesk_all_in_one::documents::SourceDocument;
use copydesk_proto::retrieval::v1::{
    Complexity, Document, DocumentFormat, GetDocumentRequest, GetIngestionRequest, Ingestion, IngestionState,
    ListDocumentsRequest, ParsePath, SearchHit, SearchRequest, WatchIngestionRequest,
};
use copydesk_retrieval::domain::reading::png::{self, Samples};
use copydesk_testkit::client::Client;
use copydesk_testkit::program::Program;
use files::Shown;
use serde_json::{Value, json};

/// What a page is told to be after its picture.
const PROMPT: &str = "<|grounding|>Convert the document to markdown.";

/// Answers as many calls as it has texts for, one after the other, and tells what was asked; then it is gone.
fn serve(texts: Vec<&'static str>) -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (asked, seen) = channel();
    std::thread::spawn(move || {
        let mut texts = texts.into_iter().peekable();
        while texts.peek().is_some() {
            let Ok((stream, _)) = listener.accept() else { return };
            answer(&stream, &asked, &mut texts);
        }
    });
    (format!("http://{address}/v1"), seen)
}

fn answer(
    stream: &TcpStream,
    asked: &Sender<(String, Value)>,
    texts: &mut impl Iterator<Item = &'static str>,
) -> Option<()> {
    let call = wire::asked(stream)?;
    asked.send((call.line, call.body)).ok()?;
    let message = json!({ "role": "assistant", "content": texts.next()? });
    let body = json!({
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 900, "completion_tokens": 40 },
    });
    wire::answer(stream, "application/json", &body.to_string())
}

async fn up(data: &Path, settings: &[String]) -> (Program, Client) {
    let more: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let program = Program::up(PROGRAM, data, &more).await.expect("the program starts");
    let client = program.client().expect("a client");
    (program, client)
}

/// A vision model as an operator configures DeepSeek-OCR behind vLLM.
fn vision(url: &str) -> Vec<String> {
    let model = "{name=\"deepseek-ai/DeepSeek-OCR\",capabilities=[\"chat\",\"images\"]}";
    let extra = "{skip_special_tokens=false,vllm_xargs={ngram_size=30,window_size=90,\
        whitelist_token_ids=[128821,128822]}}";
    vec![
        format!(
            "llm_router.providers=[{{name=\"vllm\",kind=\"openai\",base_url=\"{url}\",models=[{model}]}}]"
        ),
        format!("retrieval.ocr={{model=\"vllm/deepseek-ai/DeepSeek-OCR\",attempts=1,extra={extra}}}"),
    ]
}

fn source(key: &str, bytes: Vec<u8>) -> SourceDocument {
    SourceDocument { key: key.to_owned(), bytes }
}

/// A picture of grey squares.
fn picture(grey: u8) -> Vec<u8> {
    let samples = Samples { width: 8, height: 8, bits: 8, channels: 1, rows: &[grey; 64] };
    png::encode(&samples).expect("a picture")
}

/// Follows an ingestion to its end, whatever that is; every document is left to the server to recognise.
async fn ended(client: &Client, base: &str, documents: Vec<SourceDocument>) -> Ingestion {
    let mut parts = upload(base, &request_id(), documents);
    for part in &mut parts {
        if let Some(copydesk_proto::retrieval::v1::ingest_request::Part::Document(start)) = &mut part.part {
            start.format = DocumentFormat::Auto.into();
        }
    }
    let stored = client.ingestion().ingest(tokio_stream::iter(parts)).await.expect("stored").into_inner();
    let ingestion_id = stored.ingestion.expect("an ingestion").ingestion_id;
    let request = WatchIngestionRequest { ingestion_id: ingestion_id.clone() };
    let mut watch = client.ingestion().watch_ingestion(request).await.expect("a watch").into_inner();
    while slow(watch.message()).await.expect("a change").is_some() {}
    let request = GetIngestionRequest { ingestion_id };
    let found = client.ingestion().get_ingestion(request).await.expect("an ingestion").into_inner();
    found.ingestion.expect("an ingestion")
}

/// Reading the worst of documents takes its time in a build that is not optimised.
async fn slow<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(PATIENCE * 5, work).await.expect("in time")
}

async fn hits(client: &Client, base: &str, query: &str) -> Vec<SearchHit> {
    let search = SearchRequest {
        knowledge_base_ids: vec![base.to_owned()],
        query: query.to_owned(),
        ..SearchRequest::default()
    };
    within(client.search().search(search)).await.expect("an answer").into_inner().hits
}

async fn stored(client: &Client, base: &str, key: &str) -> Document {
    let request = ListDocumentsRequest {
        knowledge_base_id: base.to_owned(),
        page_size: 500,
        ..ListDocumentsRequest::default()
    };
    let listed = client.knowledge().list_documents(request).await.expect("documents").into_inner().documents;
    let document = listed.into_iter().find(|document| document.key == key).expect("the document");
    let request = GetDocumentRequest { document_id: document.document_id, with_text: true, with_pages: true };
    let found = client.knowledge().get_document(request).await.expect("a document").into_inner();
    found.document.expect("a document")
}

/// The picture in a call, and that everything else in it is as the model's makers ask for it.
fn shown(path: &str, call: &Value) -> Vec<u8> {
    assert_eq!(path, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!((&call["model"], &call["temperature"]), (&json!("deepseek-ai/DeepSeek-OCR"), &json!(0.0)));
    assert_eq!((&call["max_tokens"], &call["skip_special_tokens"]), (&json!(8192), &json!(false)));
    let arguments = json!({ "ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822] });
    assert_eq!(call["vllm_xargs"], arguments);
    let content = call["messages"][0]["content"].as_array().expect("parts");
    let [image, text] = content.as_slice() else { panic!("a picture and a text: {call}") };
    assert_eq!((&text["type"], &text["text"]), (&json!("text"), &json!(PROMPT)));
    let url = image["image_url"]["url"].as_str().expect("an address");
    BASE64_STANDARD.decode(url.strip_prefix("data:image/png;base64,").expect("a PNG")).expect("base64")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_and_scans_are_read_by_a_model_behind_the_router() {
    let (url, asked) = serve(vec![
        "# Delivery note\n\nA harpsichord was delivered cold.",
        "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n# Log of the lighthouse\n\n| Van | Price |\n|---|---|\n| Small | 10 |",
    ]);
    let folder = tempfile::tempdir().expect("folder");
    let (program, client) = up(folder.path(), &vision(&url)).await;
    let base = knowledge_base(&client, "scans").await;

    let done = ended(&client, &base, vec![source("note.png", picture(9))]).await;
    assert_eq!((done.state(), done.failures), (IngestionState::Succeeded, Vec::new()));
    let (path, call) = asked.try_recv().expect("one call");
    assert_eq!(shown(&path, &call), picture(9), "the picture as it was uploaded");
    let found = hits(&client, &base, "harpsichord").await;
    let passage = found[0].passage.as_ref().expect("a passage");
    assert!(passage.text.contains("A harpsichord was delivered cold."), "{passage:?}");

    // One page of text, one that is a picture; the program starts itself to take both out of the file.
    let text = [(50, 700, 12, "This page has a line of text that is long enough to be read as it is.")];
    let pdf = files::pdf(&[Shown::Lines(&text), Shown::Scan(20)], false);
    let done = ended(&client, &base, vec![source("log.pdf", pdf)]).await;
    assert_eq!((done.state(), done.failures), (IngestionState::Succeeded, Vec::new()));
    let (path, call) = asked.try_recv().expect("a second call");
    assert_eq!(shown(&path, &call), picture(20), "the page's picture");
    let document = stored(&client, &base, "log.pdf").await;
    let judged: Vec<_> = document.pages.iter().map(|page| (page.complexity(), page.path())).collect();
    assert_eq!(judged, [(Complexity::Low, ParsePath::Text), (Complexity::Extreme, ParsePath::Ocr)]);
    let span = document.pages[1].span.as_ref().expect("a span");
    let page = &document.text[span.start as usize..span.end as usize];
    assert_eq!(page, "# Log of the lighthouse\n\n| Van | Price |\n|---|---|\n| Small | 10 |");
    let found = hits(&client, &base, "lighthouse prices").await;
    let passage = found[0].passage.as_ref().expect("a passage");
    assert_eq!(
        (passage.document_id.as_str(), document.key.as_str()),
        (document.document_id.as_str(), "log.pdf")
    );

    // The same picture again, by itself, as a page, and in another knowledge base: nobody is asked.
    let scan = files::pdf(&[Shown::Scan(20)], false);
    let again = vec![source("again.png", picture(9)), source("scan.pdf", scan)];
    let done = ended(&client, &base, again).await;
    assert_eq!(done.failures, []);
    let other = knowledge_base(&client, "others").await;
    assert_eq!(ended(&client, &other, vec![source("note.png", picture(9))]).await.failures, []);
    assert_eq!(stored(&client, &other, "note.png").await.text, stored(&client, &base, "note.png").await.text);
    assert!(asked.try_recv().is_err(), "a picture is paid for once");

    // The model is gone: the picture is not read, and nobody makes its words up.
    let done = ended(&client, &base, vec![source("new.png", picture(77))]).await;
    assert_eq!((done.state(), done.failures.len()), (IngestionState::Failed, 1));
    let failure = &done.failures[0];
    assert_eq!((failure.key.as_str(), failure.reason.as_str()), ("new.png", "OCR_FAILED"));
    assert!(failure.message.starts_with("page 1: "), "{}", failure.message);
    let ended = program.terminate().expect("an end");
    assert!(
        !ended.stderr.contains("harpsichord") && !ended.stderr.contains("lighthouse"),
        "{}",
        ended.stderr
    );
}

/// Documents that no honest program makes, and the words with which each is refused.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let page = || Shown::Lines(&[(50, 700, 12, "canary")]);
    let blanks = vec![b' '; 600 << 20];
    let bomb = files::zip(&[("word/document.xml", &blanks)]);
    let deep = format!("canary {}", "[".repeat(3_000_000));
    let lock = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".iter().copied();
    let lock = lock.chain("EncryptedPackage canary".encode_utf16().flat_map(u16::to_le_bytes));
    let short = files::pdf(&[page()], false);
    vec![
        ("bomb.docx", bomb, "TOO_LARGE"),
        ("bomb.zip", files::zip(&[("a.txt", &blanks[..64 << 20])]), "UNSUPPORTED"),
        ("bomb.pdf", files::pdf_of_content(&blanks[..512 << 20]), "MEMORY"),
        ("locked.pdf", files::pdf(&[page()], true), "ENCRYPTED"),
        ("locked.docx", lock.collect(), "ENCRYPTED"),
        ("long.pdf", files::pdf(&(0..10_000).map(|_| page()).collect::<Vec<_>>(), false), "TOO_MANY_PAGES"),
        ("latin.txt", b"canary caf\xe9".to_vec(), "UNREADABLE"),
        ("empty.pdf", Vec::new(), "EMPTY"),
        ("blank.md", b" \n\t ".to_vec(), "EMPTY"),
        ("program.docx", b"\x7fELF\x02\x01 canary".to_vec(), "UNSUPPORTED"),
        ("half.pdf", short[..short.len() / 2].to_vec(), "UNREADABLE"),
        ("deep.pdf", format!("%PDF-1.5\n1 0 obj\n{deep}\nendobj\n").into_bytes(), "UNREADABLE"),
        ("scan.jpg", b"\xff\xd8\xff\xe0 canary".to_vec(), "NEEDS_OCR"),
    ]
}

/// Documents whose names lie, or that are as odd as a document may be, and what they are read as.
fn odd() -> Vec<(&'static str, Vec<u8>, DocumentFormat)> {
    let pdf = files::pdf(&[Shown::Lines(&[(50, 700, 12, "The albatross stayed cold on every day.")])], false);
    vec![
        ("picture.png", pdf, DocumentFormat::Pdf),
        ("words.pdf", b"The buzzard is a text.".to_vec(), DocumentFormat::Text),
        ("page.md", b"<!doctype html><p>The cormorant is a page.".to_vec(), DocumentFormat::Html),
        (
            "wide.csv",
            "\u{feff}Van;Bird\r\nSmall;dotterel\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            DocumentFormat::Csv,
        ),
        ("line.txt", format!("The egret. {}", "x".repeat(1 << 17)).into_bytes(), DocumentFormat::Text),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_files_are_told_by_their_reason_and_cost_their_reader_only() {
    let (hostile, odd) = (hostile(), odd());
    let folder = tempfile::tempdir().expect("folder");
    // Less than the settings give, so that the test needs no more memory than any machine has; but any time: this is
    // the slow build, and nothing here is about seconds.
    let limits = [("max_memory_bytes", 256 << 20), ("max_unpacked_bytes", 64 << 20), ("max_millis", 600_000)];
    let settings = limits.map(|(name, most)| format!("retrieval.parsing.{name}={most}"));
    let (program, client) = up(folder.path(), &settings).await;
    let base = knowledge_base(&client, "all").await;
    let documents = hostile.iter().map(|(key, bytes, _)| source(key, bytes.clone()));
    let documents = documents.chain(odd.iter().map(|(key, bytes, _)| source(key, bytes.clone())));
    let done = ended(&client, &base, documents.collect()).await;
    let told: Vec<(&str, &str)> =
        done.failures.iter().map(|failure| (failure.key.as_str(), failure.reason.as_str())).collect();
    let expected: Vec<(&str, &str)> = hostile.iter().map(|(key, _, reason)| (*key, *reason)).collect();
    assert_eq!(told, expected, "{:#?}", done.failures);
    assert!(done.failures.iter().all(|failure| !failure.message.is_empty()), "{:#?}", done.failures);
    for (key, _, format) in &odd {
        let document = stored(&client, &base, key).await;
        assert_eq!(document.format(), *format, "{key}");
        let notes = &document.pages[0].reasons;
        let lies = !matches!(*key, "wide.csv" | "line.txt" | "page.md");
        assert_eq!(notes.iter().any(|note| note.starts_with("named as ")), lies, "{key}: {notes:?}");
    }
    for bird in ["albatross", "buzzard", "cormorant", "dotterel", "egret"] {
        assert_eq!(hits(&client, &base, bird).await.len(), 1, "{bird}");
    }
    // A line of 50 MB is more than one document may have: it is refused before it is held.
    let line = upload(&base, &request_id(), vec![source("line.txt", vec![b'x'; 50 << 20])]);
    let refused = client.ingestion().ingest(tokio_stream::iter(line)).await.expect_err("too long");
    assert!(
        refused.message().contains("line.txt") || format!("{refused:?}").contains("line.txt"),
        "{refused:?}"
    );
    // Two uploads at most are held at once, and no reader's memory is the program's.
    let most = program.memory_kb("VmHWM").expect("a figure");
    assert!(most < 512 << 10, "{most} kB at most");
    let ended = program.terminate().expect("an end");
    assert!(!ended.stderr.contains("canary"), "what is in documents is in no log: {}", ended.stderr);
}
