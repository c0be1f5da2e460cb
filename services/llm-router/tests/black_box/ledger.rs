//! The ledger's queue: nothing that was acknowledged is lost, whatever dies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed step must stop the test"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use copydesk_llm_router::app::{Ledger, LedgerTask};

use crate::support::ledger::{Away, answer, row};
use copydesk_llm_router::domain::{UsageCursor, UsageFilter, UsageRow};
use copydesk_llm_router::ports::Store;
use copydesk_llm_router::{DatabaseStore, LedgerConfig, MIGRATOR};
use copydesk_store::{Database, testing};
use copydesk_types::{NanoDollars, TenantId, UsageId};
use tokio_util::sync::CancellationToken;

const TENANT: TenantId = TenantId::from_u128(1);
const FOLDER: &str = "COPYDESK_TEST_LEDGER_FOLDER";

fn config() -> LedgerConfig {
    LedgerConfig { queue_mib: 1, flush_ms: 1 }
}

fn open(dir: &Path, store: Arc<dyn Store>) -> (Ledger, LedgerTask) {
    Ledger::open(dir, &config(), store).unwrap()
}

async fn rows(store: &DatabaseStore) -> Vec<UsageRow> {
    let mut rows =
        store.usage(TENANT, &UsageFilter::default(), UsageCursor::NEWEST, 1_000_000).await.unwrap();
    rows.sort_by_key(|row| row.id);
    rows
}

fn numbers(rows: &[UsageRow]) -> Vec<u128> {
    rows.iter().map(|row| row.id.as_u128()).collect()
}

/// Opens the ledger of a folder, brings everything to the database, and closes it again.
async fn replay(dir: &Path, store: Arc<dyn Store>) {
    let (ledger, task) = open(dir, store);
    let stop = CancellationToken::new();
    let running = tokio::spawn(task.run(stop.clone()));
    ledger.flushed().await.unwrap();
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn records_reach_every_database_once() {
    for (name, database) in testing::both(&MIGRATOR).await {
        println!("{name}");
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(DatabaseStore::new(database));
        let (ledger, task) = open(dir.path(), store.clone());
        let stop = CancellationToken::new();
        let running = tokio::spawn(task.run(stop.clone()));
        for n in 1..=1_000 {
            ledger.append(TENANT, &[row(2 * n), row(2 * n + 1)]).unwrap();
            if n % 300 == 0 {
                ledger.flushed().await.unwrap();
                assert_eq!(rows(&store).await.len() as u128, 2 * n, "a caller reads its own calls");
            }
        }
        ledger.append(TENANT, &[row(7)]).unwrap();
        ledger.append(TENANT, &[]).unwrap();
        stop.cancel();
        running.await.unwrap();
        assert_eq!(numbers(&rows(&store).await), (2..=2_001).collect::<Vec<_>>(), "the end brings the rest");
    }
}

#[tokio::test]
async fn many_answers_share_a_transaction_and_the_first_wins() {
    for (name, database) in testing::both(&MIGRATOR).await {
        println!("{name}");
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(DatabaseStore::new(database));
        let (ledger, task) = open(dir.path(), store.clone());
        let stop = CancellationToken::new();
        let running = tokio::spawn(task.run(stop.clone()));
        let kept = futures_util::future::join_all((0..300_u128).map(|n| {
            // Every third one has the id of another.
            let id = if n % 3 == 0 { "same".to_owned() } else { format!("id {n}") };
            let (ledger, answer) = (&ledger, answer(&id, &format!("text {n}")));
            async move { ledger.keep(TENANT, &[row(n + 1)], &answer).await.unwrap().is_none() }
        }))
        .await;
        assert_eq!(kept.iter().filter(|first| **first).count(), 201, "200 ids of their own, and one of many");
        let same = store.answer(TENANT, "same", 1).await.unwrap().unwrap();
        let winner = kept.iter().enumerate().find(|(n, first)| n % 3 == 0 && **first).unwrap().0;
        assert_eq!(same.answer.text, format!("text {winner}"));
        assert_eq!(rows(&store).await.len(), 300, "the money of those who lost is spent too");

        let (good, bad) = (answer("good", "x"), answer("bad\0", "x"));
        let (one, other) = ([row(900)], [row(901)]);
        let (good, refused) =
            tokio::join!(ledger.keep(TENANT, &one, &good), ledger.keep(TENANT, &other, &bad));
        assert_eq!(good.unwrap(), None, "one that cannot be stored stops no other");
        assert!(refused.is_err());

        stop.cancel();
        running.await.unwrap();
        let late = answer("late", "x");
        assert_eq!(ledger.keep(TENANT, &[row(902)], &late).await.unwrap(), None, "after the end too");
        assert_eq!(store.answer(TENANT, "late", 1).await.unwrap(), Some(late));
    }
}

/// The second process of the next test; in the first it has nothing to do. Says each number that it appended, until it
/// is killed.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let database = copydesk_store::DatabaseConfig::file(Path::new(&folder).join("router.sqlite3"));
        let database = Database::open(&database, "test", &MIGRATOR).await.unwrap();
        let store = Arc::new(DatabaseStore::new(database));
        let (ledger, task) = open(Path::new(&folder), store.clone());
        let first = rows(&store).await.len() as u128;
        tokio::spawn(task.run(CancellationToken::new()));
        for n in first + 1.. {
            // When the queue is full the child says nothing until there is room again.
            while ledger.append(TENANT, &[row(n)]).is_err() {
                tokio::task::yield_now().await;
            }
            println!("acknowledged {n}");
        }
    });
}

