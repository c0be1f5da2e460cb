//! What it costs to take documents in, without an embedder: documents and MB for each second, and for each second of
//! processor time of the whole service, from the first byte of an upload to the last document that can be found.
//!
//! ```sh
//! cargo bench -p copydesk-retrieval --bench ingest                  # the demo's documents, many times
//! cargo bench -p copydesk-retrieval --bench ingest -- FOLDER…       # every .md and .txt of folders
//! ```
//!
//! The service is the real one on a file of SQLite, and talks over loopback: reading the messages, parsing, cutting,
//! finding terms, writing rows and the journal of the file are all in its figure. `COPYDESK_BENCH_PYTHON`, an interpreter that has
//! `llama-index-core`, adds llama-index's SentenceSplitter on the same texts before and after: it cuts, and does nothing
//! else. Memory is told for 100,000 chunks.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench ends with what went wrong")]

mod peer;

use std::time::Instant;

use bytes::Bytes;
use copydesk_proto::retrieval::v1::ingest_request::Part;
use copydesk_proto::retrieval::v1::{
    CreateKnowledgeBaseRequest, DocumentFormat, DocumentStart, IngestRequest, IngestStart, Ingestion,
    SearchRequest, WatchIngestionRequest, ingestion_service_client::IngestionServiceClient,
    knowledge_service_client::KnowledgeServiceClient, search_service_client::SearchServiceClient,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::MIGRATOR;
use copydesk_retrieval::{Config, assemble};
use copydesk_rpc::{Channel, testing};
use copydesk_store::{Database, DatabaseConfig};
use copydesk_types::{Scopes, TenantId};

/// Documents of an upload.
const UPLOAD: usize = 200;
/// The demo's documents are taken until there are so many bytes.
const ENOUGH: usize = 12 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --all-targets` starts benches too, and must not wait for one.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing measured: run it with `cargo bench`");
        return;
    }
    let documents = unlike(peer::documents(&arguments));
    let bytes: usize = documents.iter().map(String::len).sum();
    println!("{} documents, {:.2} MB", documents.len(), bytes as f64 / 1e6);
    let before = peer::llama_index(&documents, 256, 50);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let own = runtime.block_on(measure(&documents, bytes as f64 / 1e6));
    let after = peer::llama_index(&documents, 256, 50);
    for peer in [before, after].into_iter().flatten() {
        println!(
            "llama-index, cutting alone: {peer:.2} MB a second of processor time; ours {:.2} of it",
            own / peer
        );
    }
}

/// Repeats what is too little, and gives every document a first line of its own: equal bytes would be no work.
fn unlike(documents: Vec<String>) -> Vec<String> {
    let bytes: usize = documents.iter().map(String::len).sum();
    let times = ENOUGH.div_ceil(bytes.max(1));
    let one = |(at, text): (usize, &String)| format!("Number {at}.\n\n{text}");
    documents.iter().cycle().take(documents.len() * times).enumerate().map(one).collect()
}

/// MB for each second of processor time.
async fn measure(documents: &[String], megabytes: f64) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let config = DatabaseConfig::file(folder.path().join("library.sqlite3"));
    let database = Database::open(&config, "retrieval", &MIGRATOR).await.unwrap();
    let service = assemble(config_of(), database, testing::context(folder.path()), None, None);
    let channel = testing::remote(service).await;
    testing::as_caller(TenantId::from_u128(1), Scopes::all(), ingest(channel, documents, megabytes)).await
}

/// No quota stands in the way.
fn config_of() -> Config {
    let mut config = Config::default();
    config.quotas.documents = u64::MAX >> 1;
    config.quotas.chunks = u64::MAX >> 1;
    config.quotas.bytes = u64::MAX >> 1;
    config
}

async fn ingest(channel: Channel, documents: &[String], megabytes: f64) -> f64 {
    let request = CreateKnowledgeBaseRequest {
        request_id: "base".into(),
        name: "bench".into(),
        ..CreateKnowledgeBaseRequest::default()
    };
    let mut knowledge = KnowledgeServiceClient::new(channel.clone());
    let made = knowledge.create_knowledge_base(request).await.unwrap().into_inner();
    let base = made.knowledge_base.unwrap().knowledge_base_id;
    let (start, used, held) = (Instant::now(), processor(), resident());
    let mut chunks = 0;
    for (at, upload) in documents.chunks(UPLOAD).enumerate() {
        let ended = send(&channel, &base, at, upload).await;
        assert_eq!(ended.documents_done as usize, upload.len(), "{:?}", ended.failures);
        chunks += ended.chunks_written;
    }
    let (wall, used) = (start.elapsed().as_secs_f64(), processor() - used);
    println!(
        "ingested in {wall:.1} s: {:.0} documents and {:.2} MB a second; {:.0} and {:.2} a second of processor time",
        documents.len() as f64 / wall,
        megabytes / wall,
        documents.len() as f64 / used,
        megabytes / used
    );
    let before = resident();
    let search = SearchRequest {
        knowledge_base_ids: vec![base],
        query: "a word".into(),
        top_k: 1,
        ..SearchRequest::default()
    };
    SearchServiceClient::new(channel).search(search).await.unwrap();
    println!(
        "{chunks} chunks; memory grew by {:.1} MB while ingesting, {:.1} MB with the index, {:.0} MB for 100,000 chunks",
        (before - held) / 1e6,
        (resident() - held) / 1e6,
        (resident() - before) / 1e6 / f64::from(chunks) * 1e5
    );
    megabytes / used
}

async fn send(channel: &Channel, base: &str, number: usize, documents: &[String]) -> Ingestion {
    let part = |part| IngestRequest { part: Some(part) };
    let mut messages = vec![part(Part::Start(IngestStart {
        request_id: format!("upload {number}"),
        knowledge_base_id: base.to_owned(),
    }))];
    for (at, text) in documents.iter().enumerate() {
        messages.push(part(Part::Document(DocumentStart {
            key: format!("{number}/{at}.md"),
            format: DocumentFormat::Markdown.into(),
            source_kind: SourceKind::Document.into(),
            ..DocumentStart::default()
        })));
        messages.push(part(Part::Content(Bytes::from(text.clone()))));
    }
    let mut client = IngestionServiceClient::new(channel.clone());
    let begun = client.ingest(tokio_stream::iter(messages)).await.unwrap().into_inner().ingestion.unwrap();
    let watch = WatchIngestionRequest { ingestion_id: begun.ingestion_id.clone() };
    let mut changes = client.watch_ingestion(watch).await.unwrap().into_inner();
    let mut last = begun;
    while let Some(change) = changes.message().await.unwrap() {
        last = change.ingestion.unwrap_or(last);
    }
    last
}

/// Seconds of processor time of this process so far.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Bytes of this process in memory.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or_default() * 4096.0
}
