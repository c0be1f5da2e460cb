//! How long it takes until a knowledge base that is not in memory can be searched, from rows of a SQLite file.
//!
//! `cargo bench -p copydesk-retrieval --bench load [-- 200000]`
//!
//! The rows are those of a restored snapshot, so the first load finds the terms of every document in its text and writes
//! them, as it does once after an update of the program; the loads after it read them. Bring the file into the page cache
//! or not: the first load has just done so.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "the figures are its purpose")]

#[path = "search/corpus.rs"]
#[allow(dead_code, reason = "another bench uses the rest")]
mod corpus;

use std::sync::Arc;
use std::time::Instant;

use copydesk_retrieval::IndexConfig;
use copydesk_retrieval::adapters::{DatabaseStore, MIGRATOR, MemoryIndex};
use copydesk_retrieval::domain::attributes::Attributes;
use copydesk_retrieval::domain::lens::Lens;
use copydesk_retrieval::domain::records::{Document, KnowledgeBase};
use copydesk_retrieval::domain::source::{ContentType, KnowledgeBaseKind, SourceKind};
use copydesk_retrieval::domain::stages::Allowance;
use copydesk_retrieval::ports::{
    Corpus, Created, LexicalIndex, NewChunk, NewPassage, RequestKey, SnapshotStore, WholeDocument,
};
use copydesk_store::{Database, DatabaseConfig};
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, TenantId};
use corpus::{CHUNKS, Dice, TERMS, WIDTH};

const TENANT: TenantId = TenantId::from_u128(1);
/// Loads of a figure.
const LOADS: usize = 5;
/// No bound.
const MANY: u64 = u64::MAX >> 1;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --all-targets` starts benches too, and must not wait for one.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing measured: run it with `cargo bench`");
        return;
    }
    let wanted = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(wanted));
}

async fn measure(chunks: u32) {
    let folder = tempfile::tempdir().unwrap();
    let config = DatabaseConfig::file(folder.path().join("library.sqlite3"));
    let database = Database::open(&config, "retrieval", &MIGRATOR).await.unwrap();
    let store = Arc::new(DatabaseStore::new(database));
    let base = restored(&store, chunks / CHUNKS).await;
    let size: u64 =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("{chunks} chunks of {WIDTH} values, {} bytes a chunk on disk", size / u64::from(chunks));
    for at in 0..LOADS {
        let index = MemoryIndex::new(store.clone(), IndexConfig::default());
        let corpus = Corpus { tenant: TENANT, knowledge_bases: vec![(base.id, base.version)] };
        let (start, used) = (Instant::now(), processor());
        index.by_words(&corpus, &["nothing".to_owned()], &Lens::all(), 1).await.unwrap();
        let (wall, used) = (start.elapsed().as_secs_f64(), processor() - used);
        let what = if at == 0 { "finding the terms" } else { "loading" };
        println!("{what}: {wall:.2} s, {used:.2} s of processor, {} bytes held", index.held().1);
    }
}

async fn restored(store: &DatabaseStore, documents: u32) -> KnowledgeBase {
    let base = KnowledgeBase {
        id: KnowledgeBaseId::generate(),
        name: "bench".into(),
        documents: 0,
        chunks: 0,
        version: 1,
        create_time: 0,
        embedder: "bench/vectors".into(),
        dimensions: WIDTH as u32,
        kind: KnowledgeBaseKind::General,
        reembedding: None,
    };
    let request = RequestKey { id: "bench".into(), fingerprint: String::new() };
    let allowance = Allowance { documents: MANY, chunks: MANY, bytes: MANY, open_ingestions: MANY };
    let mut all = (0..documents).map(|number| Ok(document(&base, number)));
    match store.restore(TENANT, &base, &request, &mut all, &allowance).await.unwrap() {
        Created::New(made) => made,
        other => panic!("{other:?}"),
    }
}

/// A document of made-up words that are cut and stemmed like any.
fn document(base: &KnowledgeBase, number: u32) -> WholeDocument {
    let mut dice = Dice::new(u64::from(number) + 1);
    let (mut text, mut chunks) = (String::new(), Vec::new());
    for _ in 0..CHUNKS {
        let start = text.len() as u64;
        for _ in 0..TERMS {
            // Letters only: words with digits are not stemmed.
            text.extend(
                dice.word().bytes().map(|byte| char::from(if byte == b'w' { byte } else { byte + 49 })),
            );
            text.push(' ');
        }
        let (span, hash) = (start..text.len() as u64 - 1, u128::from(dice.roll()).to_le_bytes());
        chunks.push(NewChunk {
            span,
            tokens: 128,
            vector: Some(dice.vector()),
            weights: None,
            text_hash: Some(hash),
        });
    }
    let (span, size) = (0..text.len() as u64, text.len() as u64);
    WholeDocument {
        document: Document {
            id: DocumentId::generate(),
            knowledge_base: base.id,
            key: format!("docs/{number}.md"),
            title: format!("About number {number}"),
            source_kind: SourceKind::Document,
            content_type: ContentType::Blog,
            version: 1,
            size,
            content_hash: number.to_string(),
            chunks: CHUNKS,
            format: None,
            create_time: 0,
            update_time: 0,
            attributes: Attributes::default(),
            source_uri: String::new(),
        },
        upload_time: 0,
        text,
        original: None,
        passages: vec![NewPassage { id: PassageId::generate(), span, tokens: 512, chunks }],
        pages: Vec::new(),
    }
}

/// Seconds of processor time of this process so far.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