#[tokio::test]
async fn no_kill_loses_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    // Some while the first records are on their way, some after files have been filled and deleted.
    for after in [1, 2, 50, 3_000, 1, 15_000] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ledger::child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let read = |line: String| line.split_once("acknowledged ").and_then(|(_, n)| n.parse::<u128>().ok());
        while said.len() < after {
            said.extend(lines.next().expect("the child lives").ok().and_then(read));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died, and not a line that was cut.
        for line in lines.map_while(Result::ok) {
            said.extend(read(line).filter(|n| said.last().is_none_or(|last| *n == last + 1)));
        }
        let config = copydesk_store::DatabaseConfig::file(dir.path().join("router.sqlite3"));
        let store = Arc::new(DatabaseStore::new(Database::open(&config, "test", &MIGRATOR).await.unwrap()));
        replay(dir.path(), store.clone()).await;
        let found = numbers(&rows(&store).await);
        let most = *said.iter().max().unwrap();
        assert_eq!(said[0], last + 1, "the child begins where the one before ended");
        assert!(found.len() as u128 >= most, "{} of {most} are there", found.len());
        assert_eq!(found, (1..=found.len() as u128).collect::<Vec<_>>(), "each once, none left out");
        last = found.len() as u128;
    }
}

/// The files of the queue, oldest first.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(dir.join("ledger")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files
}

/// Appends records without any task beside it: they stay in the files.
fn leave(dir: &Path, store: &Arc<DatabaseStore>, numbers: std::ops::RangeInclusive<u128>) {
    let (ledger, _task) = open(dir, store.clone());
    for n in numbers {
        ledger.append(TENANT, &[row(n)]).unwrap();
    }
}

#[tokio::test]
async fn a_torn_end_costs_the_torn_record_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(DatabaseStore::new(testing::sqlite(&MIGRATOR).await));
    leave(dir.path(), &store, 1..=10);
    let file = files(dir.path()).pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    leave(dir.path(), &store, 11..=12);
    replay(dir.path(), store.clone()).await;
    assert_eq!(numbers(&rows(&store).await), [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12]);
    assert!(files(dir.path()).len() <= 1, "what is done is deleted");
}

#[tokio::test]
async fn damage_in_the_middle_costs_the_damaged_record_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(DatabaseStore::new(testing::sqlite(&MIGRATOR).await));
    leave(dir.path(), &store, 1..=10);
    let file = files(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    std::fs::write(dir.path().join("ledger/done"), b"nonsense that is long enough").unwrap();
    replay(dir.path(), store.clone()).await;
    let found = rows(&store).await;
    assert_eq!(found.len(), 9);
    assert!([1, 10].iter().all(|n| numbers(&found).contains(n)));
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_drained_one_takes_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(DatabaseStore::new(testing::sqlite(&MIGRATOR).await));
    let (ledger, task) = open(dir.path(), store.clone());
    assert!(ledger.has_room());
    let (mut taken, mut begun) = (0, 0);
    while ledger.append(TENANT, &[row(taken + 1)]).is_ok() {
        taken += 1;
        begun += u128::from(ledger.has_room());
    }
    assert!(taken > 1_000 && begun < taken, "the last places are for calls under way: {begun} of {taken}");
    assert!(!ledger.has_room());
    let size: u64 = files(dir.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(size <= 1 << 20, "{size}");
    let stop = CancellationToken::new();
    let running = tokio::spawn(task.run(stop.clone()));
    ledger.flushed().await.unwrap();
    assert!(ledger.has_room());
    ledger.append(TENANT, &[row(taken + 1)]).unwrap();
    ledger.flushed().await.unwrap();
    assert_eq!(rows(&store).await.len() as u128, taken + 1);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn records_wait_while_the_database_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(DatabaseStore::new(testing::sqlite(&MIGRATOR).await));
    let away = Arc::new(AtomicBool::new(true));
    let (tried, mut tries) = tokio::sync::mpsc::unbounded_channel();
    let door = Arc::new(Away { store: DatabaseStore::clone(&store), away: Arc::clone(&away), tried });
    let (ledger, task) = open(dir.path(), door);
    let stop = CancellationToken::new();
    let running = tokio::spawn(task.run(stop.clone()));
    ledger.append(TENANT, &[row(1)]).unwrap();
    tries.recv().await.unwrap();
    ledger.append(TENANT, &[row(2)]).unwrap();
    assert!(ledger.keep(TENANT, &[row(3)], &answer("a", "x")).await.unwrap_err().is_retryable());
    assert!(rows(&store).await.is_empty());
    away.store(false, Ordering::SeqCst);
    ledger.flushed().await.unwrap();
    assert_eq!(numbers(&rows(&store).await), [1, 2]);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_record_that_no_database_keeps_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(DatabaseStore::new(testing::sqlite(&MIGRATOR).await));
    let mut bad = row(2);
    bad.attribution.step = "\0".into();
    {
        let (ledger, _task) = open(dir.path(), store.clone());
        for rows in [row(1), bad, row(3)] {
            ledger.append(TENANT, &[rows]).unwrap();
        }
    }
    replay(dir.path(), store.clone()).await;
    assert_eq!(numbers(&rows(&store).await), [1, 3]);
    assert_eq!(
        rows(&store).await[0],
        UsageRow { id: UsageId::from_u128(1), ..row(1) },
        "every field comes back"
    );
    assert_eq!(store.total(TENANT, &UsageFilter::default()).await.unwrap(), NanoDollars(20));
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(DatabaseStore::new(testing::sqlite(&MIGRATOR).await));
    std::fs::write(dir.path().join("ledger"), "a file").unwrap();
    assert!(Ledger::open(dir.path(), &config(), store.clone()).is_err());
    let other = tempfile::tempdir().unwrap();
    let _first = open(other.path(), store.clone());
    assert!(Ledger::open(other.path(), &config(), store).is_err(), "one process, one folder");
}
