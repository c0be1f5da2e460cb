//! kill -9 in the middle of ingestion, with a real child process: this very program, started again as the library.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{Bench, Doc, Tenant, doc, parts};
use copydesk_proto::retrieval::v1::{IngestionState, RetryIngestionRequest};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::MIGRATOR;
use copydesk_retrieval::ports::{EmbedError, Embedded, Embedder, Purpose};
use copydesk_retrieval::{Config, assemble};
use copydesk_rpc::testing;
use copydesk_store::{Database, DatabaseConfig};

const FOLDER: &str = "COPYDESK_TEST_CRASH_FOLDER";
const ROUND: &str = "COPYDESK_TEST_CRASH_ROUND";
/// Kills.
const ROUNDS: usize = 30;
/// Documents that are new in each round; one more is the same document with new text.
const NEW: usize = 7;
const PATIENCE: Duration = Duration::from_secs(120);

/// What is uploaded in a round. Each text begins with a mark of its own.
fn docs(round: usize) -> Vec<Doc> {
    let text = |mark: &str, words: usize| {
        let body = "The cold van carries what the shop has asked for. ".repeat(words);
        format!("mark {mark} ends\n\n{body}\n\n# Second part of {mark}\n\n{body}\n")
    };
    let mut docs: Vec<Doc> = (0..NEW)
        .map(|n| {
            let mark = format!("r{round}d{n}");
            doc(&format!("{round}/{n}"), SourceKind::Post, text(&mark, 5 + n * 12))
        })
        .collect();
    docs.insert(round % NEW, doc("shared", SourceKind::Post, text(&format!("r{round}shared"), 20)));
    docs
}

fn mark(text: &str) -> Option<String> {
    Some(text.strip_prefix("mark ")?.split(' ').next()?.to_owned())
}

/// Writes down whose first chunk it was given.
struct NotingEmbedder(Mutex<File>);

#[async_trait::async_trait]
impl Embedder for NotingEmbedder {
    fn id(&self) -> &str {
        "test/noting"
    }

    fn dimensions(&self) -> usize {
        2
    }

    async fn embed(&self, texts: Vec<String>, _: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        // Before the chunk stands the title, which is the document's heading.
        for mark in texts.iter().filter_map(|text| text.split("\n\n").find_map(mark)) {
            writeln!(self.0.lock().unwrap(), "{mark}").unwrap();
        }
        Ok(vec![vec![1.0, 2.0].into(); texts.len()])
    }
}

pub fn noting(folder: &Path, file: &str) -> File {
    OpenOptions::new().create(true).append(true).open(folder.join(file)).unwrap()
}

pub fn lines(folder: &Path, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub async fn open(folder: &Path) -> Database {
    let config = DatabaseConfig::file(folder.join("library.sqlite3"));
    Database::open(&config, "test", &MIGRATOR).await.unwrap()
}

/// The library in a folder, and its tenant.
async fn tenant(folder: &Path) -> Tenant {
    let database = open(folder).await;
    let embedder: Arc<dyn Embedder> = Arc::new(NotingEmbedder(Mutex::new(noting(folder, "embedded"))));
    let service =
        assemble(Config::default(), database.clone(), testing::context(folder), Some(embedder), None);
    Bench { name: "child", channel: testing::local(service), database }.tenant(1)
}

/// Sends the uploads of all rounds up to this one, those that were sent before too, and sees them through.
async fn serve(folder: &Path, rounds: usize) {
    let (tenant, mut said) = (tenant(folder).await, noting(folder, "said"));
    let base = tenant.new_base("x").await.knowledge_base_id;
    let mut ids = Vec::new();
    for round in 0..=rounds {
        writeln!(said, "begins {round}").unwrap();
        let stored = tenant.send(parts(&format!("round {round}"), &base, &docs(round))).await.unwrap();
        writeln!(said, "stored {}", stored.ingestion_id).unwrap();
        ids.push(stored.ingestion_id);
    }
    for id in ids {
        if tenant.watched(&id).await.pop().unwrap().state() == IngestionState::Failed {
            // Poisoned by this test's own kills: whoever ends the process three times has to say that it was not that.
            let again = RetryIngestionRequest {
                request_id: format!("again {rounds} {id}"),
                ingestion_id: id.clone(),
            };
            tenant.run(tenant.ingestions().retry_ingestion(again)).await.unwrap();
            tenant.watched(&id).await;
        }
    }
    tenant.bench.database.close().await;
    writeln!(said, "ended").unwrap();
}

#[test]
#[ignore = "is the child of the other test"]
fn child() {
    let (folder, rounds) = told();
    tokio::runtime::Runtime::new().unwrap().block_on(serve(&folder, rounds));
}

/// What a child is told: its folder and how many rounds it sees through.
pub fn told() -> (PathBuf, usize) {
    (PathBuf::from(std::env::var(FOLDER).unwrap()), std::env::var(ROUND).unwrap().parse().unwrap())
}

/// A child that is never left behind.
pub struct Library(Child);

impl Library {
    /// Starts this program again as a child that is one of its ignored tests.
    pub fn start(child: &str, folder: &Path, round: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([child, "--exact", "--ignored"]).env(FOLDER, folder).env(ROUND, round.to_string());
        command.stdin(Stdio::null()).stdout(noting(folder, "output")).stderr(noting(folder, "output"));
        Self(command.spawn().unwrap())
    }

    /// Waits until something is so, or the child has ended.
    pub fn until(&mut self, so: impl Fn() -> bool) {
        let began = Instant::now();
        while !so() && self.0.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "the child neither went on nor ended");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// True when it was killed, false when it had ended before.
    pub fn kill9(mut self) -> bool {
        let alive = self.0.try_wait().unwrap().is_none();
        let _ = self.0.kill();
        self.0.wait().unwrap();
        alive
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Numbers that look random and are the same every time.
pub fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Starts the child and kills it at a moment of its work that the seed chooses. Whether it was still at work.
fn interrupted(folder: &Path, round: usize, seed: &mut u64) -> bool {
    let (embedded, said) = (lines(folder, "embedded").len(), lines(folder, "said").len());
    let mut library = Library::start("kills::child", folder, round);
    let begins = format!("begins {round}");
    if next(seed).is_multiple_of(5) {
        library.until(|| lines(folder, "said")[said..].contains(&begins));
    } else {
        let work = next(seed) as usize % NEW;
        library.until(|| lines(folder, "embedded").len() > embedded + work);
    }
    let pause = Duration::from_micros(next(seed) % 8_000);
    let began = Instant::now();
    while began.elapsed() < pause {
        std::hint::spin_loop();
    }
    library.kill9()
}

/// What is visible, by key: the mark of its text and its chunks. Fails when anything of it is half there.
async fn visible(folder: &Path) -> BTreeMap<String, (String, i64)> {
    let database = open(folder).await;
    let sql = "SELECT d.key, d.chunk_count, d.size_bytes, t.text,
          (SELECT COUNT(*) FROM passage p WHERE p.tenant = d.tenant AND p.document_id = d.document_id) AS passages,
          (SELECT COUNT(*) FROM chunk c WHERE c.tenant = d.tenant AND c.document_id = d.document_id
             AND c.document_version = d.version AND c.vector IS NOT NULL) AS chunks
        FROM document d JOIN document_text t ON t.tenant = d.tenant AND t.document_id = d.document_id";
    let mut found = BTreeMap::new();
    for row in database.query(sql, &[]).await.unwrap() {
        let (key, chunks): (String, i64) = (row.get("key").unwrap(), row.get("chunks").unwrap());
        let text = String::from_utf8(row.get("text").unwrap()).unwrap();
        assert_eq!(row.get::<i64>("chunk_count").unwrap(), chunks, "{key}");
        assert_eq!(row.get::<usize>("size_bytes").unwrap(), text.len(), "{key}");
        assert!(row.get::<i64>("passages").unwrap() > 0, "{key}");
        found.insert(key, (mark(&text).unwrap(), chunks));
    }
    let sql = "SELECT document_count, chunk_count FROM knowledge_base";
    if let Some(row) = database.query_opt(sql, &[]).await.unwrap() {
        let counts: (usize, i64) = (row.get("document_count").unwrap(), row.get("chunk_count").unwrap());
        assert_eq!(counts, (found.len(), crate::common::rows(&database, "chunk").await));
        assert_eq!(counts.1, found.values().map(|(_, chunks)| chunks).sum::<i64>());
    }
    for said in lines(folder, "said").iter().filter_map(|line| line.strip_prefix("stored ")) {
        let sql = "SELECT 1 AS one FROM ingestion WHERE ingestion_id = $1";
        let stored = database.query_opt(sql, &[said.into()]).await.unwrap();
        assert!(stored.is_some(), "{said} was acknowledged");
    }
    database.close().await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingestion_survives_kill_9_at_thirty_seeded_points() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut seed, mut killed, mut finished) = (20_261_201, 0, BTreeSet::new());
    for round in 0..ROUNDS {
        let embedded = lines(folder, "embedded").len();
        killed += usize::from(interrupted(folder, round, &mut seed));
        let again = &lines(folder, "embedded")[embedded..];
        for mark in again {
            assert!(!finished.contains(mark), "round {round}: {mark} was finished and is embedded again");
        }
        finished.extend(visible(folder).await.into_values().map(|(mark, _)| mark));
    }
    assert!(killed >= ROUNDS * 2 / 3, "only {killed} of {ROUNDS} were at work when they were killed");
    let mut library = Library::start("kills::child", folder, ROUNDS);
    library.until(|| lines(folder, "said").last().is_some_and(|line| line == "ended"));
    drop(library);
    let found = visible(folder).await;

    let calm = tempfile::tempdir().unwrap();
    serve(calm.path(), ROUNDS).await;
    assert_eq!(found, visible(calm.path()).await, "the same documents with the same chunks as without kills");
    assert_eq!(found.len(), (ROUNDS + 1) * NEW + 1);
    assert_eq!(found["shared"].0, format!("r{ROUNDS}shared"), "the last upload of a document stays");
    let database = open(folder).await;
    let items = "SELECT COUNT(*) AS n FROM ingestion_item WHERE state NOT IN ('done', 'unchanged')";
    let items: i64 = database.query_opt(items, &[]).await.unwrap().unwrap().get("n").unwrap();
    assert_eq!((items, crate::common::rows(&database, "ingestion").await), (0, ROUNDS as i64 + 1));
    database.close().await;
}
